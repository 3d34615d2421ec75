// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.ragbus.Await;
import dev.ragbus.EmbedRequest;
import dev.ragbus.Embeddings;
import dev.ragbus.FunctionResult;
import dev.ragbus.FunctionSpec;
import dev.ragbus.ModelSpec;
import dev.ragbus.ModelType;
import dev.ragbus.Ragbus;
import dev.ragbus.RagbusException;
import dev.ragbus.RagbusException.Kind;
import dev.ragbus.RerankRequest;
import dev.ragbus.Stats;
import dev.ragbus.python.TestInterpreter;
import io.vertx.core.DeploymentOptions;
import io.vertx.core.Future;
import io.vertx.core.Vertx;
import io.vertx.core.VertxOptions;
import io.vertx.core.json.JsonObject;
import io.vertx.core.metrics.MetricsOptions;
import io.vertx.core.spi.metrics.PoolMetrics;
import io.vertx.core.spi.metrics.VertxMetrics;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicReference;
import java.util.logging.Handler;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Faults that are made on purpose in the real Python, and what callers and health see of each. */
class FaultsTest {
  private static final Path RANKER = Path.of("python/tests/golden/cross-encoder");

  /** What a promise of 2 s may take here, where other processes want the same two cores. */
  private static final long PROMPT_MILLIS = 4_000;

  private static final String ENGINE = "import ragbus.engines.openvino as engine\n";

  /** Undoes what the tests do to Python. */
  private static final String HEAL =
      ENGINE
          + """
          import ragbus.bridge as bridge, ragbus
          if hasattr(engine, 'unbroken'):
              engine.OpenVinoEngine.forward, engine.OpenVinoEngine.finish = engine.unbroken
          if hasattr(ragbus, 'unbroken_enter'):
              bridge._OPERATIONS['enter'] = ragbus.unbroken_enter
          if hasattr(ragbus, 'fault_gate'):
              ragbus.fault_gate.set()
          """;

  /** Keeps the real methods, for HEAL. */
  private static final String KEEP =
      ENGINE
          + """
          if not hasattr(engine, 'unbroken'):
              engine.unbroken = engine.OpenVinoEngine.forward, engine.OpenVinoEngine.finish
          forward, finish = engine.unbroken
          """;

  private static final String RAISE_AT_RANDOM =
      KEEP
          + """
          import random
          chance = random.Random(5)
          def broken(self, ids, table, out, **options):
              if chance.random() < 0.4:
                  raise OSError('a fault of the engine')
              return forward(self, ids, table, out, **options)
          engine.OpenVinoEngine.forward = broken
          """;

  /** Rows of at least 20 tokens come out as NaN. */
  private static final String NOT_FINITE =
      KEEP
          + """
          def broken(self, hidden, table, out):
              finish(self, hidden, table, out)
              out[table[:, 0] >= 20] = float('nan')
          engine.OpenVinoEngine.finish = broken
          """;

  private static final String NO_INTERPRETERS =
      """
      import ragbus, ragbus.bridge as bridge
      ragbus.unbroken_enter = bridge._OPERATIONS['enter']
      def broken(**ignored):
          raise ImportError('a fault of the environment')
      bridge._OPERATIONS['enter'] = broken
      """;

  private static final String DEAF =
      """
      import ragbus, threading
      ragbus.fault_gate = threading.Event()
      def deaf():
          ragbus.fault_gate.wait(60)
      """;

  private static final String FUNCTION_LANE = "ragbus-lane-function";

  /** While set, the next call of a lane whose name begins so ends with the death of its thread. */
  private final AtomicReference<String> deadly = new AtomicReference<>();

  private final List<String> lines = new CopyOnWriteArrayList<>();
  private final List<Logger> heard =
      List.of(
          Logger.getLogger(LastRequests.class.getName()),
          Logger.getLogger("dev.ragbus.python.output"));
  private final Handler handler =
      new Handler() {
        @Override
        public void publish(LogRecord record) {
          lines.add(record.getMessage());
        }

        @Override
        public void flush() {}

        @Override
        public void close() {}
      };
  private Vertx vertx;
  private TestService service;
  private Ragbus ragbus;

