// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import static org.assertj.core.api.Assertions.assertThat;

import dev.ragbus.Await;
import dev.ragbus.FunctionResult;
import dev.ragbus.FunctionSpec;
import dev.ragbus.Ragbus;
import dev.ragbus.RagbusException;
import dev.ragbus.RagbusException.Kind;
import dev.ragbus.Stats;
import dev.ragbus.Tensor;
import dev.ragbus.python.TestInterpreter;
import io.vertx.core.AsyncResult;
import io.vertx.core.Vertx;
import io.vertx.core.json.JsonObject;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** Many calls: none lost, none answered twice, none wrong, no kill that hits another, no leak. */
class FunctionSoakTest {
  /** So many calls have everything in place that stays. */
  private static final int MOST_WARM_UP = 10_000;

  private Vertx vertx;
  private TestService service;
  private Ragbus ragbus;

  @BeforeEach
  void deploy() {
    vertx = Vertx.vertx();
    service =
        TestService.start(
            vertx,
            new JsonObject()
                .put("functions", new JsonObject().put("allow_source", true))
                .put(
                    "lanes",
                    new JsonObject()
                        .put("inference", 1)
                        .put("function", 2)
                        .put("stuck_timeout", "60s")));
    ragbus = service.ragbus();
    register("echo", "def echo(x):\n    return x\n");
    register("endless", "def endless():\n    while True:\n        pass\n");
    register("failing", "def failing(x):\n    raise ValueError(str(x))\n");
    register(
        "spinning",
        "import time\n"
            + "def spinning(x, seconds):\n"
            + "    until = time.monotonic() + seconds\n"
            + "    while time.monotonic() < until:\n        pass\n"
            + "    return x\n");
  }

  @AfterEach
  void undeploy() {
    service.close();
    Await.result(vertx.close());
  }

  private void register(String name, String code) {
    Await.result(ragbus.register(FunctionSpec.ofCode(name, code).withHardCancel(true)));
  }

  private static long blocks() {
    return (Long) TestInterpreter.value("import gc, sys; gc.collect()", "sys.getallocatedblocks()");
  }

  private long residentBytes() {
    return Await.result(ragbus.stats()).residentBytes();
  }

  @Test
  void mixedCallsWithEndlessLoops() throws InterruptedException {
    mixedCalls(2_000);
  }

  @Test
  @Tag("slow")
  @Tag("side-by-side")
  void aHundredThousandMixedCallsWithEndlessLoops() throws InterruptedException {
    mixedCalls(100_000);
  }

  private void mixedCalls(int count) throws InterruptedException {
    AtomicInteger[] replies = new AtomicInteger[count];
    AtomicInteger wrong = new AtomicInteger();
    // Few enough that most of the endless ones get to a lane before their time is over.
    Semaphore underWay = new Semaphore(8);
    CountDownLatch answered = new CountDownLatch(count);
    long residentBefore = residentBytes();
    for (int i = 0; i < count; i++) {
      int call = i;
      replies[i] = new AtomicInteger();
      underWay.acquire();
      (call % 5 == 0
              ? ragbus.withTimeout(Duration.ofMillis(5)).call("endless")
              : ragbus.call(call % 10 == 1 ? "failing" : "echo", call))
          .onComplete(
              result -> {
                if (!isRight(call, result)) {
                  wrong.incrementAndGet();
                }
                replies[call].incrementAndGet();
                underWay.release();
                answered.countDown();
              });
    }
    assertThat(answered.await(20, TimeUnit.MINUTES)).as("all answered").isTrue();
    assertThat(replies).allSatisfy(each -> assertThat(each).hasValue(1));
    assertThat(wrong).hasValue(0);
    Stats.Functions functions = Await.result(ragbus.stats()).functions();
    System.out.printf(
        "%d calls, a fifth endless: lost 0, double 0, wrong 0; resident %d -> %d MB, %d ended by"
            + " exception, %d expired in the queue%n",
        count,
        residentBefore >> 20,
        residentBytes() >> 20,
        functions.tainted(),
        functions.dropped());
    assertThat(functions.tainted()).isGreaterThan(count / 50);
  }

