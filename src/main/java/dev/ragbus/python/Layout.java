// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.python;

import java.util.Arrays;
import java.util.Comparator;
import java.util.stream.IntStream;

/**
 * Where the rows of a batch lie: lines of ids, in each one row or, where the model packs, several
 * behind each other.
 *
 * @param lines how many lines there are
 * @param width the ids of each
 * @param starts where each row begins among the ids of all lines
 */
public record Layout(int lines, int width, int[] starts) {
  /** Attention costs an id so much of the rest as its line's width is of this. */
  private static final int WIDTH_THAT_DOUBLES = 1_300;

  /** Engines make code for each shape they meet, so lines of several rows come in few widths. */
  private static final int[] WIDTHS = {32, 64, Lines.COMMON_WIDTH};

  /**
   * The cheapest layout of rows that have so many tokens each, put in this order. No line is wider
   * than the longest row may be: some models look places up that lie so far into a line.
   */
  static Layout of(Engine.Model model, int[] lengths) {
    int longest = Arrays.stream(lengths).max().orElseThrow();
    int least = model.paddedLength(longest);
    if (!model.packs() || lengths.length == 1) {
      return new Layout(
          lengths.length, least, IntStream.range(0, lengths.length).map(i -> i * least).toArray());
    }
    int all = model.paddedLength(Arrays.stream(lengths).sum());
    return IntStream.concat(IntStream.of(least, all), Arrays.stream(WIDTHS))
        .filter(width -> width >= least && width <= Math.max(least, model.maxTokens()))
        .mapToObj(width -> filled(width, lengths))
        .min(Comparator.comparingLong(Layout::cost))
        .orElseThrow();
  }

  private static Layout filled(int width, int[] lengths) {
    Lines lines = new Lines(width, lengths.length);
    int[] starts = Arrays.stream(lengths).map(lines::put).toArray();
    return new Layout(lines.count(), width, starts);
  }

  private long cost() {
    return (long) tokens() * (WIDTH_THAT_DOUBLES + width);
  }

  /** Ids of all lines, padding too. */
  public int tokens() {
    return lines * width;
  }
}
