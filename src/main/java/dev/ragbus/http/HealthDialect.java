package dev.ragbus.http;

import dev.ragbus.Health;
import dev.ragbus.NoArguments;
import io.vertx.core.Future;
import io.vertx.core.http.HttpMethod;
import java.time.Duration;
import java.util.List;

/**
 * {@code /health/live}, which tells that HTTP answers and asks nobody, and {@code /health/ready},
 * which asks the service: 200 when it can serve, else 503, both with the contract's health as body.
 */
final class HealthDialect implements Dialect {
  private static final Duration PATIENCE = Duration.ofSeconds(2);

  private final Dialect errors;

  HealthDialect(Dialect errors) {
    this.errors = errors;
  }

  private record Live(String status) {}

  @Override
  public List<Operation<?>> operations() {
    return List.of(
        new Operation<>(
            HttpMethod.GET,
            "/health/live",
            null,
            NoArguments.class,
            call -> Future.succeededFuture(Reply.of(200, new Live("UP")))),
        new Operation<>(
            HttpMethod.GET, "/health/ready", null, NoArguments.class, HealthDialect::ready));
  }

  private static Future<Reply> ready(Operation.Call<NoArguments> call) {
    return call.ragbus()
        .withTimeout(PATIENCE)
        .health()
        .otherwise(HealthDialect::down)
        .map(health -> Reply.of(health.up() && health.initialized() ? 200 : 503, health));
  }

  private static Health down(Throwable failure) {
    return new Health(
        "DOWN", false, List.of(new Health.Check("service", "DOWN", failure.getMessage())));
  }

  @Override
  public Reply.Content error(HttpFailure failure) {
    return errors.error(failure);
  }

  @Override
  public String textsField() {
    return errors.textsField();
  }
}
