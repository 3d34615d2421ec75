// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.cluster;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.PriorityQueue;
import java.util.Set;

/**
 * Lanes with one queue, served as {@code dev.ragbus.service.Batcher} does it: requests take turns
 * (self-clocked fair queueing), an idle lane takes a pass of at most 512 tokens at once, and
 * queries run apart from longer texts. A pass takes as long as its tokens do; nothing is refused.
 */
final class SimulatedLanes {
  private static final int MAX_PASS_TOKENS = 512;

  private static final Comparator<SimulatedRequest> BY_TURN =
      Comparator.<SimulatedRequest>comparingDouble(request -> request.turn)
          .thenComparingInt(request -> request.number);

  private final VirtualTime time;
  private final int lanesOfRequest;

  /** The speed of each, in tokens a second; the fastest is taken first. */
  private final PriorityQueue<Double> idle = new PriorityQueue<>(Comparator.reverseOrder());

  private final PriorityQueue<SimulatedRequest> queries = new PriorityQueue<>(BY_TURN);
  private final PriorityQueue<SimulatedRequest> others = new PriorityQueue<>(BY_TURN);
  private double virtualTime;
  private long heldTokens;
  private long ranTokens;

  /**
   * Idle lanes.
   *
   * @param lanes the speed of each, in tokens a second
   * @param lanesOfRequest the most that one request is on at once
   */
  SimulatedLanes(VirtualTime time, List<Double> lanes, int lanesOfRequest) {
    this.time = time;
    this.lanesOfRequest = lanesOfRequest;
    idle.addAll(lanes);
  }

  /** The tokens of the requests that are here, all of a request's until it is answered. */
  long heldTokens() {
    return heldTokens;
  }

  /** The tokens of all passes that have ended. */
  long ranTokens() {
    return ranTokens;
  }

  /** A request has come. */
  void accept(SimulatedRequest request) {
    heldTokens += request.arrival.tokens();
    request.turn = virtualTime;
    queueOf(request).add(request);
    runPasses();
  }

  private PriorityQueue<SimulatedRequest> queueOf(SimulatedRequest request) {
    return request.arrival.isQuery() ? queries : others;
  }

  private void runPasses() {
    while (!idle.isEmpty() && !(queries.isEmpty() && others.isEmpty())) {
      runPass(idle.poll());
    }
  }

  private void runPass(double tokensPerSecond) {
    List<SimulatedRequest> texts = new ArrayList<>();
    int tokens = takeTexts(queueOfFirst(), texts);
    Set<SimulatedRequest> requests = new LinkedHashSet<>(texts);
    requests.forEach(this::takeLane);
    time.after(
        tokens / tokensPerSecond,
        () -> {
          ranTokens += tokens;
          idle.add(tokensPerSecond);
          texts.forEach(request -> request.textsToEnd--);
          requests.forEach(this::leaveLane);
          runPasses();
        });
  }

  private PriorityQueue<SimulatedRequest> queueOfFirst() {
    if (queries.isEmpty() || others.isEmpty()) {
      return queries.isEmpty() ? others : queries;
    }
    return BY_TURN.compare(queries.peek(), others.peek()) < 0 ? queries : others;
  }

  /** Moves the texts whose turn it is into a pass, as their requests; returns its tokens. */
  private int takeTexts(PriorityQueue<SimulatedRequest> queue, List<SimulatedRequest> pass) {
    int tokens = 0;
    while (!queue.isEmpty() && tokens + queue.peek().arrival.tokensPerText() <= MAX_PASS_TOKENS) {
      SimulatedRequest next = queue.poll();
      pass.add(next);
      tokens += next.arrival.tokensPerText();
      next.turn += next.arrival.tokensPerText();
      virtualTime = next.turn;
      next.textsToBegin--;
      if (next.textsToBegin > 0) {
        queue.add(next);
      }
    }
    return tokens;
  }

  private void takeLane(SimulatedRequest request) {
    if (Double.isNaN(request.startedAtSeconds)) {
      request.startedAtSeconds = time.nowSeconds();
    }
    request.lanes++;
    if (request.lanes == lanesOfRequest) {
      queueOf(request).remove(request);
    }
  }

  private void leaveLane(SimulatedRequest request) {
    if (request.lanes == lanesOfRequest && request.textsToBegin > 0) {
      queueOf(request).add(request);
    }
    request.lanes--;
    if (request.textsToEnd == 0) {
      heldTokens -= request.arrival.tokens();
      request.answer.run();
    }
  }
}
