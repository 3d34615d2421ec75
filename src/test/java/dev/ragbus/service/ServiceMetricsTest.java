// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.ragbus.ModelInfo;
import dev.ragbus.ModelType;
import dev.ragbus.RagbusException.Kind;
import dev.ragbus.Stats;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.vertx.core.Vertx;
import io.vertx.micrometer.MicrometerMetricsFactory;
import io.vertx.micrometer.MicrometerMetricsOptions;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

class ServiceMetricsTest {
  @Test
  void countsAnswersAndFailuresApart() {
    try (ServiceMetrics metrics = new ServiceMetrics("rag")) {
      ServiceMetrics.Operation embed = metrics.operation("embed");
      for (int i = 0; i < 5; i++) {
        embed.accepted();
      }
      embed.answered(2_000_000);
      embed.answered(4_000_000);
      embed.failed(Kind.TIMEOUT);
      embed.failed(Kind.TIMEOUT);
      Stats.Operation stats = metrics.operations().get("embed");
      assertThat(stats.accepted()).isEqualTo(5);
      assertThat(stats.answered()).isEqualTo(2);
      assertThat(stats.failed()).isEqualTo(Map.of("TIMEOUT", 2L));
      assertThat(stats.p50Millis()).isCloseTo(2, within(0.2));
      assertThat(stats.p99Millis()).isCloseTo(4, within(0.3));
    }
  }

  private static ModelInfo model(String name, long memoryBytes) {
    return new ModelInfo(
        name,
        ModelType.EMBEDDING,
        ModelType.EMBEDDING.cacheKey(name),
        4,
        "mean",
        null,
        64,
        "fake",
        "f32",
        "ready",
        memoryBytes,
        1,
        1,
        null,
        null);
  }

  @Test
  void anOperationHasItsMetersOnce() {
    try (ServiceMetrics metrics = new ServiceMetrics("rag")) {
      assertThat(metrics.operation("embed")).isSameAs(metrics.operation("embed"));
      metrics.operation("rerank");
      assertThat(metrics.operations()).containsOnlyKeys("embed", "rerank");
    }
  }

  @Test
  void metersAreTheApplicationsTooUntilClosed() {
    MeterRegistry registry = new SimpleMeterRegistry();
    Vertx vertx =
        Vertx.builder()
            .withMetrics(new MicrometerMetricsFactory(registry))
            .with(
                new io.vertx.core.VertxOptions()
                    .setMetricsOptions(new MicrometerMetricsOptions().setEnabled(true)))
            .build();
    try {
      ServiceMetrics metrics = new ServiceMetrics("pre");
      metrics.observe(new Stats.Queue(3, 40, 5, 6, 70, 80, 9, 10, 11));
      metrics.observe(new Stats.ModelCache(11, 12, 13, 14, 15, 16, 1_700), List.of(model("a", 5)));
      metrics.operation("embed").accepted();
      metrics.operation("embed").failed(Kind.INVALID);
      assertThat(registry.get("ragbus.queue.items").tag("prefix", "pre").gauge().value())
          .isEqualTo(3);
      assertThat(registry.get("ragbus.queue.tokens").gauge().value()).isEqualTo(40);
      assertThat(registry.get("ragbus.rows.dropped").functionCounter().count()).isEqualTo(9);
      assertThat(registry.get("ragbus.rows.coalesced").functionCounter().count()).isEqualTo(10);
      assertThat(registry.get("ragbus.rows.cached").functionCounter().count()).isEqualTo(11);
      assertThat(registry.get("ragbus.requests").tag("operation", "embed").counter().count())
          .isEqualTo(1);
      assertThat(registry.get("ragbus.failures").tag("kind", "INVALID").counter().count())
          .isEqualTo(1);
      assertThat(registry.get("ragbus.model.hits").functionCounter().count()).isEqualTo(11);
      assertThat(registry.get("ragbus.model.misses").functionCounter().count()).isEqualTo(12);
      assertThat(registry.get("ragbus.model.load").functionTimer().count()).isEqualTo(13);
      assertThat(registry.get("ragbus.model.load").functionTimer().totalTime(TimeUnit.SECONDS))
          .isEqualTo(1.7);
      assertThat(registry.get("ragbus.model.loads.failed").functionCounter().count()).isEqualTo(14);
      assertThat(registry.get("ragbus.model.loads.cancelled").functionCounter().count())
          .isEqualTo(15);
      assertThat(registry.get("ragbus.model.evictions").functionCounter().count()).isEqualTo(16);
      assertThat(registry.get("ragbus.model.memory").tag("model", "embedding:a").gauge().value())
          .isEqualTo(5);
      metrics.observe(new Stats.ModelCache(0, 0, 0, 0, 0, 0, 0), List.of(model("b", 6)));
      assertThat(registry.get("ragbus.model.memory").gauges())
          .extracting(gauge -> gauge.getId().getTag("model"))
          .containsExactly("embedding:b");
      metrics.ran(3, 20, 24, 5_000_000);
      assertThat(registry.get("ragbus.pass").timer().totalTime(TimeUnit.MILLISECONDS)).isEqualTo(5);
      assertThat(registry.get("ragbus.pass.rows").summary().totalAmount()).isEqualTo(3);
      assertThat(registry.get("ragbus.pass.tokens").summary().totalAmount()).isEqualTo(20);
      assertThat(registry.get("ragbus.pass.padded.tokens").summary().totalAmount()).isEqualTo(24);
      metrics.observe(
          List.of(
              new Stats.Lane("a", "inference", "busy", 1, 2, 1),
              new Stats.Lane("b", "inference", "idle", 1, 1, 0),
              new Stats.Lane("c", "control", "busy", 1, 0, 0)),
          4);
      assertThat(registry.get("ragbus.streams.open").gauge().value()).isEqualTo(4);
      assertThat(registry.get("ragbus.lanes").tag("role", "inference").gauge().value())
          .isEqualTo(2);
      assertThat(registry.get("ragbus.lanes.busy").tag("role", "inference").gauge().value())
          .isEqualTo(1);
      assertThat(registry.get("ragbus.lanes.abandoned").tag("role", "inference").gauge().value())
          .isEqualTo(1);
      assertThat(
              registry
                  .get("ragbus.lanes.replaced")
                  .tag("role", "inference")
                  .functionCounter()
                  .count())
          .isEqualTo(3);
      metrics.close();
      assertThat(registry.getMeters())
          .filteredOn(meter -> meter.getId().getName().startsWith("ragbus"))
          .isEmpty();
    } finally {
      vertx.close().await();
    }
  }
}
