// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import static org.assertj.core.api.Assertions.fail;

import io.vertx.core.Future;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** Waits on the test's own thread for what the service answers. */
public final class Await {
  private static final long SECONDS = 120;

  private Await() {}

  /** The result; the test fails when there is none. */
  public static <T> T result(Future<T> future) {
    try {
      return future.toCompletionStage().toCompletableFuture().get(SECONDS, TimeUnit.SECONDS);
    } catch (ExecutionException e) {
      return fail("failed: " + e.getCause(), e.getCause());
    } catch (InterruptedException | TimeoutException e) {
      return fail("no answer", e);
    }
  }

  /** The failure; the test fails when there is none. */
  public static Throwable failure(Future<?> future) {
    try {
      Object result =
          future.toCompletionStage().toCompletableFuture().get(SECONDS, TimeUnit.SECONDS);
      return fail("succeeded with " + result);
    } catch (ExecutionException e) {
      return e.getCause();
    } catch (InterruptedException | TimeoutException e) {
      return fail("no answer", e);
    }
  }

  /** The typed failure. */
  public static RagbusException ragbusFailure(Future<?> future) {
    Throwable failure = failure(future);
    return failure instanceof RagbusException typed ? typed : fail("untyped", failure);
  }
}
