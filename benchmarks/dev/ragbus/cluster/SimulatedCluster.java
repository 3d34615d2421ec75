// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.cluster;

import dev.ragbus.cluster.SimulatedFront.Policy;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.SplittableRandom;
import java.util.function.IntPredicate;
import java.util.stream.IntStream;

/** Fronts and workers of two lanes each, from the first request to the last answer. */
final class SimulatedCluster {
  /** Of one lane; two of them run as much as docs/performance.md measured on two cores. */
  private static final double TOKENS_PER_SECOND = 18_500;

  private static final int LANES = 2;
  private static final int FAST = 20;
  private static final double HOP_SECONDS = 0.000_25;

  /** Of the requests, those before are not counted: the queues begin empty. */
  private static final double WARM_UP = 0.1;

  /**
   * What is simulated.
   *
   * @param policy how workers are chosen
   * @param workers how many there are
   * @param fast how many of them are 20 times as fast
   * @param fronts how many send to them; a request comes to any
   * @param load what comes over what all workers can do
   * @param announceSeconds how often a worker tells
   * @param requests how many there are
   * @param seed the same seed, workers, load and requests are the same arrivals
   */
  record Setting(
      Policy policy,
      int workers,
      int fast,
      int fronts,
      double load,
      double announceSeconds,
      int requests,
      long seed) {}

  /** The times that half, and 99 in 100, do not exceed. */
  record Quantiles(double p50Millis, double p99Millis) {}

  /**
   * What was seen.
   *
   * @param waiting of all requests, until the first text runs
   * @param answer of all requests, until the answer is back
   * @param query the same of queries alone
   * @param utilisation what ran while requests came, over what all workers can do
   */
  record Figures(Quantiles waiting, Quantiles answer, Quantiles query, double utilisation) {}

  private final Setting setting;
  private final List<Arrivals.Arrival> arrivals;
  private final SplittableRandom random;
  private final VirtualTime time = new VirtualTime();
  private final double[] laneSpeeds;
  private final List<SimulatedLanes> workers = new ArrayList<>();
  private final List<SimulatedFront> fronts = new ArrayList<>();
  private final double[] waitSeconds;
  private final double[] answerSeconds;
  private int answered;
  private long warmTokens;
  private long lastTokens;

  private SimulatedCluster(Setting setting) {
    this.setting = setting;
    this.random = new SplittableRandom(setting.seed + 1);
    this.laneSpeeds = new double[setting.workers];
    Arrays.fill(laneSpeeds, TOKENS_PER_SECOND);
    Arrays.fill(laneSpeeds, 0, setting.fast, TOKENS_PER_SECOND * FAST);
    this.arrivals = Arrivals.of(setting.requests, setting.load * tokensPerSecond(), setting.seed);
    this.waitSeconds = new double[setting.requests];
    this.answerSeconds = new double[setting.requests];
  }

  /** Runs until every request is answered. */
  static Figures run(Setting setting) {
    SimulatedCluster cluster = new SimulatedCluster(setting);
    cluster.start();
    while (cluster.answered < setting.requests) {
      cluster.time.step();
    }
    return cluster.figures();
  }

  private double tokensPerSecond() {
    return LANES * Arrays.stream(laneSpeeds).sum();
  }

  private void start() {
    if (setting.policy == Policy.ONE_QUEUE) {
      List<Double> lanes = new ArrayList<>();
      for (double speed : laneSpeeds) {
        lanes.addAll(Collections.nCopies(LANES, speed));
      }
      workers.add(new SimulatedLanes(time, lanes, LANES));
    } else {
      for (int worker = 0; worker < setting.workers; worker++) {
        int announcer = worker;
        List<Double> lanes = Collections.nCopies(LANES, laneSpeeds[worker]);
        workers.add(new SimulatedLanes(time, lanes, LANES));
        tell(worker);
        time.after(random.nextDouble() * setting.announceSeconds, () -> announce(announcer));
      }
    }
    for (int front = 0; front < setting.fronts; front++) {
      fronts.add(new SimulatedFront(setting.policy, front, workers.size(), random.split()));
    }
    time.after(arrivals.get(0).atSeconds(), () -> arrive(0));
  }

  private void announce(int worker) {
    tell(worker);
    time.after(setting.announceSeconds, () -> announce(worker));
  }

  private void tell(int worker) {
    long tokens = workers.get(worker).heldTokens();
    double tokensPerSecond = LANES * laneSpeeds[worker];
    time.after(
        HOP_SECONDS,
        () -> fronts.forEach(front -> front.announced(worker, tokens, tokensPerSecond)));
  }

  private void arrive(int number) {
    Arrivals.Arrival arrival = arrivals.get(number);
    SimulatedFront front = fronts.get(random.nextInt(fronts.size()));
    int worker = front.send(arrival.tokens());
    SimulatedRequest[] sent = new SimulatedRequest[1];
    Runnable answer =
        () -> {
          waitSeconds[number] = sent[0].startedAtSeconds - arrival.atSeconds();
          time.after(
              HOP_SECONDS,
              () -> {
                front.ended(worker, arrival.tokens());
                answerSeconds[number] = time.nowSeconds() - arrival.atSeconds();
                answered++;
              });
        };
    sent[0] = new SimulatedRequest(number, arrival, answer);
    time.after(HOP_SECONDS, () -> workers.get(worker).accept(sent[0]));
    if (number == firstCounted()) {
      warmTokens = ranTokens();
    }
    if (number + 1 == setting.requests) {
      lastTokens = ranTokens();
    } else {
      double untilNext = arrivals.get(number + 1).atSeconds() - arrival.atSeconds();
      time.after(untilNext, () -> arrive(number + 1));
    }
  }

  private int firstCounted() {
    return (int) (setting.requests * WARM_UP);
  }

  private long ranTokens() {
    return workers.stream().mapToLong(SimulatedLanes::ranTokens).sum();
  }

  private Figures figures() {
    double seconds =
        arrivals.get(setting.requests - 1).atSeconds() - arrivals.get(firstCounted()).atSeconds();
    return new Figures(
        quantiles(waitSeconds, number -> true),
        quantiles(answerSeconds, number -> true),
        quantiles(answerSeconds, number -> arrivals.get(number).isQuery()),
        (lastTokens - warmTokens) / seconds / tokensPerSecond());
  }

  private Quantiles quantiles(double[] seconds, IntPredicate counted) {
    double[] sorted =
        IntStream.range(firstCounted(), seconds.length)
            .filter(counted)
            .mapToDouble(number -> seconds[number] * 1000)
            .sorted()
            .toArray();
    return new Quantiles(sorted[sorted.length / 2], sorted[(int) (sorted.length * 0.99)]);
  }
}
