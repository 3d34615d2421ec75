// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.cluster;

import java.util.List;
import java.util.random.RandomGenerator;

/**
 * Chooses who gets a request: of two workers that are drawn, the one with less before it (the power
 * of two choices, Mitzenmacher 2001). What other fronts have sent is known as it was a moment ago;
 * drawing keeps many fronts from all running to the one that had least then. A worker is drawn as
 * often as it is fast: were all drawn alike, few fast ones would stand idle while the many slow
 * ones cannot keep up ({@code docs/scaling.md} has the figures). Workers of which nothing is known
 * get nothing while something is known of others; else they take turns.
 *
 * <p>Knows no time and does nothing else. Belongs to the front's event loop.
 */
final class Router {
  /** One that may be chosen. */
  interface Candidate {
    /** How long it takes for what it has before it, in seconds. */
    double waitSeconds();

    /** How fast it is, in tokens a second; above 0. */
    double tokensPerSecond();

    /** Whether that is known, and recent. */
    boolean known();
  }

  private final RandomGenerator random;
  private int turn;

  Router(RandomGenerator random) {
    this.random = random;
  }

  /**
   * The one to send to; of two with as much before them, the faster.
   *
   * @param candidates at least one
   * @param near one of them that costs less to reach and is one of the two; null for none
   */
  <C extends Candidate> C choose(List<C> candidates, C near) {
    double speeds = 0;
    for (C candidate : candidates) {
      speeds += speed(candidate);
    }
    if (speeds == 0) {
      turn = (turn + 1) % candidates.size();
      return candidates.get(turn);
    }
    C first = near != null && near.known() ? near : draw(candidates, null, speeds);
    C second = draw(candidates, first, speeds - speed(first));
    return second == null || isNoWorse(first, second) ? first : second;
  }

  /** One that is known and not the other, each as likely as it is fast; null where none is. */
  private <C extends Candidate> C draw(List<C> candidates, C other, double speeds) {
    double left = random.nextDouble() * speeds;
    C drawn = null;
    for (C candidate : candidates) {
      if (candidate != other && candidate.known()) {
        drawn = candidate;
        left -= candidate.tokensPerSecond();
        if (left < 0) {
          break;
        }
      }
    }
    return drawn;
  }

  private static double speed(Candidate candidate) {
    return candidate.known() ? candidate.tokensPerSecond() : 0;
  }

  private static boolean isNoWorse(Candidate one, Candidate other) {
    int compared = Double.compare(one.waitSeconds(), other.waitSeconds());
    return compared < 0 || compared == 0 && one.tokensPerSecond() >= other.tokensPerSecond();
  }
}
