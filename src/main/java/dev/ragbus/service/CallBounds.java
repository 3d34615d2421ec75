// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import java.util.function.IntUnaryOperator;

/**
 * How many texts go to Python in one tokenising call: it cannot be interrupted, and others wait.
 */
final class CallBounds {
  /** The most texts of a call. */
  static final int MAX_TEXTS = 64;

  private static final int MAX_CHARS = 64_000;

  private CallBounds() {}

  /**
   * Where a call that begins with a text ends: after at least one text, and after so many as stay
   * within the bounds.
   *
   * @param chars how many characters a text has, by its index
   * @param texts how many texts there are
   * @param first the index of the call's first text
   * @param maxTexts the most texts of the call
   * @return the index behind its last text
   */
  static int end(IntUnaryOperator chars, int texts, int first, int maxTexts) {
    int sum = chars.applyAsInt(first);
    int end = first + 1;
    while (end < texts && end - first < maxTexts && sum + chars.applyAsInt(end) <= MAX_CHARS) {
      sum += chars.applyAsInt(end++);
    }
    return end;
  }
}
