// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.cluster;

import dev.ragbus.Addresses;
import dev.ragbus.RagbusException.Kind;
import io.vertx.core.eventbus.Message;
import java.util.HashSet;
import java.util.Set;

/**
 * A request that a front passes on to a worker, and to another one if it must. Belongs to the
 * front's event loop.
 */
final class Forwarded {
  /** The most workers that a request is sent to. */
  private static final int MOST_WORKERS = 3;

  private final Message<Object> message;
  private final Route route;
  private final String name;
  private final long arrivedNanos;
  private final long deadlineNanos;
  private final long tokens;
  private final Set<String> tried = new HashSet<>();
  private boolean repeated;

  Forwarded(
      Message<Object> message,
      Route route,
      String name,
      long arrivedNanos,
      long deadlineNanos,
      long tokens) {
    this.message = message;
    this.route = route;
    this.name = name;
    this.arrivedNanos = arrivedNanos;
    this.deadlineNanos = deadlineNanos;
    this.tokens = tokens;
  }

  Message<Object> message() {
    return message;
  }

  Route route() {
    return route;
  }

  /** The model or function that it names; null for none. */
  String name() {
    return name;
  }

  /** Where its caller wants frames; null for one that is no stream. */
  String streamAddress() {
    return message.headers().get(Addresses.STREAM_ADDRESS_HEADER);
  }

  /** Its tokens, estimated. */
  long tokens() {
    return tokens;
  }

  long arrivedNanos() {
    return arrivedNanos;
  }

  long deadlineNanos() {
    return deadlineNanos;
  }

  long millisLeft(long nowNanos) {
    return (deadlineNanos - nowNanos) / 1_000_000;
  }

  /** It is sent to a worker. */
  void sentTo(Worker worker) {
    tried.add(worker.id());
  }

  /** Whether it was sent to that worker. */
  boolean tried(Worker worker) {
    return tried.contains(worker.id());
  }

  /**
   * Whether it may go to another worker after a failure: where the first had refused it; and where
   * the first may have begun it, once, if doing it twice does no harm. Of a stream it would: a
   * worker that was silent and comes back writes to the same address as the other.
   */
  boolean mayGoElsewhere(Kind kind) {
    if (tried.size() >= MOST_WORKERS) {
      return false;
    }
    return switch (kind) {
      case OVERLOADED, NOT_INITIALIZED, UNAVAILABLE, INTERPRETER_LOCKED -> true;
      case LANE_LOST -> route.repeatable() && !repeated && streamAddress() == null;
      default -> false;
    };
  }

  /** It goes to another worker, though the first may have begun it. */
  void repeat() {
    repeated = true;
  }
}