  @TempDir private Path models;

  @BeforeEach
  void listen() {
    heard.forEach(logger -> logger.addHandler(handler));
  }

  private void start(JsonObject config) {
    vertx =
        Vertx.builder()
            .with(
                new VertxOptions()
                    .setEventLoopPoolSize(1)
                    .setMetricsOptions(new MetricsOptions().setEnabled(true)))
            .withMetrics(options -> new DeadlyMetrics())
            .build();
    service =
        TestService.start(
            vertx,
            new JsonObject()
                .put("functions", new JsonObject().put("allow_source", true))
                .put("lanes", new JsonObject().put("inference", 1).put("stuck_timeout", "200ms"))
                .mergeIn(config, true));
    ragbus = service.ragbus();
    Await.result(ragbus.register(FunctionSpec.ofCode("two", "2")));
  }

  private final class DeadlyMetrics implements VertxMetrics {
    @Override
    public PoolMetrics<?, ?> createPoolMetrics(String type, String name, int size) {
      return new PoolMetrics<>() {
        @Override
        public void end(Object usage) {
          String lane = deadly.get();
          if (lane != null && name.startsWith(lane) && deadly.compareAndSet(lane, null)) {
            throw new NoClassDefFoundError("a fault of the JVM");
          }
        }
      };
    }
  }

  @AfterEach
  void stop() {
    heard.forEach(logger -> logger.removeHandler(handler));
    if (service != null) {
      TestInterpreter.exec(HEAL);
      service.close();
      Await.result(vertx.close());
    }
  }

  private boolean up() {
    return Await.result(ragbus.health()).up();
  }

  private long millisUntil(java.util.concurrent.Callable<Boolean> condition) {
    long begun = System.nanoTime();
    await().pollInterval(Duration.ofMillis(20)).atMost(Duration.ofSeconds(30)).until(condition);
    return (System.nanoTime() - begun) / 1_000_000;
  }

  private Object two() {
    return Await.result(ragbus.call("two")).result();
  }

  private static void assertFails(RagbusException failure, Kind kind, int code, boolean retryable) {
    assertThat(failure.kind()).isEqualTo(kind);
    assertThat(failure.code()).isEqualTo(code);
    assertThat(failure.retryable()).isEqualTo(retryable);
  }

  @Test
  void anEngineThatRaisesAtRandomFailsItsOwnRequestsOnly() {
    start(new JsonObject());
    float[] expected = Await.result(ragbus.embed("the same")).row(0);
    TestInterpreter.exec(RAISE_AT_RANDOM);

    int failed = 0;
    for (int i = 0; i < 30; i++) {
      List<Future<Embeddings>> answers = new ArrayList<>();
      for (int together = 0; together <= i % 3; together++) {
        answers.add(ragbus.embed("the same"));
      }
      for (Future<Embeddings> answer : answers) {
        Await.result(answer.otherwiseEmpty());
        if (answer.failed()) {
          failed++;
          RagbusException failure = (RagbusException) answer.cause();
          assertFails(failure, Kind.PYTHON, 500, false);
          assertThat(failure.pythonType()).isEqualTo("OSError");
        } else {
          float[] vector = answer.result().row(0);
          assertThat(RagbusVerticleTest.cosine(vector, expected)).isGreaterThan(0.9999);
        }
      }
    }
    assertThat(failed).isBetween(1, 59);
    assertThat(up()).isTrue();

    TestInterpreter.exec(HEAL);
    assertThat(Await.result(ragbus.embed("the same")).count()).isOne();
  }

  @Test
  void numbersThatAreNotFiniteFailTheirOwnRequestOnly() {
    start(new JsonObject());
    String broken = "word ".repeat(30);
    TestInterpreter.exec(NOT_FINITE);

    Future<Embeddings> bad = ragbus.embed(broken);
    Future<Embeddings> good = ragbus.embed("short");

    assertFails(Await.ragbusFailure(bad), Kind.RUNTIME, 500, false);
    assertThat(bad.cause()).hasMessageContaining("not finite").hasMessageContaining("texts[0]");
    assertThat(Await.result(good).dot(0, 0)).isBetween(0.99, 1.01);
    assertThat(up()).isTrue();
    TestInterpreter.exec(HEAL);
    assertThat(Await.result(ragbus.embed(broken)).count()).isOne();
  }

