// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import static org.assertj.core.api.Assertions.assertThat;

import dev.ragbus.Await;
import dev.ragbus.ModelSpec;
import dev.ragbus.ModelType;
import dev.ragbus.Ragbus;
import dev.ragbus.RerankRequest;
import dev.ragbus.Stats;
import io.vertx.core.Vertx;
import io.vertx.core.json.JsonObject;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** Loading, using and clearing a model again and again takes no more memory in the end. */
class ModelCyclesTest {
  private static final Path MODELS = Path.of("python/tests/golden").toAbsolutePath();
  private static final String MODEL = "cross-encoder";
  private static final RerankRequest REQUEST =
      RerankRequest.of("query", "a", "three more words", "and some more words ".repeat(9))
          .withModel(MODEL);

  private Vertx vertx;
  private TestService service;

  @BeforeEach
  void deploy() {
    vertx = Vertx.vertx();
    JsonObject models = new JsonObject().put("dir", MODELS.toString());
    service = TestService.start(vertx, new JsonObject().put("models", models));
  }

  @AfterEach
  void undeploy() {
    service.close();
    Await.result(vertx.close());
  }

  @Test
  void thirtyCyclesDoNotGrow() {
    assertThat(growthBytes(10, 30)).isLessThan(20_000_000);
  }

  @Test
  @Tag("slow")
  @Tag("side-by-side")
  void aThousandCyclesDoNotGrow() {
    assertThat(growthBytes(100, 1_000)).isLessThan(20_000_000);
  }

  /** What the cycles add to resident memory, by a straight line through what was measured. */
  private double growthBytes(int warmUp, int cycles) {
    Ragbus ragbus = service.ragbus();
    List<Double> resident = new ArrayList<>();
    for (int cycle = -warmUp; cycle < cycles; cycle++) {
      Await.result(ragbus.loadModel(ModelSpec.of(MODEL, ModelType.CROSS_ENCODER)));
      assertThat(Await.result(ragbus.rerank(REQUEST)).rankedResults()).hasSize(3);
      Await.result(ragbus.clearModels(MODEL));
      if (cycle >= 0 && cycle % Math.max(1, cycles / 30) == 0) {
        System.gc();
        resident.add((double) Await.result(ragbus.cleanup()).residentBytesAfter());
      }
    }
    double growth = slope(resident) * (resident.size() - 1);
    System.out.printf(
        "%d cycles: resident %.1f MB at first, %.1f MB at last; growth by least squares %.1f MB,"
            + " %.1f KB a cycle%n",
        cycles,
        resident.get(0) / 1e6,
        resident.get(resident.size() - 1) / 1e6,
        growth / 1e6,
        growth / 1e3 / cycles);
    Stats stats = Await.result(ragbus.stats());
    assertThat(stats.models()).isEmpty();
    assertThat(stats.modelCache().loads()).isGreaterThanOrEqualTo(warmUp + cycles);
    return growth;
  }

  private static double slope(List<Double> values) {
    double middle = (values.size() - 1) / 2.0;
    double mean = values.stream().mapToDouble(each -> each).average().orElseThrow();
    double above = 0;
    double below = 0;
    for (int i = 0; i < values.size(); i++) {
      above += (i - middle) * (values.get(i) - mean);
      below += (i - middle) * (i - middle);
    }
    return above / below;
  }
}
