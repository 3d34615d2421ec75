// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import dev.ragbus.RagbusException;
import dev.ragbus.RagbusException.Kind;
import dev.ragbus.RagbusOptions;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * What a {@link Batcher} holds, in texts and tokens, and whether another job may come. Belongs to
 * its event loop.
 *
 * <p>Tokens are estimated until they are known. By time a job is refused that would spend most of
 * its own waiting for its turns: since jobs take turns, more of them than can be done in time would
 * all end late, having cost the lanes their time, and nobody would be served.
 */
final class Admission {
  /**
   * So much of its time a job may wait for others; the rest is for itself, and for wrong guesses.
   */
  private static final double MOST_WAITING = 0.5;

  /** How much the newest pass changes what is known of the speed, once many have run. */
  private static final double LEAST_WEIGHT_OF_PASS = 0.1;

  /** Retry-After goes by it until the true speed is known. */
  private static final double FIRST_TOKENS_PER_SECOND = 2_000;

  /** A rough token is this many characters; used until the true number is known. */
  private static final int CHARS_PER_TOKEN = 4;

  private final RagbusOptions.Batching bounds;

  /** The tokens that each job holds. */
  private final Map<Job, Long> tokensByJob = new LinkedHashMap<>();

  private final Map<String, Integer> jobsByCaller = new HashMap<>();
  private long texts;
  private long tokens;
  private long passes;
  private double tokensPerSecond;

  Admission(RagbusOptions.Batching bounds) {
    this.bounds = bounds;
  }

  /**
   * Why a job is refused now; null where it may come.
   *
   * @param newcomers whose first rows would go before a newcomer's, each two batches at most
   */
  RagbusException refusal(Job job, long millisLeft, int newcomers) {
    long more = tokens(job);
    boolean full =
        texts + job.spec().texts().size() > bounds.maxQueueItems()
            || tokens + more > bounds.maxQueueTokens();
    if (full && !tokensByJob.isEmpty()) {
      return overloaded(
          "the limits are max_queue_items = "
              + bounds.maxQueueItems()
              + " and max_queue_tokens = "
              + bounds.maxQueueTokens());
    }
    return waitsTooLong(job, more, millisLeft, 2L * newcomers * bounds.maxBatchTokens())
        ? overloaded("which leave too little of the request's " + millisLeft + " ms")
        : null;
  }

  /** Whether a job of so many tokens would spend most of its time on the turns of others. */
  private boolean waitsTooLong(Job job, long more, long millisLeft, long tokensBeforeNewcomer) {
    double most = tokensPerSecond * millisLeft / 1000 * MOST_WAITING;
    // No job has more turns before this one's last than this one has itself.
    return tokensPerSecond > 0
        && Math.min(tokens, tokensByJob.size() * more) > most
        && tokensByJob.values().stream().mapToLong(held -> Math.min(held, more)).sum() > most
        && !(isNewcomer(job) && job.spec().texts().size() == 1 && tokensBeforeNewcomer <= most);
  }

  private RagbusException overloaded(String why) {
    double speed = tokensPerSecond == 0 ? FIRST_TOKENS_PER_SECOND : tokensPerSecond;
    return RagbusException.of(
        Kind.OVERLOADED,
        texts + " texts with about " + tokens + " tokens are waiting; " + why,
        true,
        (long) Math.min(60_000, Math.max(100, 1000 * tokens / speed)),
        null);
  }

  /** Whether a job's caller has nothing under way. */
  boolean isNewcomer(Job job) {
    return job.caller() != null && !jobsByCaller.containsKey(job.caller());
  }

  /** A job comes. */
  void admit(Job job) {
    if (job.caller() != null) {
      jobsByCaller.merge(job.caller(), 1, Integer::sum);
    }
    texts += job.spec().texts().size();
    hold(job, tokens(job));
  }

  /** All tokens of a job are known. */
  void holdTrueTokens(Job job) {
    hold(job, job.promptTokens());
  }

  private void hold(Job job, long held) {
    Long before = tokensByJob.put(job, held);
    tokens += held - (before == null ? 0 : before);
  }

  /** A job is over. */
  void leave(Job job) {
    if (job.caller() != null) {
      jobsByCaller.computeIfPresent(job.caller(), (who, count) -> count == 1 ? null : count - 1);
    }
    texts -= job.spec().texts().size();
    tokens -= tokensByJob.remove(job);
  }

  private static long tokens(Job job) {
    if (job.given() != null) {
      return job.given().tokens();
    }
    Job.Spec spec = job.spec();
    int most = spec.model().engineModel().maxTokens();
    int query = spec.query() == null ? 0 : spec.query().length();
    long tokens = 0;
    for (int text = 0; text < spec.texts().size(); text++) {
      tokens += Math.min(most, (query + spec.chars(text)) / CHARS_PER_TOKEN + 2L);
    }
    return tokens;
  }

  /**
   * A lane has run a pass.
   *
   * @param paddedTokens the tokens that it computed
   * @param lanes how many run as fast side by side
   */
  void ran(long paddedTokens, long nanos, int lanes) {
    // The cost of a pass counts, not its tokens alone: a small one is no slower by that. The first
    // ones, which meet new shapes, are soon outweighed.
    double cost = paddedTokens + BatchLimits.PASS_OVERHEAD_TOKENS;
    double rate = cost * 1e9 / Math.max(1, nanos) * lanes;
    double weight = Math.max(LEAST_WEIGHT_OF_PASS, 1.0 / ++passes);
    tokensPerSecond += weight * (rate - tokensPerSecond);
  }

  /** The texts that are held. */
  long texts() {
    return texts;
  }

  /** The tokens that are held, as far as they are known. */
  long tokens() {
    return tokens;
  }

  /** What all lanes together can run; 0 until it is known. */
  double tokensPerSecond() {
    return tokensPerSecond;
  }
}
