package dev.ragbus.http;

import dev.ragbus.Health;
import dev.ragbus.NoArguments;
import io.vertx.core.Future;
import java.time.Duration;
import java.util.List;

/**
 * {@code /health/live}, which tells that HTTP answers and asks nobody, and {@code /health/ready},
 * which asks the service: 200 when it can serve, else 503. Both answer without a key; what the
 * checks found is for those who have one.
 */
final class HealthDialect implements Dialect {
  private static final Duration PATIENCE = Duration.ofSeconds(2);

  private final Dialect errors;

  HealthDialect(Dialect errors) {
    this.errors = errors;
  }

  private record Status(String status) {}

  @Override
  public List<Operation<?>> operations() {
    return List.of(
        Operation.get(
                "/health/live", call -> Future.succeededFuture(Reply.of(200, new Status("UP"))))
            .allowedTo(Access.OPEN),
        Operation.get("/health/ready", HealthDialect::ready).allowedTo(Access.OPEN));
  }

  private static Future<Reply> ready(Operation.Call<NoArguments> call) {
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

  /** What the service says of itself; it never fails. */
  static Future<Health> health(Operation.Call<NoArguments> call) {
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
