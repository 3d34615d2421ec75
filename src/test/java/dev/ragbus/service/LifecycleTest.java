// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.ragbus.Await;
import dev.ragbus.EmbedRequest;
import dev.ragbus.Embeddings;
import dev.ragbus.Ragbus;
import dev.ragbus.RagbusException;
import dev.ragbus.RagbusException.Kind;
import dev.ragbus.Stats;
import dev.ragbus.python.TestInterpreter;
import io.vertx.core.DeploymentOptions;
import io.vertx.core.Future;
import io.vertx.core.ThreadingModel;
import io.vertx.core.Vertx;
import io.vertx.core.json.JsonObject;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Deploying, undeploying, and lanes that are stuck in Python. */
class LifecycleTest {
  /**
   * Makes the model's next passes wait for a gate, holding the lane but not the interpreter lock.
   */
  private static final String WEDGE =
      """
      import threading, ragbus.engines.openvino as engine
      if not hasattr(engine, 'real_forward'):
          engine.real_forward = engine.OpenVinoEngine.forward
          engine.gate = threading.Event()
          engine.wedged = 0
      def forward(self, ids, table, out, **options):
          engine.wedged += 1
          engine.gate.wait(60)
          return engine.real_forward(self, ids, table, out, **options)
      engine.gate.clear()
      engine.OpenVinoEngine.forward = forward
      """;

  private static final String UNWEDGE =
      """
      import ragbus.engines.openvino as engine
      if hasattr(engine, 'real_forward'):
          engine.OpenVinoEngine.forward = engine.real_forward
          engine.gate.set()
      """;

  /** Makes the next passes normal, but leaves those that wait where they are. */
  private static final String HEAL =
      """
      import ragbus.engines.openvino as engine
      engine.OpenVinoEngine.forward = engine.real_forward
      """;

  private Vertx vertx;
  private boolean wedged;

  @BeforeEach
  void open() {
    vertx = Vertx.vertx();
  }

  @AfterEach
  void close() {
    if (wedged) {
      TestInterpreter.exec(UNWEDGE);
    }
    Await.result(vertx.close());
  }

  private static JsonObject lanes(String drainTimeout, String stuckTimeout) {
    return new JsonObject()
        .put(
            "lanes",
            new JsonObject()
                .put("inference", 1)
                .put("drain_timeout", drainTimeout)
                .put("stuck_timeout", stuckTimeout));
  }

  private void wedge() {
    wedged = true;
    TestInterpreter.exec(WEDGE);
  }

  private static long millis(Runnable action) {
    long started = System.nanoTime();
    action.run();
    return (System.nanoTime() - started) / 1_000_000;
  }

  @Test
  void undeployIsBoundedWhileALaneIsStuck() {
    TestService service = TestService.start(vertx, lanes("500ms", "60s"));
    wedge();
    Future<Embeddings> stuck = service.ragbus().embed("never");
    awaitWedged();

    long took = millis(service::close);

    assertThat(took).isLessThan(5_000);
    assertThat(Await.ragbusFailure(stuck).kind()).isEqualTo(Kind.UNAVAILABLE);
  }

  @Test
  void closingVertxIsBoundedWhileALaneIsStuck() {
    Vertx own = Vertx.vertx();
    TestService service = TestService.start(own, lanes("500ms", "60s"));
    wedge();
    service.ragbus().embed("never");
    awaitWedged();

    assertThat(millis(() -> Await.result(own.close()))).isLessThan(5_000);
  }

  private static void awaitWedged() {
    await()
        .untilAsserted(
            () ->
                assertThat(
                        (Long)
                            TestInterpreter.value(
                                "import ragbus.engines.openvino as engine", "engine.wedged"))
                    .isPositive());
  }

  @Test
  void aStuckLaneIsReplacedAndServesAgain() {
    try (TestService service = TestService.start(vertx, lanes("1s", "200ms"))) {
      Ragbus ragbus = service.ragbus();
      wedge();
      Future<Embeddings> stuck = ragbus.withTimeout(Duration.ofMillis(100)).embed("never");
      RagbusException late = Await.ragbusFailure(stuck);
      TestInterpreter.exec(HEAL);

      await()
          .atMost(Duration.ofSeconds(10))
          .untilAsserted(
              () ->
                  assertThat(Await.result(ragbus.stats()).lanes())
                      .extracting(Stats.Lane::replaced)
                      .contains(1L));
      assertThat(late.kind()).isEqualTo(Kind.TIMEOUT);
      assertThat(late.getMessage()).contains("while the work was running");
      assertThat(Await.result(ragbus.embed("served by the new thread")).count()).isOne();
      assertThat(Await.result(ragbus.health()).up()).isTrue();
    }
  }