  @Test
  void aModelWhoseFilesVanishServesOnAndIsNotFoundAfterwards() throws IOException {
    Path folder = models.resolve("ranker");
    try (var files = Files.walk(RANKER)) {
      for (Path file : files.filter(Files::isRegularFile).toList()) {
        Path target = folder.resolve(RANKER.relativize(file).toString());
        Files.createDirectories(target.getParent());
        Files.copy(file, target);
      }
    }
    start(new JsonObject().put("models", new JsonObject().put("dir", models.toString())));
    RerankRequest request = RerankRequest.of("query", "one", "two").withModel("ranker");
    Await.result(ragbus.loadModel(ModelSpec.of("ranker", ModelType.CROSS_ENCODER)));
    var before = Await.result(ragbus.rerank(request)).rankedResults();

    try (var files = Files.walk(folder)) {
      for (Path file : files.filter(Files::isRegularFile).toList()) {
        Files.delete(file);
      }
    }

    assertThat(Await.result(ragbus.rerank(request)).rankedResults()).isEqualTo(before);
    ModelSpec again = ModelSpec.of("ranker", ModelType.CROSS_ENCODER).withForceReload(true);
    assertFails(Await.ragbusFailure(ragbus.loadModel(again)), Kind.MODEL_NOT_FOUND, 404, false);
    assertThat(Await.result(ragbus.rerank(request)).rankedResults()).isEqualTo(before);
    Await.result(ragbus.clearModels("ranker"));
    assertFails(Await.ragbusFailure(ragbus.rerank(request)), Kind.MODEL_NOT_FOUND, 404, false);
    assertThat(up()).isTrue();
  }

  @Test
  void aBrokenEnvironmentStopsTheStartAndSaysWhatIsWrong() {
    vertx = Vertx.vertx();
    JsonObject config =
        TestService.offline()
            .mergeIn(
                new JsonObject()
                    .put("python", new JsonObject().put("environment", models.toString())),
                true);

    Throwable failure =
        Await.failure(
            vertx.deployVerticle(new RagbusVerticle(), new DeploymentOptions().setConfig(config)));
    RagbusException nobody = Await.ragbusFailure(Ragbus.create(vertx).embed("x"));

    assertThat(failure).hasMessageContaining(models.toString()).hasMessageContaining("bin/python");
    assertFails(nobody, Kind.UNAVAILABLE, 503, true);
    Await.result(vertx.close());
  }

  @Test
  void functionsAreRefusedUntilTheServiceHasStarted() {
    vertx = Vertx.vertx();
    Future<String> deploying =
        vertx.deployVerticle(
            new RagbusVerticle(), new DeploymentOptions().setConfig(TestService.offline()));
    Ragbus early = Ragbus.create(vertx);
    List<Kind> kinds = new ArrayList<>();
    while (!deploying.isComplete() && !kinds.contains(Kind.NOT_INITIALIZED)) {
      RagbusException failure = Await.ragbusFailure(early.call("embed_texts", List.of("x")));
      assertThat(failure.retryable()).isTrue();
      assertThat(failure.code()).isEqualTo(503);
      kinds.add(failure.kind());
    }

    assertThat(kinds).contains(Kind.NOT_INITIALIZED);
    Await.result(deploying);
    assertThat(Await.result(early.call("embed_texts", List.of("x"))).result()).isNotNull();
    Await.result(vertx.close());
  }

  @Test
  void aLaneThatDiesFailsItsCallAndIsRenewed() {
    start(new JsonObject());
    deadly.set(FUNCTION_LANE);

    RagbusException lost = Await.ragbusFailure(ragbus.call("two"));
    long recoveredMillis = millisUntil(() -> up() && ragbus.call("two").map(true).await());

    assertFails(lost, Kind.LANE_LOST, 503, false);
    assertThat(two()).isEqualTo(2);
    assertThat(recoveredMillis).isLessThan(PROMPT_MILLIS);
    System.out.printf("a lane that died was renewed after %d ms%n", recoveredMillis);
  }

