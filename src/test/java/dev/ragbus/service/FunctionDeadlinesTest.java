// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.ragbus.Await;
import dev.ragbus.ChildProcess;
import dev.ragbus.FunctionCall;
import dev.ragbus.FunctionResult;
import dev.ragbus.FunctionSpec;
import dev.ragbus.Health;
import dev.ragbus.Ragbus;
import dev.ragbus.RagbusException;
import dev.ragbus.RagbusException.Kind;
import dev.ragbus.Stats;
import io.vertx.core.Future;
import io.vertx.core.Vertx;
import io.vertx.core.json.JsonObject;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Deadlines that end the work, in real Python: what is told to end, thrown out, and given up. */
class FunctionDeadlinesTest {
  private static final String LOOP = "def f():\n    while True:\n        pass\n";
  private static final String RELEASE =
      """
      import threading
      import ragbus
      if not hasattr(ragbus, 'test_gate'):
          ragbus.test_gate = threading.Event()
      """;

  /** Waits, holding its lane but not the interpreter lock, deaf to everything but the gate. */
  private static final String DEAF = RELEASE + "def f():\n    ragbus.test_gate.wait(60)\n";

  private Vertx vertx;
  private TestService service;
  private Ragbus ragbus;

  @BeforeEach
  void open() {
    vertx = Vertx.vertx();
  }

  @AfterEach
  void close() {
    dev.ragbus.python.TestInterpreter.exec(RELEASE + "ragbus.test_gate.set()");
    service.close();
    Await.result(vertx.close());
  }

  private void start(String stuckTimeout, int functionLanes) {
    service =
        TestService.start(
            vertx,
            new JsonObject()
                .put("functions", new JsonObject().put("allow_source", true))
                .put(
                    "lanes",
                    new JsonObject()
                        .put("inference", 1)
                        .put("function", functionLanes)
                        .put("drain_timeout", "2s")
                        .put("stuck_timeout", stuckTimeout)));
    ragbus = service.ragbus();
    dev.ragbus.python.TestInterpreter.exec(RELEASE + "ragbus.test_gate.clear()");
    register("two", "2", spec -> spec);
  }

  private void register(String name, String code, UnaryOperator<FunctionSpec> with) {
    String source = code.replace("def f(", "def " + name + "(");
    Await.result(ragbus.register(with.apply(FunctionSpec.ofCode(name, source))));
  }

  private RagbusException timedOut(String name, long millis) {
    long started = System.nanoTime();
    RagbusException failure =
        Await.ragbusFailure(ragbus.withTimeout(Duration.ofMillis(millis)).call(name));
    long took = (System.nanoTime() - started) / 1_000_000;
    assertThat(failure.kind()).isEqualTo(Kind.TIMEOUT);
    assertThat(took).as("millis").isBetween(millis - 1, millis + 1_000);
    return failure;
  }

  private Stats.Lane functionLane() {
    return Await.result(ragbus.stats()).lanes().stream()
        .filter(lane -> lane.role().equals("function"))
        .findFirst()
        .orElseThrow();
  }

  private Object two() {
    return Await.result(ragbus.call("two")).result();
  }

  @Test
  void anEndlessLoopThatAllowsItIsThrownOut() {
    start("30s", 1);
    register("endless", LOOP, spec -> spec.withHardCancel(true));

    assertThat(timedOut("endless", 50)).hasMessageContaining("while the work was running");

    assertThat(two()).isEqualTo(2);
    Stats stats = Await.result(ragbus.stats());
    assertThat(stats.functions().tainted()).isOne();
    assertThat(functionLane().replaced()).isZero();
  }

  @Test
  void anEndlessLoopThatAsksEndsByItself() {
    start("30s", 1);
    register(
        "asking",
        "import ragbus\ndef f():\n    while not ragbus.cancelled():\n        pass\n",
        spec -> spec);

    timedOut("asking", 50);

    assertThat(two()).isEqualTo(2);
    assertThat(Await.result(ragbus.stats()).functions().tainted()).isZero();
    assertThat(functionLane().replaced()).isZero();
  }

  @Test
  void aSleeperAndALongCallOfCAreAnsweredForInTimeAndWaitedFor() {
    start("30s", 1);
    register(
        "sleeper", "import time\ndef f():\n    time.sleep(0.5)\n", s -> s.withHardCancel(true));
    register(
        "native", "def f():\n    return sum(range(10_000_000))\n", s -> s.withHardCancel(true));

    timedOut("sleeper", 50);
    timedOut("native", 50);

    assertThat(two()).isEqualTo(2);
    assertThat(functionLane().replaced()).isZero();
  }

