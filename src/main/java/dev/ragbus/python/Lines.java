// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.python;

import java.util.Arrays;

/**
 * Lines of ids that rows are put into behind each other, each row where the least room is left
 * ("best fit"). Not shared between threads.
 */
public final class Lines {
  /** A width that lines of several rows often have; {@code docs/performance.md} says why. */
  public static final int COMMON_WIDTH = 96;

  private final int width;
  private final int[] used;
  private int count;

  /**
   * Made empty.
   *
   * @param width the ids of a line
   * @param most the most lines
   */
  public Lines(int width, int most) {
    this.width = width;
    this.used = new int[most];
  }

  /** How many lines have a row. */
  public int count() {
    return count;
  }

  /** The longest row that can be put. */
  public int room() {
    return count < used.length ? width : width - Arrays.stream(used).min().orElse(width);
  }

  /** The ids that all lines have room for. */
  public int free() {
    return width * used.length - Arrays.stream(used).sum();
  }

  /**
   * Puts a row.
   *
   * @return where it begins among the ids of all lines; -1 if there is no room for it
   */
  public int put(int length) {
    int best = -1;
    for (int line = 0; line < count; line++) {
      if (used[line] + length <= width && (best < 0 || used[line] > used[best])) {
        best = line;
      }
    }
    if (best < 0) {
      if (length > width || count == used.length) {
        return -1;
      }
      best = count++;
    }
    used[best] += length;
    return best * width + used[best] - length;
  }
}
