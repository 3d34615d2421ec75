// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.langchain4j;

import dev.ragbus.Ragbus;
import dev.ragbus.RagbusException;
import dev.ragbus.RequestIds;
import io.vertx.core.Context;
import io.vertx.core.Future;
import io.vertx.core.Vertx;
import java.time.Duration;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReferenceArray;
import java.util.function.Function;
import java.util.stream.IntStream;

/**
 * The requests of one call: so many under way at once, refused ones sent again, and all of them
 * cancelled at the first failure or when the caller gives up. Safe from any thread.
 *
 * @param <P> the part of the answer that a request brings
 * @param <T> the whole answer
 */
final class Requests<P, T> {
  /** The first wait before a request is sent again, where its refusal names none; then doubled. */
  private static final long BACKOFF_MILLIS = 100;

  /** How much longer than its own time a request is waited for: a closed Vert.x never answers. */
  private static final long GRACE_MILLIS = 1_000;

  private final Ragbus ragbus;
  private final long timeoutMillis;
  private final RequestLimits limits;
  private final List<Function<Ragbus, Future<P>>> requests;
  private final Function<List<P>, T> whole;

  /** The caller's, where all answers arrive; null for a thread without. */
  private final Context context = Vertx.currentContext();

  private final AtomicInteger next = new AtomicInteger();
  private final AtomicInteger unanswered;
  private final AtomicReferenceArray<P> parts;

  /** The ids of the requests under way. */
  private final Set<String> underWay = ConcurrentHashMap.newKeySet();

  private final CompletableFuture<T> answer = new CompletableFuture<>();

  private Requests(
      Ragbus ragbus,
      Duration timeout,
      RequestLimits limits,
      List<Function<Ragbus, Future<P>>> requests,
      Function<List<P>, T> whole) {
    this.ragbus = ragbus.withTimeout(timeout);
    this.timeoutMillis = timeout.toMillis();
    this.limits = limits;
    this.requests = requests;
    this.whole = whole;
    this.unanswered = new AtomicInteger(requests.size());
    this.parts = new AtomicReferenceArray<>(requests.size());
  }

  /**
   * Sends the requests; there must be one at least. The future fails as {@link Failures} says, and
   * cancelling it cancels the requests.
   *
   * @param timeout the time that each of them has
   */
  static <P, T> CompletableFuture<T> send(
      Ragbus ragbus,
      Duration timeout,
      RequestLimits limits,
      List<Function<Ragbus, Future<P>>> requests,
      Function<List<P>, T> whole) {
    Requests<P, T> all = new Requests<>(ragbus, timeout, limits, requests, whole);
    var unused = all.answer.whenComplete((done, failure) -> all.cancelUnderWay());
    for (int i = 0; i < Math.min(limits.maxUnderWay(), requests.size()); i++) {
      all.sendNext();
    }
    return all.answer;
  }

  private void cancelUnderWay() {
    try {
      underWay.forEach(ragbus::cancel);
    } catch (RejectedExecutionException e) {
      underWay.clear();
    }
  }

  private void sendNext() {
    int index = next.getAndIncrement();
    if (index < requests.size()) {
      send(index, 0);
    }
  }

  private void send(int index, int retries) {
    if (answer.isDone()) {
      return;
    }
    String id = RequestIds.validOrNew(null);
    underWay.add(id);
    var unused =
        reply(index, id)
            .toCompletionStage()
            .toCompletableFuture()
            .orTimeout(timeoutMillis + GRACE_MILLIS, TimeUnit.MILLISECONDS)
            .whenComplete(
                (part, failure) -> {
                  underWay.remove(id);
                  if (failure == null) {
                    answered(index, part);
                  } else {
                    failed(index, retries, failure);
                  }
                });
    if (answer.isDone()) {
      cancelUnderWay();
    }
  }

  private Future<P> reply(int index, String id) {
    try {
      return requests.get(index).apply(ragbus.withRequestId(id));
    } catch (RejectedExecutionException e) {
      return Future.failedFuture(e);
    }
  }

  private void answered(int index, P part) {
    parts.set(index, part);
    if (unanswered.decrementAndGet() > 0) {
      sendNext();
      return;
    }
    List<P> all = IntStream.range(0, parts.length()).mapToObj(parts::get).toList();
    try {
      answer.complete(whole.apply(all));
    } catch (RuntimeException e) {
      answer.completeExceptionally(e);
    }
  }

  private void failed(int index, int retries, Throwable failure) {
    if (retries < limits.maxRetries()
        && failure instanceof RagbusException typed
        && typed.retryable()) {
      long millis = Math.max(typed.retryAfterMillis(), BACKOFF_MILLIS << retries);
      CompletableFuture.delayedExecutor(millis, TimeUnit.MILLISECONDS)
          .execute(() -> onContext(() -> send(index, retries + 1)));
    } else {
      answer.completeExceptionally(Failures.of(failure));
    }
  }

  private void onContext(Runnable action) {
    if (context == null) {
      action.run();
    } else {
      context.runOnContext(v -> action.run());
    }
  }
}
