package dev.ragbus.examples.search;

import dev.ragbus.RagbusException;
import dev.ragbus.RagbusException.Kind;
import io.vertx.core.Future;
import io.vertx.core.Vertx;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;

/**
 * Calls of Ragbus that change nothing, made again where that can help. At {@code OVERLOADED} a call
 * waits as long as the failure says, as often as it takes; other failures that may pass (starting,
 * a lost lane, a deadline) are tried again every second, {@value #MOST_RETRIES} times.
 *
 * <p>Confined to the event loop of the verticle that made it.
 */
final class PatientCalls {
  private static final int MOST_RETRIES = 30;
  private static final long RETRY_MILLIS = 1_000;
  private static final long LEAST_PAUSE_MILLIS = 20;

  private final Vertx vertx;
  private long pauses;
  private boolean ended;

  PatientCalls(Vertx vertx) {
    this.vertx = vertx;
  }

  /** Makes a call, again and again if need be. */
  <T> Future<T> call(Supplier<Future<T>> call) {
    return call(call, MOST_RETRIES);
  }

  private <T> Future<T> call(Supplier<Future<T>> call, int retries) {
    return call.get()
        .recover(
            failure -> {
              if (ended || !(failure instanceof RagbusException typed && mayPass(typed))) {
                return Future.failedFuture(failure);
              }
              if (typed.kind() == Kind.OVERLOADED) {
                pauses++;
                long pause = Math.max(LEAST_PAUSE_MILLIS, typed.retryAfterMillis());
                return vertx
                    .timer(pause, TimeUnit.MILLISECONDS)
                    .compose(late -> call(call, retries));
              }
              long pause = Math.max(RETRY_MILLIS, typed.retryAfterMillis());
              return retries == 0
                  ? Future.failedFuture(failure)
                  : vertx
                      .timer(pause, TimeUnit.MILLISECONDS)
                      .compose(late -> call(call, retries - 1));
            });
  }

  /** Whether a failure is one of the service as it is, rather than of what it was asked. */
  static boolean mayPass(RagbusException failure) {
    return failure.retryable() || failure.kind() == Kind.TIMEOUT;
  }

  /** How often a call was put off by {@code OVERLOADED}. */
  long pauses() {
    return pauses;
  }

  /** Makes no call again from here on. */
  void end() {
    ended = true;
  }
}
