// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.ragbus.Await;
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
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.logging.Handler;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** A call of C that keeps the interpreter lock: all of Python stands still, Java does not. */
class InterpreterLockTest {
  private static final Duration HELD = Duration.ofSeconds(4);

  private final List<String> lines = new CopyOnWriteArrayList<>();
  private final Logger output = Logger.getLogger("dev.ragbus.python.output");
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

  @BeforeEach
  void deploy() {
    vertx = Vertx.vertx();
    output.addHandler(handler);
    service =
        TestService.start(
            vertx,
            new JsonObject()
                .put("functions", new JsonObject().put("allow_source", true))
                .put("lanes", new JsonObject().put("inference", 1).put("stuck_timeout", "2s")));
    ragbus = service.ragbus();
    Await.result(
        ragbus.register(
            FunctionSpec.ofCode(
                "hold",
                "import ctypes\ndef hold(micros):\n    ctypes.PyDLL(None).usleep(micros)\n"
                    + "    return 'held'\n")));
  }

  @AfterEach
  void undeploy() {
    output.removeHandler(handler);
    service.close();
    Await.result(vertx.close());
  }

  @Test
  void whatKeepsTheLockIsSeenToldAndSurvived() {
    assertThat(Await.result(ragbus.health()).up()).isTrue();
    Future<FunctionResult> held = ragbus.call("hold", HELD.toNanos() / 1_000);
    long started = System.nanoTime();

    RagbusException late =
        Await.ragbusFailure(ragbus.withTimeout(Duration.ofMillis(200)).embed("in time"));
    long answeredMillis = (System.nanoTime() - started) / 1_000_000;
    await().until(() -> !Await.result(ragbus.health()).up());
    long downMillis = (System.nanoTime() - started) / 1_000_000;
    await().until(() -> embed().kind() == Kind.INTERPRETER_LOCKED);
    RagbusException refused = embed();
    Health down = Await.result(ragbus.health());
    assertThat(Await.result(ragbus.listModels()).totalCount()).isPositive();
    assertThat(held.isComplete()).isFalse();

    assertThat(late.kind()).isEqualTo(Kind.TIMEOUT);
    assertThat(answeredMillis).isLessThan(1_500);
    assertThat(downMillis).isLessThan(2_000);
    assertThat(down.checks())
        .filteredOn(check -> check.id().equals("interpreter"))
        .singleElement()
        .satisfies(
            check -> {
              assertThat(check.status()).isEqualTo("DOWN");
              assertThat(check.detail()).startsWith("its lock could not be had for ");
            });
    assertThat(refused.code()).isEqualTo(503);
    assertThat(refused.retryable()).isTrue();
    assertThat(refused.retryAfterMillis()).isPositive();

    assertThat(Await.result(held).result()).isEqualTo("held");
    long releasedNanos = System.nanoTime();
    await().until(() -> Await.result(ragbus.health()).up());
    assertThat(Await.result(ragbus.embed("again")).count()).isOne();
    long recoveredMillis = (System.nanoTime() - releasedNanos) / 1_000_000;
    assertThat(recoveredMillis).isLessThan(2_000);
    System.out.printf(
        "interpreter lock kept: an embedding answered after %d ms, DOWN after %d ms, served again"
            + " %d ms after its release%n",
        answeredMillis, downMillis, recoveredMillis);
    assertThat(Await.result(ragbus.stats()).lanes())
        .extracting(Stats.Lane::replaced)
        .containsOnly(0L);
    await().untilAsserted(() -> assertThat(lines).anyMatch(line -> line.endsWith(" in hold")));
    assertThat(lines).filteredOn(line -> line.startsWith("Timeout (")).hasSize(1);
  }

  private RagbusException embed() {
    return Await.ragbusFailure(ragbus.withTimeout(Duration.ofMillis(50)).embed("in vain"));
  }
}
