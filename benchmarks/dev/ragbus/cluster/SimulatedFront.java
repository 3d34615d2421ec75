// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.cluster;

import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

/** Chooses workers by a policy, from what a front knows of them at that moment. */
final class SimulatedFront {
  /** How workers are chosen. */
  enum Policy {
    /** The product's own {@link Router} and {@link Backlog}. */
    RAGBUS,
    /** The same; each front is in one process with a worker, which is one of the two. */
    RAGBUS_NEAR,
    /** Two choices by the same knowledge, drawn alike whatever their speed. */
    TWO_DRAWN_ALIKE,
    /** The least of all by the same knowledge. */
    LEAST_KNOWN,
    /** The one that told least when it last told, whatever was sent since. */
    LEAST_TOLD,
    /** One after another. */
    ROUND_ROBIN,
    /** Any. */
    RANDOM,
    /** None is chosen: all lanes take from one queue. What no routing can reach. */
    ONE_QUEUE
  }

  private static final class Known implements Router.Candidate {
    private final int worker;
    private final Backlog backlog = new Backlog();
    private boolean known;

    Known(int worker) {
      this.worker = worker;
    }

    @Override
    public double waitSeconds() {
      return backlog.waitSeconds();
    }

    @Override
    public double tokensPerSecond() {
      return backlog.tokensPerSecond();
    }

    @Override
    public boolean known() {
      return known;
    }
  }

  private final Policy policy;
  private final int near;
  private final SplittableRandom random;
  private final Router router;
  private final List<Known> workers = new ArrayList<>();
  private int turn;

  /**
   * A front that knows nothing yet.
   *
   * @param near the worker in the same process, where the policy asks for it
   * @param count how many workers there are
   */
  SimulatedFront(Policy policy, int near, int count, SplittableRandom random) {
    this.policy = policy;
    this.near = near;
    this.random = random;
    this.router = new Router(random);
    this.turn = random.nextInt(count);
    for (int worker = 0; worker < count; worker++) {
      workers.add(new Known(worker));
    }
  }

  /** A worker has told what it holds, and its speed. */
  void announced(int worker, long tokens, double tokensPerSecond) {
    Known known = workers.get(worker);
    known.known = true;
    known.backlog.announced(tokens, tokensPerSecond);
  }

  /** The worker that a request of so many tokens is sent to. */
  int send(long tokens) {
    Known chosen =
        switch (policy) {
          case RAGBUS -> router.choose(workers, null);
          case RAGBUS_NEAR -> router.choose(workers, workers.get(near));
          case TWO_DRAWN_ALIKE -> less(any(), any());
          case LEAST_KNOWN, LEAST_TOLD -> leastOfAll();
          case ROUND_ROBIN -> workers.get(turn = (turn + 1) % workers.size());
          case RANDOM, ONE_QUEUE -> any();
        };
    if (policy != Policy.LEAST_TOLD) {
      chosen.backlog.sent(tokens);
    }
    return chosen.worker;
  }

  /** A request of so many tokens is over. */
  void ended(int worker, long tokens) {
    if (policy != Policy.LEAST_TOLD) {
      workers.get(worker).backlog.ended(tokens);
    }
  }

  private Known any() {
    return workers.get(random.nextInt(workers.size()));
  }

  private static Known less(Known one, Known other) {
    return other.waitSeconds() < one.waitSeconds() ? other : one;
  }

  /** Of several with the least, the next after a random place. */
  private Known leastOfAll() {
    int at = random.nextInt(workers.size());
    Known least = workers.get(at);
    for (int others = 1; others < workers.size(); others++) {
      at = at + 1 == workers.size() ? 0 : at + 1;
      least = less(least, workers.get(at));
    }
    return least;
  }
}
