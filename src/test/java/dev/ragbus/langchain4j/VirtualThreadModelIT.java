// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.langchain4j;

import static org.assertj.core.api.Assertions.assertThat;

import dev.langchain4j.data.embedding.Embedding;
import dev.langchain4j.data.segment.TextSegment;
import dev.ragbus.Await;
import dev.ragbus.FakeService;
import dev.ragbus.NewerJdk;
import dev.ragbus.Ragbus;
import io.vertx.core.DeploymentOptions;
import io.vertx.core.Future;
import io.vertx.core.ThreadingModel;
import io.vertx.core.VerticleBase;
import io.vertx.core.Vertx;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** Virtual threads may wait; needs a JDK 21 or newer, of which it looks for one. */
class VirtualThreadModelIT {
  @Test
  void mayWait() throws Exception {
    assertThat(NewerJdk.run(VirtualThreadModelIT.class)).isZero();
  }

  /** Exits with 0 if virtual threads and a verticle on them were answered. */
  public static void main(String[] args) throws Exception {
    Vertx vertx = Vertx.vertx();
    FakeService service = new FakeService();
    Await.result(vertx.deployVerticle(service));
    RagbusEmbeddingModel model =
        RagbusEmbeddingModel.builder(Ragbus.create(vertx))
            .limits(new RequestLimits(1, 1_000, 2, 0))
            .build();
    boolean right = threads(model) && verticle(vertx, service, model);
    Await.result(vertx.close());
    System.exit(right ? 0 : 1);
  }

  private static boolean threads(RagbusEmbeddingModel model) throws Exception {
    ExecutorService threads =
        (ExecutorService) Executors.class.getMethod("newVirtualThreadPerTaskExecutor").invoke(null);
    List<TextSegment> segments = Stream.of("a", "bc", "def").map(TextSegment::from).toList();
    List<Callable<List<Embedding>>> calls = new ArrayList<>();
    for (int i = 0; i < 200; i++) {
      calls.add(() -> model.embedAll(segments).content());
    }
    boolean right = true;
    for (java.util.concurrent.Future<List<Embedding>> got : threads.invokeAll(calls)) {
      right &=
          got.get().stream().map(vector -> vector.vector()[0]).toList().equals(List.of(1f, 2f, 3f));
    }
    threads.shutdown();
    System.out.println("virtual threads: " + right);
    return right;
  }

  /** What the verticle waits for comes only if its other events run meanwhile. */
  private static boolean verticle(Vertx vertx, FakeService service, RagbusEmbeddingModel model) {
    List<Embedding> got = new ArrayList<>();
    Future<String> held = service.holding();
    VerticleBase verticle =
        new VerticleBase() {
          @Override
          public Future<?> start() {
            held.onSuccess(id -> context.runOnContext(v -> service.release()));
            got.add(model.embed("hold").content());
            return Future.succeededFuture();
          }
        };
    Await.result(
        vertx.deployVerticle(
            verticle, new DeploymentOptions().setThreadingModel(ThreadingModel.VIRTUAL_THREAD)));
    boolean right = got.get(0).vector()[0] == "hold".length();
    System.out.println("verticle: " + right);
    return right;
  }
}
