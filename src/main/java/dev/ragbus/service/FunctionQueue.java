// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import dev.ragbus.RagbusException;
import dev.ragbus.RagbusException.Kind;
import dev.ragbus.RagbusOptions;
import dev.ragbus.python.FunctionLanes;
import io.vertx.core.AsyncResult;
import io.vertx.core.Future;
import io.vertx.core.Promise;
import io.vertx.core.Vertx;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.function.IntFunction;
import java.util.function.LongSupplier;

/**
 * Keeps the function lanes busy, first come first served, and ends what outlives its deadline.
 *
 * <p>Whoever submits work is answered at its deadline by a timer, whatever Python does. Work that
 * waits is dropped then. Work that runs is told to end; where it allows that, an exception is
 * thrown into it; and where neither helps, its lane's thread is given up after {@code
 * lanes.stuck_timeout}. Belongs to the service's event loop.
 */
final class FunctionQueue {
  /** So many threads may be lost to calls that do not end; then no new ones are taken. */
  static final int MAX_ABANDONED = 2;

  /** Work may be told to end just before it begins, and not hear it: it is told again. */
  private static final long AGAIN_MILLIS = 50;

  private static final long MIN_RETRY_MILLIS = 100;
  private static final long MAX_RETRY_MILLIS = 60_000;
  private static final long LAST_NANOS = TimeUnit.HOURS.toNanos(1);

  /**
   * What there is to know of work.
   *
   * @param requestId its request, for {@link #cancel}
   * @param deadlineNanos when its time is over
   * @param call the number by which Python can be told to end it; 0 for none
   * @param hardCancel whether an exception may be thrown into it
   * @param lane the lane it must run on; {@link #ANY_LANE} for whichever is idle
   */
  record Terms(String requestId, long deadlineNanos, long call, boolean hardCancel, int lane) {
    /** For a lane to be chosen. */
    static final int ANY_LANE = -1;

    /** The same work's later parts, on the lane that its first was on. */
    Terms onLane(int lane) {
      return new Terms(requestId, deadlineNanos, call, hardCancel, lane);
    }
  }

  private final Vertx vertx;
  private final FunctionLanes lanes;
  private final RagbusOptions options;
  private final LastRequests requests;
  private final LongSupplier nanoClock;
  private final BitSet idle = new BitSet();
  private final Set<Work<?>> waiting = new LinkedHashSet<>();
  private final Set<Work<?>> running = new LinkedHashSet<>();
  private final Map<String, Set<Work<?>>> byRequest = new LinkedHashMap<>();
  private final List<Promise<Void>> drainWaiters = new ArrayList<>();
  private double meanRunNanos = 1_000_000;
  private long dropped;

  FunctionQueue(
      Vertx vertx,
      FunctionLanes lanes,
      RagbusOptions options,
      LastRequests requests,
      LongSupplier nanoClock) {
    this.vertx = vertx;
    this.lanes = lanes;
    this.options = options;
    this.requests = requests;
    this.nanoClock = nanoClock;
    idle.set(0, lanes.count());
  }

  /**
   * Runs work on the next idle lane, given by its number.
   *
   * @return what came of it; fails with {@code OVERLOADED}, {@code UNAVAILABLE}, {@code TIMEOUT} or
   *     {@code CANCELLED} besides
   */
  <T> Future<T> submit(Terms terms, IntFunction<Future<T>> action) {
    int abandoned = lanes.abandoned();
    if (abandoned >= MAX_ABANDONED) {
      return Future.failedFuture(
          RagbusException.of(
              Kind.UNAVAILABLE,
              abandoned + " threads are stuck in Python; no more functions are run meanwhile"));
    }
    if (waiting.size() >= options.functions().maxQueueItems()) {
      return Future.failedFuture(overloaded());
    }
    long nanosLeft = terms.deadlineNanos() - nanoClock.getAsLong();
    if (nanosLeft <= 0) {
      return Future.failedFuture(tooLate());
    }
    return enqueue(terms, action, nanosLeft);
  }

  /** Runs what must run though the call that it is the end of is over; it is never refused. */
  <T> void submitLast(Terms terms, IntFunction<Future<T>> action) {
    long deadlineNanos = nanoClock.getAsLong() + LAST_NANOS;
    String id = "end of " + terms.requestId();
    enqueue(new Terms(id, deadlineNanos, 0, false, terms.lane()), action, LAST_NANOS);
  }

  private <T> Future<T> enqueue(Terms terms, IntFunction<Future<T>> action, long nanosLeft) {
    Work<T> work = new Work<>(terms, action);
    work.timer = vertx.setTimer(Math.max(1, nanosLeft / 1_000_000), id -> expired(work));
    waiting.add(work);
    byRequest.computeIfAbsent(terms.requestId(), id -> new HashSet<>()).add(work);
    pump();
    return work.promise.future();
  }

  private RagbusException overloaded() {
    double millis = waiting.size() * meanRunNanos / lanes.count() / 1e6;
    return RagbusException.of(
        Kind.OVERLOADED,
        waiting.size()
            + " calls are waiting; the limit is functions.max_queue_items = "
            + options.functions().maxQueueItems(),
        true,
        (long) Math.min(MAX_RETRY_MILLIS, Math.max(MIN_RETRY_MILLIS, millis)),
        null);
  }

