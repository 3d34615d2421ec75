// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import dev.ragbus.Timings;

/**
 * How long a request's texts wait, are tokenised and are on lanes. The three together are the time
 * from its coming to the queue to its end: a moment counts as inference while any of its rows is on
 * a lane, else as tokenising while any of its texts is tokenised, else as waiting.
 *
 * <p>Owned by the request's {@link Job}, on the service's event loop.
 */
final class Phases {
  private final ServiceMetrics.Operation meters;
  private long waitingNanos;
  private long tokenizingNanos;
  private long inferenceNanos;
  private long changedNanos;
  private int tokenizing;
  private int passes;
  private boolean over;

  /**
   * Made for a request.
   *
   * @param meters told when it is over; null for none
   */
  Phases(ServiceMetrics.Operation meters) {
    this.meters = meters;
  }

  void submitted(long nowNanos) {
    changedNanos = nowNanos;
  }

  void tokenizingBegins(long nowNanos) {
    advance(nowNanos);
    tokenizing++;
  }

  void tokenizingEnds(long nowNanos) {
    advance(nowNanos);
    tokenizing--;
  }

  void passBegins(long nowNanos) {
    advance(nowNanos);
    passes++;
  }

  void passEnds(long nowNanos) {
    advance(nowNanos);
    passes--;
  }

  /** So much of the pass that has just ended went into tokenising. */
  void tokenizedOnLane(long nanos) {
    if (!over) {
      inferenceNanos -= nanos;
      tokenizingNanos += nanos;
    }
  }

  /** The request is over; what its texts still do does not count. */
  void over(long nowNanos, int tokens) {
    advance(nowNanos);
    over = true;
    if (meters != null) {
      meters.ran(this, tokens);
    }
  }

  private void advance(long nowNanos) {
    if (over) {
      return;
    }
    long nanos = nowNanos - changedNanos;
    changedNanos = nowNanos;
    if (passes > 0) {
      inferenceNanos += nanos;
    } else if (tokenizing > 0) {
      tokenizingNanos += nanos;
    } else {
      waitingNanos += nanos;
    }
  }

  /** Whether there were texts, and nothing is left of them to run. */
  boolean isOver() {
    return over;
  }

  /**
   * What a caller is told.
   *
   * @param totalNanos from the request's arrival to its reply
   */
  Timings timings(long totalNanos) {
    return new Timings(
        waitingNanos / 1e6, tokenizingNanos / 1e6, inferenceNanos / 1e6, totalNanos / 1e6);
  }

  long waitingNanos() {
    return waitingNanos;
  }

  long tokenizingNanos() {
    return tokenizingNanos;
  }

  long inferenceNanos() {
    return inferenceNanos;
  }
}
