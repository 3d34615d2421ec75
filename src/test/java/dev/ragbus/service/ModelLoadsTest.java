// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.ragbus.Await;
import dev.ragbus.ModelInfo;
import dev.ragbus.ModelLoad;
import dev.ragbus.ModelSpec;
import dev.ragbus.ModelType;
import dev.ragbus.Ragbus;
import dev.ragbus.RagbusException.Kind;
import dev.ragbus.Ranking;
import dev.ragbus.RerankRequest;
import dev.ragbus.python.TestInterpreter;
import io.vertx.core.Future;
import io.vertx.core.Vertx;
import io.vertx.core.json.JsonObject;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Loads beside running calls, beside each other, and cut short: with the real Python. */
class ModelLoadsTest {
  private static final Path GOOD = Path.of("python/tests/golden/cross-encoder");

  @TempDir private static Path models;

  private static Vertx vertx;
  private static TestService service;
  private static Ragbus ragbus;

  @BeforeAll
  static void deploy() throws IOException {
    for (String name : List.of("ranker", "other", "hung")) {
      copy(name);
    }
    vertx = Vertx.vertx();
    JsonObject config =
        new JsonObject()
            .put("models", new JsonObject().put("dir", models.toString()))
            .put(
                "python",
                new JsonObject().put("model_cache_timeout", "1s").put("gc_interval", "1s"));
    service = TestService.start(vertx, config);
    ragbus = service.ragbus();
  }

  @AfterAll
  static void undeploy() {
    service.close();
    Await.result(vertx.close());
  }

  private static void copy(String name) throws IOException {
    try (var files = Files.walk(GOOD)) {
      for (Path file : files.filter(Files::isRegularFile).toList()) {
        Path target = models.resolve(name).resolve(GOOD.relativize(file).toString());
        Files.createDirectories(target.getParent());
        Files.copy(file, target);
      }
    }
  }

  private static ModelSpec spec(String name) {
    return ModelSpec.of(name, ModelType.CROSS_ENCODER);
  }

  /** Requests one after another, until told to end. */
  private static final class Traffic {
    private final RerankRequest request =
        RerankRequest.of("query", "one", "two more words", "three").withModel("ranker");
    private final List<Ranking> answers = new ArrayList<>();
    private volatile boolean over;
    private final Future<Void> ended;

    Traffic() {
      ended = next();
    }

    private Future<Void> next() {
      return ragbus
          .rerank(request)
          .compose(
              answer -> {
                synchronized (answers) {
                  answers.add(answer);
                }
                return over ? Future.succeededFuture() : next();
              });
    }

    int answered() {
      synchronized (answers) {
        return answers.size();
      }
    }

    void awaitMore() {
      int before = answered();
      await().until(() -> answered() > before + 3 || ended.isComplete());
    }

    List<Ranking> end() {
      over = true;
      Await.result(ended);
      return answers;
    }
  }

  @Test
  void aModelIsLoadedAgainUnderRunningCallsAndServesOnWhereThatFails() throws IOException {
    Await.result(ragbus.loadModel(spec("ranker").withPrecision("f32")));
    List<Traffic> traffic = List.of(new Traffic(), new Traffic(), new Traffic());
    for (int i = 0; i < 3; i++) {
      traffic.forEach(Traffic::awaitMore);
      ModelLoad again =
          Await.result(ragbus.loadModel(spec("ranker").withPrecision("f32").withForceReload(true)));
      assertThat(again.status()).isEqualTo(ModelLoad.Status.LOADED);
    }
    Files.write(models.resolve("ranker/onnx/model.onnx"), new byte[] {1, 2, 3});
    assertThat(Await.ragbusFailure(ragbus.loadModel(spec("ranker").withForceReload(true))).kind())
        .isEqualTo(Kind.RUNTIME);
    traffic.forEach(Traffic::awaitMore);
    List<Ranking> answers = traffic.stream().flatMap(each -> each.end().stream()).toList();
    assertThat(answers).containsOnly(answers.get(0));
  }

  /** Has Python wait in loads of the model {@code hung}, as a long download does. */
  private static void hang() {
    TestInterpreter.exec(
        """
        import time
        from ragbus import bridge, progress
        load = bridge._OPERATIONS['load']
        def wait(**body):
            while True:
                progress.fetching('model.onnx', 1, 9)
                time.sleep(0.01)
        def load_or_wait(**body):
            return (bridge._watched('loading', wait) if body['name'] == 'hung' else load)(**body)
        bridge._OPERATIONS['load'] = load_or_wait
        """);
  }

  private static void hangNoMore() {
    TestInterpreter.exec(
        """
        from ragbus import bridge
        bridge._OPERATIONS['load'] = bridge._watched('loading', bridge._load)
        """);
  }

  @Test
  void aLoadShowsItsProgressHoldsUpNoOtherAndIsCancelledByItsRequest() {
    hang();
    try {
      Future<ModelLoad> hung = ragbus.withRequestId("slow-load").loadModel(spec("hung"));
      await()
          .until(
              () ->
                  Await.result(ragbus.listModels()).cachedModels().stream()
                      .map(ModelInfo::progress)
                      .toList()
                      .contains(new ModelInfo.Progress("downloading", "model.onnx", 1, 9)));
      assertThat(Await.result(ragbus.model("hung")).state()).isEqualTo("loading");
      assertThat(Await.result(ragbus.loadModel(spec("other"))).status())
          .isEqualTo(ModelLoad.Status.LOADED);
      assertThat(Await.result(ragbus.cleanup()).clearedModels()).contains("cross-encoder:other");
      ragbus.cancel("slow-load");
      assertThat(Await.ragbusFailure(hung).kind()).isEqualTo(Kind.CANCELLED);
      Future<ModelLoad> again = ragbus.loadModel(spec("hung"));
      await().until(() -> Await.result(ragbus.stats()).models().size() == 1);
      assertThat(Await.result(ragbus.clearModels("hung")).clearedModels())
          .containsExactly("cross-encoder:hung");
      assertThat(Await.ragbusFailure(again).kind()).isEqualTo(Kind.CANCELLED);
      await()
          .until(
              () ->
                  Await.result(ragbus.stats()).lanes().stream()
                      .filter(lane -> lane.role().equals("loader"))
                      .allMatch(lane -> lane.state().equals("idle")));
    } finally {
      hangNoMore();
    }
  }

  @Test
  void anIdleDefaultModelGoesAndComesBackWhenItIsUsed() {
    Await.result(ragbus.embed("here"));
    await().until(() -> Await.result(ragbus.listModels()).cachedModels().isEmpty());
    assertThat(Await.result(ragbus.embed("here again")).count()).isOne();
    assertThat(Await.result(ragbus.stats()).modelCache().evictions()).isPositive();
  }
}
