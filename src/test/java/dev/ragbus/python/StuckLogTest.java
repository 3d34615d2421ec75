// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.python;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.ragbus.Await;
import dev.ragbus.FunctionSpec;
import dev.ragbus.RagbusException.Kind;
import dev.ragbus.Stats;
import dev.ragbus.TokenizeRequest;
import dev.ragbus.service.TestService;
import io.vertx.core.Vertx;
import io.vertx.core.json.JsonObject;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.Test;

/** What a lane that is stuck while it logs stacks costs. */
class StuckLogTest {
  private static final String STUCK =
      "def stuck():\n    import time\n    until = time.monotonic() + 8\n"
          + "    while time.monotonic() < until:\n        time.sleep(0.01)\n";

  private static final String WAIT =
      """
      import ragbus.bridge, threading
      ragbus.bridge.released, ragbus.bridge.logged = threading.Event(), ragbus.bridge._OPERATIONS['log_stacks']
      def wait():
          ragbus.bridge.released.wait()
          return {}
      ragbus.bridge._OPERATIONS['log_stacks'] = wait
      """;

  private static final String RELEASE =
      """
      import ragbus.bridge
      ragbus.bridge._OPERATIONS['log_stacks'] = ragbus.bridge.logged
      ragbus.bridge.released.set()
      del ragbus.bridge.released, ragbus.bridge.logged
      """;

  @Test
  void theControlLaneIsReplacedOnceAndServesOn() {
    Vertx vertx = Vertx.vertx();
    JsonObject lanes = new JsonObject().put("stuck_timeout", "500ms");
    JsonObject config =
        new JsonObject()
            .put("functions", new JsonObject().put("allow_source", true))
            .put("lanes", lanes);
    try (TestService service = TestService.start(vertx, config)) {
      TestInterpreter.exec(WAIT);
      try {
        Await.result(service.ragbus().register(FunctionSpec.ofCode("stuck", STUCK)));
        assertThat(
                Await.ragbusFailure(
                        service.ragbus().withTimeout(Duration.ofMillis(50)).call("stuck"))
                    .kind())
            .isEqualTo(Kind.TIMEOUT);
        await().until(() -> replaced(service, "control") == 1);
        TokenizeRequest request = new TokenizeRequest(List.of("still here"), null, null);
        assertThat(Await.result(service.ragbus().tokenize(request)).tokens()).hasSize(1);
        assertThat(replaced(service, "function")).isEqualTo(1);
        assertThat(replaced(service, "control")).isEqualTo(1);
      } finally {
        TestInterpreter.exec(RELEASE);
      }
    } finally {
      Await.result(vertx.close());
    }
  }

  /** -1 where the lane that was asked has been given up meanwhile. */
  private static long replaced(TestService service, String role) {
    return Await.result(
        service
            .ragbus()
            .stats()
            .map(
                stats ->
                    stats.lanes().stream()
                        .filter(lane -> lane.role().equals(role))
                        .mapToLong(Stats.Lane::replaced)
                        .sum())
            .otherwise(-1L));
  }
}