  @Test
  void aLaneThatDiesCostsWhatItRunsAlone() {
    start(new JsonObject().put("lanes", new JsonObject().put("inference", 1)));
    Await.result(ragbus.embed("warm"));
    deadly.set("ragbus-lane-inference");

    Future<Embeddings> runs = ragbus.embed("it runs when its lane dies");
    List<Future<Embeddings>> waiting = new ArrayList<>();
    for (int i = 0; i < 20; i++) {
      waiting.add(ragbus.embed("it waits for number " + i));
    }

    assertFails(Await.ragbusFailure(runs), Kind.LANE_LOST, 503, true);
    waiting.forEach(each -> assertThat(Await.result(each).count()).isOne());
  }

  @Test
  void aLaneThatCannotBeginIsToldByHealthAndTriedAgain() {
    start(new JsonObject());
    TestInterpreter.exec(NO_INTERPRETERS);
    deadly.set(FUNCTION_LANE);
    Await.ragbusFailure(ragbus.call("two"));

    long downMillis = millisUntil(() -> !up());
    RagbusException[] refused = new RagbusException[1];
    await()
        .until(
            () -> {
              refused[0] = Await.ragbusFailure(ragbus.call("two"));
              return refused[0].kind() == Kind.NOT_INITIALIZED;
            });
    assertThat(Await.result(ragbus.embed("models go on")).count()).isOne();
    TestInterpreter.exec(HEAL);
    long upMillis = millisUntil(this::up);

    assertFails(refused[0], Kind.NOT_INITIALIZED, 503, true);
    assertThat(two()).isEqualTo(2);
    assertThat(downMillis).isLessThan(PROMPT_MILLIS);
    assertThat(upMillis).isLessThan(PROMPT_MILLIS);
    System.out.printf(
        "a lane that cannot begin: DOWN after %d ms, UP %d ms after the fault had ended%n",
        downMillis, upMillis);
  }

  @Test
  void anEventLoopThatIsBlockedCostsTimeAndNothingElse() {
    start(new JsonObject());
    Await.result(ragbus.embed("warm"));
    Future<Embeddings> before = ragbus.embed("under way");
    Future<FunctionResult> late = ragbus.withTimeout(Duration.ofMillis(100)).call("two");
    vertx.runOnContext(
        v -> {
          try {
            Thread.sleep(1_500);
          } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
          }
        });
    Future<Embeddings> during = ragbus.embed(EmbedRequest.of("sent while it is blocked"));

    assertThat(Await.result(before).count()).isOne();
    assertThat(Await.result(during).count()).isOne();
    long upMillis = millisUntil(this::up);

    Await.result(late.otherwiseEmpty());
    if (late.failed()) {
      assertFails((RagbusException) late.cause(), Kind.TIMEOUT, 504, false);
    }
    assertThat(upMillis).isLessThan(PROMPT_MILLIS);
    assertThat(Await.result(ragbus.stats()).lanes())
        .extracting(Stats.Lane::replaced)
        .containsOnly(0L);
  }

  @Test
  void aStuckCallLeavesItsStackAndTheRequestsUnderWayInTheLog() {
    start(new JsonObject());
    Await.result(ragbus.register(FunctionSpec.ofCode("deaf", DEAF)));

    RagbusException late =
        Await.ragbusFailure(
            ragbus.withRequestId("the-deaf-one").withTimeout(Duration.ofMillis(100)).call("deaf"));

    assertFails(late, Kind.TIMEOUT, 504, false);
    await()
        .untilAsserted(
            () -> {
              assertThat(lines)
                  .anyMatch(
                      line ->
                          line.startsWith("lane function-0 was lost; under way")
                              && line.contains("runs the-deaf-one"));
              assertThat(lines)
                  .anyMatch(line -> line.contains("thread ragbus-lane-function-0-"))
                  .anyMatch(line -> line.endsWith(" in deaf"));
            });
    assertThat(two()).isEqualTo(2);
  }
}