  @Test
  void callersAreAnsweredAtTheirDeadlineWhateverPythonDoes() {
    start("30s", 1);
    register("loop", LOOP, spec -> spec.withHardCancel(true));
    register("doze", "import time\ndef f():\n    time.sleep(0.06)\n", spec -> spec);
    register("native", "def f():\n    return sum(range(3_000_000))\n", spec -> spec);
    List<Long> lateMicros = new ArrayList<>();
    for (int i = 0; i < 60; i++) {
      String name = List.of("loop", "doze", "native").get(i % 3);
      long started = System.nanoTime();
      RagbusException failure =
          Await.ragbusFailure(ragbus.withTimeout(Duration.ofMillis(20)).call(name));
      lateMicros.add((System.nanoTime() - started) / 1_000 - 20_000);
      assertThat(failure.kind()).isEqualTo(Kind.TIMEOUT);
    }
    lateMicros.sort(null);
    System.out.printf(
        "60 deadlines: answered late by p50 %d us, most %d us%n",
        lateMicros.get(30), lateMicros.get(59));
    // 50 ms at the 99th percentile is the promise; a loaded machine gets more at the worst one.
    assertThat(lateMicros.get(30)).isLessThan(50_000);
    assertThat(lateMicros.get(59)).isLessThan(500_000);
  }

  @Test
  void aFunctionThatEndsTheProcessEndsIt() throws IOException, InterruptedException {
    start("30s", 1);
    ProcessBuilder command =
        new ProcessBuilder(
            System.getProperty("java.home") + "/bin/java",
            "-Xmx256m",
            "-cp",
            System.getProperty("java.class.path"),
            ExitingFunctionMain.class.getName());

    assertThat(ChildProcess.run(command)).isEqualTo(7);
  }

  @Test
  void aDeafCallCostsItsThread() {
    start("100ms", 1);
    register("deaf", DEAF, spec -> spec);

    timedOut("deaf", 50);

    await().until(() -> functionLane().replaced() == 1);
    assertThat(functionLane().abandoned()).isOne();
    assertThat(two()).isEqualTo(2);
    assertThat(Await.result(ragbus.health()).up()).isTrue();
  }

  @Test
  void twoLostThreadsAreEnoughAndAnEndedOneCounts() {
    start("100ms", 1);
    register("deaf", DEAF, spec -> spec);
    timedOut("deaf", 50);
    await().until(() -> functionLane().replaced() == 1);
    timedOut("deaf", 50);
    await().until(() -> functionLane().replaced() == 2);

    Health down = Await.result(ragbus.health());
    RagbusException refused = Await.ragbusFailure(ragbus.call("two"));

    assertThat(down.up()).isFalse();
    assertThat(down.checks())
        .filteredOn(check -> check.id().equals("lanes"))
        .singleElement()
        .satisfies(check -> assertThat(check.status()).isEqualTo("DOWN"));
    assertThat(refused.kind()).isEqualTo(Kind.UNAVAILABLE);
    assertThat(refused.retryable()).isTrue();
    assertThat(Await.result(ragbus.embed("models go on")).count()).isOne();

    dev.ragbus.python.TestInterpreter.exec(RELEASE + "ragbus.test_gate.set()");
    await().until(() -> Await.result(ragbus.health()).up());
    assertThat(two()).isEqualTo(2);
  }

  @Test
  void aCallThatKeepsTheInterpreterLockIsSeenAndSoIsItsEnd() {
    start("30s", 1);
    register("keeper", "import ctypes\ndef f():\n    ctypes.PyDLL(None).sleep(5)\n", spec -> spec);
    assertThat(Await.result(ragbus.health()).up()).isTrue();

    Future<FunctionResult> kept = ragbus.call("keeper");
    long wedged = System.nanoTime();
    await().until(() -> !Await.result(ragbus.health()).up());
    long downMillis = (System.nanoTime() - wedged) / 1_000_000;
    await()
        .untilAsserted(
            () ->
                assertThat(Await.result(ragbus.health()).checks())
                    .filteredOn(check -> check.detail().equals("unresponsive"))
                    .extracting(Health.Check::id)
                    .anyMatch(id -> id.contains("control"))
                    .anyMatch(id -> id.contains("inference")));
    Await.result(kept);
    long freed = System.nanoTime();
    await().until(() -> Await.result(ragbus.health()).up());

    assertThat(downMillis).isLessThan(2_000);
    assertThat((System.nanoTime() - freed) / 1_000_000).isLessThan(2_000);
  }

  @Test
  void aLaneThatIsBusyIsAlive() {
    start("30s", 1);
    register("sleeper", "import time\ndef f():\n    time.sleep(2.5)\n", spec -> spec);
    Future<FunctionResult> sleeping = ragbus.call("sleeper");
    List<Boolean> up = new ArrayList<>();
    await()
        .until(
            () -> {
              up.add(Await.result(ragbus.health()).up());
              return sleeping.isComplete();
            });

    assertThat(up).doesNotContain(false);
  }