  private static RagbusException tooLate() {
    return RagbusException.of(Kind.TIMEOUT, "the deadline passed before the work had started");
  }

  private static RagbusException tooLong() {
    return RagbusException.of(Kind.TIMEOUT, "the deadline passed while the work was running");
  }

  private void pump() {
    for (Work<?> next = runnable(); next != null; next = runnable()) {
      waiting.remove(next);
      if (nanoClock.getAsLong() - next.terms.deadlineNanos() >= 0) {
        dropped++;
        next.settle(tooLate());
      } else {
        int lane = next.terms.lane() < 0 ? idle.nextSetBit(0) : next.terms.lane();
        idle.clear(lane);
        running.add(next);
        next.runOn(lane);
      }
    }
  }

  /** The first that waits and could run now; null for none. */
  private Work<?> runnable() {
    if (idle.isEmpty()) {
      return null;
    }
    for (Work<?> work : waiting) {
      if (work.terms.lane() < 0 || idle.get(work.terms.lane())) {
        return work;
      }
    }
    return null;
  }

  private void expired(Work<?> work) {
    end(work, running.contains(work) ? tooLong() : tooLate());
  }

  /** Drops the work of a request id. */
  void cancel(String requestId) {
    for (Work<?> work : List.copyOf(byRequest.getOrDefault(requestId, Set.of()))) {
      end(work, RagbusException.of(Kind.CANCELLED, "the caller cancelled " + requestId));
    }
  }

  /** Fails everything at once. */
  void failAll(RagbusException failure) {
    for (Set<Work<?>> works : List.copyOf(byRequest.values())) {
      for (Work<?> work : List.copyOf(works)) {
        end(work, failure);
      }
    }
  }

  /** Answers for work that is not wanted any more, and sees to its end. */
  private void end(Work<?> work, RagbusException failure) {
    if (waiting.remove(work)) {
      dropped++;
    } else if (running.contains(work)) {
      stop(work);
    }
    work.settle(failure);
    answerDrained();
  }

  private void stop(Work<?> work) {
    if (work.terms.call() != 0) {
      lanes.cancel(work.terms.call(), work.terms.hardCancel());
      work.againTimer =
          vertx.setPeriodic(
              AGAIN_MILLIS, id -> lanes.cancel(work.terms.call(), work.terms.hardCancel()));
    }
    work.stuckTimer =
        vertx.setTimer(options.lanes().stuckTimeout().toMillis(), id -> lanes.giveUp(work.lane));
  }

  /** Completes when nothing waits and nobody is left to be answered. */
  Future<Void> drained() {
    if (byRequest.isEmpty()) {
      return Future.succeededFuture();
    }
    Promise<Void> promise = Promise.promise();
    drainWaiters.add(promise);
    return promise.future();
  }

  private void answerDrained() {
    if (byRequest.isEmpty() && !drainWaiters.isEmpty()) {
      List<Promise<Void>> waiters = List.copyOf(drainWaiters);
      drainWaiters.clear();
      waiters.forEach(Promise::complete);
    }
  }

  /** Work that waits. */
  int waiting() {
    return waiting.size();
  }

  /** Work on a lane, whether anybody waits for it or not. */
  int running() {
    return running.size();
  }

  /** Work dropped before it ran. */
  long dropped() {
    return dropped;
  }

  /** One piece of work, answered once. */
  private final class Work<T> {
    private final Terms terms;
    private final IntFunction<Future<T>> action;
    private final Promise<T> promise = Promise.promise();
    private long timer;
    private long stuckTimer = -1;
    private long againTimer = -1;
    private int lane;
    private long startedNanos;

    Work(Terms terms, IntFunction<Future<T>> action) {
      this.terms = terms;
      this.action = action;
    }

    void runOn(int lane) {
      this.lane = lane;
      startedNanos = nanoClock.getAsLong();
      requests.runs(LastRequests.Role.FUNCTION, lane, List.of(terms.requestId()));
      action.apply(lane).onComplete(this::ended);
    }

    private void ended(AsyncResult<T> result) {
      running.remove(this);
      requests.rests(LastRequests.Role.FUNCTION, lane, result.cause());
      idle.set(lane);
      meanRunNanos += (nanoClock.getAsLong() - startedNanos - meanRunNanos) / 16;
      if (stuckTimer >= 0) {
        vertx.cancelTimer(stuckTimer);
        vertx.cancelTimer(againTimer);
      }
      if (nanoClock.getAsLong() - terms.deadlineNanos() >= 0) {
        settle(tooLong());
      } else if (result.succeeded()) {
        over();
        promise.tryComplete(result.result());
      } else {
        settle(notRepeatable(result.cause()));
      }
      pump();
      answerDrained();
    }

    /** A function that was running may have done what it does. */
    private static Throwable notRepeatable(Throwable failure) {
      return failure instanceof RagbusException typed && typed.kind() == Kind.LANE_LOST
          ? RagbusException.of(
              Kind.LANE_LOST, typed.detail() + "; it may have been done", false, 0, null)
          : failure;
    }

    void settle(Throwable failure) {
      over();
      promise.tryFail(failure);
    }

    private void over() {
      vertx.cancelTimer(timer);
      Set<Work<?>> ofRequest = byRequest.get(terms.requestId());
      if (ofRequest != null && ofRequest.remove(this) && ofRequest.isEmpty()) {
        byRequest.remove(terms.requestId());
      }
    }
  }
}