  @Test
  void undeployingUnderLoadLosesNothing() {
    TestService service = TestService.start(vertx, new JsonObject());
    List<Future<Embeddings>> answers = new ArrayList<>();
    for (int i = 0; i < 200; i++) {
      answers.add(service.ragbus().embed("text " + i, "a longer text with number " + i));
    }
    await().until(() -> answers.stream().anyMatch(Future::succeeded));
    Future<Void> undeployed = vertx.undeploy(service.deployment());
    for (int i = 0; i < 20; i++) {
      answers.add(service.ragbus().embed("too late " + i));
    }
    Await.result(undeployed);

    for (Future<Embeddings> answer : answers.subList(0, 200)) {
      assertThat(Await.result(answer).count()).isEqualTo(2);
    }
    for (Future<Embeddings> answer : answers.subList(200, 220)) {
      // In time or too late, by a hair: answered either way.
      Await.result(
          answer
              .<Object>map(Embeddings::count)
              .recover(
                  failure -> {
                    assertThat(((RagbusException) failure).kind()).isEqualTo(Kind.UNAVAILABLE);
                    return Future.succeededFuture();
                  }));
    }
  }

  @Test
  void twoDeploymentsAndDeployingAgainWork() {
    JsonObject other = new JsonObject().put("bus", new JsonObject().put("address_prefix", "other"));
    TestService first = TestService.start(vertx, new JsonObject());
    TestService second = TestService.start(vertx, other);

    float[] byFirst = Await.result(first.ragbus().embed("the same")).row(0);
    float[] bySecond = Await.result(second.ragbus().embed("the same")).row(0);
    first.close();
    float[] stillBySecond = Await.result(second.ragbus().embed("the same")).row(0);
    TestService again = TestService.start(vertx, new JsonObject());
    float[] byFirstAgain = Await.result(again.ragbus().embed("the same")).row(0);

    assertThat(RagbusVerticleTest.cosine(byFirst, bySecond)).isGreaterThan(0.99999);
    assertThat(RagbusVerticleTest.cosine(byFirst, stillBySecond)).isGreaterThan(0.99999);
    assertThat(RagbusVerticleTest.cosine(byFirst, byFirstAgain)).isGreaterThan(0.99999);
    again.close();
    second.close();
    assertThat(Await.ragbusFailure(first.ragbus().embed("nobody is there")).kind())
        .isEqualTo(Kind.UNAVAILABLE);
  }

  @Test
  void twoDeploymentsOfOnePrefixShareTheBus() {
    TestService first = TestService.start(vertx, new JsonObject());
    TestService second = TestService.start(vertx, new JsonObject());
    for (int i = 0; i < 10; i++) {
      assertThat(Await.result(first.ragbus().embed("text " + i)).count()).isOne();
    }
    second.close();
    first.close();
  }

  @Test
  void refusesToRunOnAWorkerOrInSeveralInstances() {
    DeploymentOptions worker = new DeploymentOptions().setThreadingModel(ThreadingModel.WORKER);
    Throwable onWorker = Await.failure(vertx.deployVerticle(new RagbusVerticle(), worker));
    Throwable several =
        Await.failure(
            vertx.deployVerticle(
                RagbusVerticle.class.getName(), new DeploymentOptions().setInstances(2)));

    assertThat(onWorker).hasMessageContaining("event loop").hasMessageContaining("WORKER");
    assertThat(several).hasMessageContaining("one instance");
  }

  @Test
  void aWrongOptionStopsTheStart() {
    JsonObject config = new JsonObject().put("lanes", new JsonObject().put("inferense", 2));

    assertThat(
            Await.failure(
                vertx.deployVerticle(
                    new RagbusVerticle(), new DeploymentOptions().setConfig(config))))
        .hasMessageContaining("lanes.inferense")
        .hasMessageContaining("lanes.inference");
  }

  @Test
  void requestsDuringTheStartAreRefusedAsRetryable() {
    Future<String> deploying =
        vertx.deployVerticle(
            new RagbusVerticle(), new DeploymentOptions().setConfig(TestService.offline()));
    Ragbus ragbus = Ragbus.create(vertx);

    RagbusException early =
        Await.ragbusFailure(
            ragbus
                .embed(EmbedRequest.of("early"))
                .recover(failure -> ragbus.embed(EmbedRequest.of("early"))));
    boolean up = Await.result(ragbus.health().otherwiseEmpty().map(h -> h != null && h.up()));

    assertThat(early.kind()).isIn(Kind.NOT_INITIALIZED, Kind.UNAVAILABLE);
    assertThat(early.retryable()).isTrue();
    assertThat(up).isFalse();
    Await.result(deploying.compose(vertx::undeploy));
  }
}
