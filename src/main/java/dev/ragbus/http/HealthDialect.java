// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

import dev.ragbus.Health;
import dev.ragbus.NoArguments;
import io.vertx.core.Future;
import java.time.Duration;
import java.util.List;
import java.util.function.BooleanSupplier;

/**
 * {@code /health/live}, which tells that HTTP answers and asks nobody, and {@code /health/ready},
 * which asks the service: 200 when it can serve, else 503. Both answer without a key; what the
 * checks found is for those who have one.
 */
final class HealthDialect implements Dialect {
  private static final Duration PATIENCE = Duration.ofSeconds(2);

  private final Dialect errors;
  private final BooleanSupplier draining;

  /** Answers as a server that may be shutting down; errors are in the words of a dialect. */
  HealthDialect(Dialect errors, BooleanSupplier draining) {
    this.errors = errors;
    this.draining = draining;
  }

  private record Status(String status) {}

  @Override
  public List<Operation<?>> operations() {
    return List.of(
        Operation.get(
                "/health/live", call -> Future.succeededFuture(Reply.of(200, new Status("UP"))))
            .allowedTo(Access.OPEN),
        Operation.get("/health/ready", this::ready).allowedTo(Access.OPEN));
  }

  private Future<Reply> ready(Operation.Call<NoArguments> call) {
    return health(call)
        .map(
            health -> {
              boolean ready = ready(health);
              return Reply.of(
                  ready ? 200 : 503,
                  call.caller().covers(Access.USE) ? health : new Status(ready ? "UP" : "DOWN"));
            });
  }

  /** Whether the service can serve. */
  static boolean ready(Health health) {
    return health.up() && health.initialized();
  }

  /** What the service says of itself, unless it is not asked any more; it never fails. */
  Future<Health> health(Operation.Call<NoArguments> call) {
    if (draining.getAsBoolean()) {
      return Future.succeededFuture(
          new Health(
              "DOWN", false, List.of(new Health.Check("http", "DOWN", "it is shutting down"))));
    }
    return call.ragbus().withTimeout(PATIENCE).health().otherwise(HealthDialect::down);
  }

  private static Health down(Throwable failure) {
    return new Health(
        "DOWN", false, List.of(new Health.Check("service", "DOWN", failure.getMessage())));
  }

  @Override
  public Reply.Content error(HttpFailure failure) {
    return errors.error(failure);
  }
}
