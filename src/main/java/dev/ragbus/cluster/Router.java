// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.cluster;

import java.util.List;
import java.util.random.RandomGenerator;

/**
 * Chooses who gets a request: of two workers that are drawn, the one with less before it (the power
 * of two choices, Mitzenmacher 2001). What other fronts have sent is known as it was a moment ago;
 * drawing keeps many fronts from all running to the one that had least then. Workers of which
 * nothing is known take turns.
 *
 * <p>Knows no time and does nothing else. Belongs to the front's event loop.
 */
final class Router {
  /** One that may be chosen. */
  interface Candidate {
    /** How long it takes for what it has before it, in seconds. */
    double waitSeconds();

    /** Whether that is known, and recent. */
    boolean known();
  }

  private final RandomGenerator random;
  private int turn;

  Router(RandomGenerator random) {
    this.random = random;
  }

  /**
   * The one to send to.
   *
   * @param candidates at least one
   * @param near one of them that costs less to reach and is one of the two; null for none
   */
  <C extends Candidate> C choose(List<C> candidates, C near) {
    int count = candidates.size();
    if (count == 1) {
      return candidates.get(0);
    }
    C first = near;
    int drawn;
    if (near == null) {
      int at = random.nextInt(count);
      first = candidates.get(at);
      drawn = (at + 1 + random.nextInt(count - 1)) % count;
    } else {
      drawn = random.nextInt(count);
    }
    C second = candidates.get(drawn);
    if (!first.known() && !second.known()) {
      turn = (turn + 1) % count;
      return candidates.get(turn);
    }
    if (!second.known()) {
      return first;
    }
    return first.known() && first.waitSeconds() <= second.waitSeconds() ? first : second;
  }
}
