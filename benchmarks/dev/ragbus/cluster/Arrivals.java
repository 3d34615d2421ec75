// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.cluster;

import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

/**
 * Requests as they come: a Poisson process with three times the average rate for 100 ms of every
 * second. Three in four are a query of 10 to 30 tokens. The others are texts to index, 60 to 140
 * tokens each in one request, 12 to 256 of them with a heavy tail (bounded Pareto, shape 1.3), 32
 * on average.
 */
final class Arrivals {
  /**
   * A request.
   *
   * @param atSeconds when it comes
   * @param texts how many texts it has
   * @param tokensPerText the tokens of each
   */
  record Arrival(double atSeconds, int texts, int tokensPerText) {
    long tokens() {
      return (long) texts * tokensPerText;
    }

    boolean isQuery() {
      return texts == 1;
    }
  }

  private static final double QUERIES = 0.75;
  private static final double PERIOD_SECONDS = 1;
  private static final double BURST_SECONDS = 0.1;
  private static final double BURST_RATE = 3;
  private static final double CALM_RATE =
      (PERIOD_SECONDS - BURST_SECONDS * BURST_RATE) / (PERIOD_SECONDS - BURST_SECONDS);
  private static final double LEAST_TEXTS = 12;
  private static final double MOST_TEXTS = 256;
  private static final double SHAPE = 1.3;
  private static final double MEAN_TOKENS = 813;

  private Arrivals() {}

  /** So many requests, which come at this many tokens a second on the whole. */
  static List<Arrival> of(int requests, double tokensPerSecond, long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    double perSecond = tokensPerSecond / MEAN_TOKENS;
    List<Arrival> arrivals = new ArrayList<>();
    double at = 0;
    long tokens = 0;
    while (arrivals.size() < requests) {
      boolean burst = at % PERIOD_SECONDS < BURST_SECONDS;
      at += exponential(random) / (perSecond * (burst ? BURST_RATE : CALM_RATE));
      Arrival arrival = next(at, random);
      tokens += arrival.tokens();
      arrivals.add(arrival);
    }
    // Few large requests make much of the load: time is stretched so that it is what was asked for.
    double stretch = tokens / tokensPerSecond / at;
    return arrivals.stream()
        .map(it -> new Arrival(it.atSeconds * stretch, it.texts, it.tokensPerText))
        .toList();
  }

  private static Arrival next(double at, SplittableRandom random) {
    if (random.nextDouble() < QUERIES) {
      return new Arrival(at, 1, random.nextInt(10, 31));
    }
    double most = 1 - Math.pow(LEAST_TEXTS / MOST_TEXTS, SHAPE);
    double texts = LEAST_TEXTS / Math.pow(1 - most * random.nextDouble(), 1 / SHAPE);
    return new Arrival(at, (int) Math.round(texts), random.nextInt(60, 141));
  }

  private static double exponential(SplittableRandom random) {
    return -Math.log1p(-random.nextDouble());
  }
}