  private static boolean isRight(int call, AsyncResult<FunctionResult> result) {
    if (call % 5 == 0) {
      return result.failed() && ((RagbusException) result.cause()).kind() == Kind.TIMEOUT;
    }
    if (call % 10 == 1) {
      return result.failed()
          && ((RagbusException) result.cause()).detail().equals("ValueError: " + call);
    }
    return result.succeeded() && result.result().result().equals(call);
  }

  @Test
  void killsHitNoInnocentCall() {
    kills(500);
  }

  @Test
  @Tag("slow")
  @Tag("side-by-side")
  void twentyThousandKillsHitNoInnocentCall() {
    kills(20_000);
  }

  /** Calls of about the length of their deadline, each with an innocent one right behind it. */
  private void kills(int count) {
    Random random = new Random(5);
    List<String> hit = new ArrayList<>();
    int timedOut = 0;
    for (int i = 0; i < count; i++) {
      double seconds = (3 + random.nextInt(3)) / 1_000.0 + random.nextDouble() / 1_000;
      var victim = ragbus.withTimeout(Duration.ofMillis(4)).call("spinning", i, seconds);
      var innocent = ragbus.call("echo", i);
      var other = ragbus.call("echo", -i);
      Object result = Await.result(victim.map(FunctionResult::result).otherwise(e -> "timeout"));
      timedOut += "timeout".equals(result) ? 1 : 0;
      if (!"timeout".equals(result) && !result.equals(i)) {
        hit.add("victim " + i + ": " + result);
      }
      innocent.onFailure(e -> hit.add(e.getMessage()));
      other.onFailure(e -> hit.add(e.getMessage()));
      assertThat(Await.result(innocent).result()).isEqualTo(i);
      assertThat(Await.result(other).result()).isEqualTo(-i);
    }
    long tainted = Await.result(ragbus.stats()).functions().tainted();
    System.out.printf("%d calls, %d timed out, %d ended by exception%n", count, timedOut, tainted);
    assertThat(hit).isEmpty();
    assertThat(timedOut).isPositive();
    assertThat(tainted).isPositive();
  }

  @Test
  void callsOfEveryTypeTakeNoMemory() throws InterruptedException {
    everyType(500, 20_000, 256);
  }

  @Test
  @Tag("slow")
  @Tag("side-by-side")
  void aHundredThousandCallsOfEveryTypeTakeNoMemory() throws InterruptedException {
    everyType(100_000, 5_000, 64);
  }

  private void everyType(int calls, int maxBlocks, int maxMegabytes) throws InterruptedException {
    Map<String, Object> values =
        Map.of(
            "number", 1.5,
            "large number", 1L << 60,
            "text", "é 😀".repeat(20),
            "list", List.of(1, 2, List.of(3)),
            "dictionary", Map.of("a", Map.of("b", 1)),
            "floats", Tensor.of(new float[384 * 8], 8, 384),
            "longs", Tensor.of(new long[100]));
    for (Map.Entry<String, Object> value : values.entrySet()) {
      repeat(Math.min(calls, MOST_WARM_UP), value.getValue());
      long blocks = blocks();
      long resident = residentBytes();
      repeat(calls, value.getValue());
      long moreBlocks = blocks() - blocks;
      long moreMegabytes = (residentBytes() - resident) >> 20;
      System.out.printf(
          "%d calls of a %s: %+d blocks, %+d MB%n",
          calls, value.getKey(), moreBlocks, moreMegabytes);
      assertThat(moreBlocks).as(value.getKey()).isLessThan(maxBlocks);
      assertThat(moreMegabytes).as(value.getKey()).isLessThan(maxMegabytes);
    }
  }

  private void repeat(int calls, Object value) throws InterruptedException {
    Semaphore underWay = new Semaphore(8);
    AtomicInteger failed = new AtomicInteger();
    for (int i = 0; i < calls; i++) {
      underWay.acquire();
      ragbus
          .call("echo", value)
          .onFailure(e -> failed.incrementAndGet())
          .onComplete(done -> underWay.release());
    }
    underWay.acquire(8);
    assertThat(failed).hasValue(0);
  }
}