  @Test
  void whatWaitsBehindAnotherIsDroppedBeforeItRuns() {
    start("30s", 1);
    register("sleeper", "import time\ndef f():\n    time.sleep(0.3)\n    return 1\n", spec -> spec);
    register(
        "counting", "count = []\ndef f():\n    count.append(1)\n    return len(count)\n", s -> s);
    Future<FunctionResult> first = ragbus.call("sleeper");

    RagbusException late = timedOut("counting", 50);

    assertThat(late).hasMessageContaining("before the work had started");
    assertThat(Await.result(first).result()).isEqualTo(1);
    assertThat(Await.result(ragbus.call("counting")).result()).isEqualTo(1);
    assertThat(Await.result(ragbus.stats()).functions().dropped()).isOne();
  }

  @Test
  void cancellingEndsWhatWaitsAndWhatRuns() {
    start("30s", 1);
    register("endless", LOOP, spec -> spec.withHardCancel(true));
    Future<FunctionResult> running = ragbus.withRequestId("running").call("endless");
    Future<FunctionResult> waiting = ragbus.withRequestId("waiting").call("two");
    await().until(() -> functionLane().state().equals("busy"));

    ragbus.cancel("waiting");
    assertThat(Await.ragbusFailure(waiting).kind()).isEqualTo(Kind.CANCELLED);
    assertThat(running.isComplete()).isFalse();
    ragbus.cancel("running");
    assertThat(Await.ragbusFailure(running).kind()).isEqualTo(Kind.CANCELLED);
    assertThat(two()).isEqualTo(2);
  }

  @Test
  void anEndlessModuleIsGivenUpToo() {
    start("100ms", 1);
    RagbusException late =
        Await.ragbusFailure(
            ragbus
                .withTimeout(Duration.ofMillis(100))
                .register(
                    FunctionSpec.ofCode(
                        "late",
                        RELEASE + "ragbus.test_gate.wait(60)\n" + "def late():\n    return 1\n")));

    assertThat(late.kind()).isEqualTo(Kind.TIMEOUT);
    await().until(() -> functionLane().replaced() == 1);
    assertThat(two()).isEqualTo(2);
    dev.ragbus.python.TestInterpreter.exec(RELEASE + "ragbus.test_gate.set()");
    assertThat(Await.ragbusFailure(ragbus.call("late")).kind()).isEqualTo(Kind.FUNCTION_NOT_FOUND);
  }

  @Test
  void asyncFunctionsEndAtTheirDeadline() {
    start("30s", 1);
    register(
        "dozing", "import asyncio\nasync def f():\n    await asyncio.sleep(60)\n", spec -> spec);
    timedOut("dozing", 50);
    assertThat(two()).isEqualTo(2);
    assertThat(functionLane().replaced()).isZero();
  }

  @Test
  void aQueueThatIsFullRefuses() {
    service =
        TestService.start(
            vertx,
            new JsonObject()
                .put(
                    "functions",
                    new JsonObject().put("allow_source", true).put("max_queue_items", 3))
                .put("lanes", new JsonObject().put("inference", 1)));
    ragbus = service.ragbus();
    register("slow", "import time\ndef f(x):\n    time.sleep(0.05)\n    return x\n", spec -> spec);
    List<Future<FunctionResult>> calls = new ArrayList<>();
    for (int i = 0; i < 10; i++) {
      calls.add(ragbus.call(FunctionCall.of("slow", i)));
    }

    for (int i = 0; i < 4; i++) {
      assertThat(Await.result(calls.get(i)).result()).isEqualTo(i);
    }
    for (int i = 4; i < 10; i++) {
      RagbusException refused = Await.ragbusFailure(calls.get(i));
      assertThat(refused.kind()).isEqualTo(Kind.OVERLOADED);
      assertThat(refused.retryAfterMillis()).isPositive();
      assertThat(refused).hasMessageContaining("functions.max_queue_items = 3");
    }
  }

  @Test
  void undeployingWithADeafCallIsBounded() {
    start("30s", 1);
    register("deaf", DEAF, spec -> spec);
    Future<FunctionResult> stuck = ragbus.call("deaf");
    await().until(() -> functionLane().state().equals("busy"));
    long started = System.nanoTime();

    service.close();

    assertThat((System.nanoTime() - started) / 1_000_000).isLessThan(10_000);
    assertThat(Await.ragbusFailure(stuck).kind()).isEqualTo(Kind.UNAVAILABLE);
  }
}
