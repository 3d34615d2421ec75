// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.cluster;

/**
 * What one worker has before it, as one front knows it: what the front itself has sent and not had
 * answered, which it knows at once, and what others had sent when the worker last told. Belongs to
 * the front's event loop.
 */
final class Backlog {
  /** What a worker is taken to do until it has told. */
  static final double FIRST_TOKENS_PER_SECOND = 10_000;

  private double tokensPerSecond = FIRST_TOKENS_PER_SECOND;
  private long ofOthers;
  private long own;

  /**
   * The worker has told.
   *
   * @param tokens the tokens of the requests that it holds, from whomever
   * @param tokensPerSecond its speed; 0 where it does not know that yet
   */
  void announced(long tokens, double tokensPerSecond) {
    this.ofOthers = Math.max(0, tokens - own);
    this.tokensPerSecond = tokensPerSecond > 0 ? tokensPerSecond : FIRST_TOKENS_PER_SECOND;
  }

  /** The front has sent a request of so many tokens. */
  void sent(long tokens) {
    own += tokens;
  }

  /** A request of so many tokens is over. */
  void ended(long tokens) {
    own -= tokens;
  }

  /** The tokens that it has before it. */
  long tokens() {
    return ofOthers + own;
  }

  /** How long it takes for what it has before it. */
  double waitSeconds() {
    return tokens() / tokensPerSecond;
  }

  /** Its speed, as far as that is known; above 0. */
  double tokensPerSecond() {
    return tokensPerSecond;
  }
}
