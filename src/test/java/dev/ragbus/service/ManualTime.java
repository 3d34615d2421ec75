// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import io.vertx.core.Context;
import io.vertx.core.Future;
import io.vertx.core.Handler;
import io.vertx.core.Vertx;
import java.lang.reflect.Proxy;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Callable;

/** A clock and timers that move when a test says so; everything runs on the test's own thread. */
final class ManualTime {
  private record Due(long nanos, long id) implements Comparable<Due> {
    @Override
    public int compareTo(Due other) {
      int byTime = Long.compare(nanos, other.nanos);
      return byTime == 0 ? Long.compare(id, other.id) : byTime;
    }
  }

  private final TreeMap<Due, Handler<Long>> timers = new TreeMap<>();
  private long nanos = 1_000_000_000L;
  private long nextId = 1;

  long nanos() {
    return nanos;
  }

  long inMillis(long millis) {
    return nanos + millis * 1_000_000;
  }

  int openTimers() {
    return timers.size();
  }

  void advanceMillis(long millis) {
    long until = inMillis(millis);
    while (!timers.isEmpty() && timers.firstKey().nanos <= until) {
      Map.Entry<Due, Handler<Long>> due = timers.pollFirstEntry();
      nanos = Math.max(nanos, due.getKey().nanos);
      due.getValue().handle(due.getKey().id);
    }
    nanos = until;
  }

  /** A Vertx that has timers and nothing else. */
  @SuppressWarnings("unchecked")
  Vertx vertx() {
    return (Vertx)
        Proxy.newProxyInstance(
            ManualTime.class.getClassLoader(),
            new Class<?>[] {Vertx.class},
            (proxy, method, args) ->
                switch (method.getName()) {
                  case "setTimer" -> set((Long) args[0], (Handler<Long>) args[1]);
                  case "cancelTimer" -> timers.keySet().removeIf(due -> due.id == (Long) args[0]);
                  default -> throw new UnsupportedOperationException(method.toString());
                });
  }

  private long set(long millis, Handler<Long> handler) {
    if (millis < 1) {
      throw new IllegalArgumentException("a timer of " + millis + " ms");
    }
    timers.put(new Due(inMillis(millis), nextId), handler);
    return nextId++;
  }

  /** A context whose blocking work is done at once. */
  static Context context() {
    return (Context)
        Proxy.newProxyInstance(
            ManualTime.class.getClassLoader(),
            new Class<?>[] {Context.class},
            (proxy, method, args) -> {
              if (!method.getName().equals("executeBlocking")) {
                throw new UnsupportedOperationException(method.toString());
              }
              try {
                return Future.succeededFuture(((Callable<?>) args[0]).call());
              } catch (Exception failure) {
                return Future.failedFuture(failure);
              }
            });
  }
}
