// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import dev.ragbus.python.Engine;
import dev.ragbus.python.Engine.ForwardCall;
import dev.ragbus.python.Lines;
import java.util.Arrays;

/**
 * Which rows run together: a pure choice among waiting lengths.
 *
 * <p>Where a model packs, that is who comes next, as many as fill lines of one width ({@link
 * #lines}). Else an engine pass costs about as much as its padded tokens, rows times the longest
 * row, plus a fixed part. So a batch grows from the row whose turn it is to the rows nearest it in
 * length, as long as the padding that one more row causes costs less than a pass of its own would,
 * within a budget of padded tokens and rows.
 *
 * @param maxTokens the most padded tokens; a single row may exceed it
 * @param maxRows the most rows
 */
record BatchLimits(int maxTokens, int maxRows) {
  /** The fixed part of a pass, in tokens; {@code docs/performance.md} says how it was measured. */
  static final int PASS_OVERHEAD_TOKENS = 32;

  /**
   * Chooses a batch around the row whose turn it is.
   *
   * @param waiting how many rows wait, by length
   * @param anchor the length of the row whose turn it is; at least one waits
   * @return how many rows to take, by length; at least one of the anchor's
   */
  int[] next(int[] waiting, int anchor) {
    int[] taken = new int[waiting.length];
    int[] order = new int[maxRows];
    taken[anchor] = 1;
    int longest = anchor;
    int rows = 1;
    while (rows < maxRows) {
      int below = nearestBelow(waiting, taken, longest);
      int above = nearestAbove(waiting, longest);
      long wasteBelow = below < 0 ? Long.MAX_VALUE : longest - below;
      long wasteAbove = above < 0 ? Long.MAX_VALUE : (long) (above - longest) * rows;
      int next = wasteBelow <= wasteAbove ? below : above;
      if (Math.min(wasteBelow, wasteAbove) > PASS_OVERHEAD_TOKENS
          || (rows + 1L) * Math.max(longest, next) > maxTokens) {
        break;
      }
      taken[next]++;
      order[rows++] = next;
      longest = Math.max(longest, next);
    }
    while (!isCommon(rows)) {
      taken[order[--rows]]--;
    }
    return taken;
  }

  /** The lines, empty, that a batch with a row of this length may fill; the model packs. */
  Lines lines(Engine.Model model, int length) {
    int padded = model.paddedLength(length);
    if (padded > maxTokens) {
      return new Lines(length, 1);
    }
    int step = model.widthStep();
    int most = Math.min(maxTokens / step * step, model.maxTokens());
    int width = Math.max(padded, Math.min(Lines.COMMON_WIDTH, most));
    return new Lines(width, maxTokens / width);
  }

  /** Whether rows are as good a batch as would be made of them. */
  boolean suit(ForwardCall batch) {
    int rows = batch.rows().size();
    int padded = batch.layout().tokens();
    return rows <= maxRows
        && (isCommon(rows) || batch.model().packs())
        && (padded <= maxTokens || rows == 1)
        && padded - Arrays.stream(batch.spaces()).sum() <= PASS_OVERHEAD_TOKENS;
  }

  /** Engines make code for each shape they meet, so batches come in few sizes. */
  static boolean isCommon(int rows) {
    return rows <= 4 || rows <= 12 && rows % 2 == 0 || rows % 4 == 0;
  }

  private static int nearestBelow(int[] waiting, int[] taken, int longest) {
    int length = longest;
    while (length >= 0 && taken[length] == waiting[length]) {
      length--;
    }
    return length;
  }

  private static int nearestAbove(int[] waiting, int longest) {
    for (int length = longest + 1; length < waiting.length; length++) {
      if (waiting[length] > 0) {
        return length;
      }
    }
    return -1;
  }
}
