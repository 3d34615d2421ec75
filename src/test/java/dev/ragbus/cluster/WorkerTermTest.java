// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.cluster;

import static org.assertj.core.api.Assertions.assertThat;

import dev.ragbus.RagbusOptions;
import io.vertx.core.json.JsonObject;
import java.time.Duration;
import org.junit.jupiter.api.Test;

class WorkerTermTest {
  private static WorkerTerm of(JsonObject cluster) {
    return WorkerTerm.of(RagbusOptions.from(new JsonObject().put("cluster", cluster)).cluster());
  }

  @Test
  void byDefaultThereIsNoEnd() {
    WorkerTerm term = of(new JsonObject());

    assertThat(term.endless()).isTrue();
    assertThat(term.over(Duration.ofDays(4_000), Long.MAX_VALUE, Long.MAX_VALUE)).isNull();
  }

  @Test
  void whatHasComeToItsLimitIsSaid() {
    WorkerTerm term =
        of(
            new JsonObject()
                .put("worker_max_age", "1h")
                .put("worker_max_requests", 1_000)
                .put("worker_memory_megabytes", 900));

    assertThat(term.endless()).isFalse();
    assertThat(term.over(Duration.ofMinutes(59), 999, 900L << 20)).isNull();
    assertThat(term.over(Duration.ofMinutes(60), 0, 0))
        .isEqualTo("3600 s old, cluster.worker_max_age = 3600 s");
    assertThat(term.over(Duration.ZERO, 1_000, 0))
        .isEqualTo("1000 requests, cluster.worker_max_requests = 1000");
    assertThat(term.over(Duration.ZERO, 0, 901L << 20))
        .isEqualTo("901 MB resident, over cluster.worker_memory_megabytes = 900");
  }
}
