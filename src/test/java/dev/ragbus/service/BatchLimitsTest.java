// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.RepetitionInfo;
import org.junit.jupiter.api.Test;

class BatchLimitsTest {
  @Test
  void takesTheAnchorAloneWhereNothingElseWaits() {
    assertThat(new BatchLimits(512, 32).next(waiting(7), 7)).isEqualTo(waiting(7));
  }

  @Test
  void takesALoneRowBeyondTheBudget() {
    assertThat(new BatchLimits(16, 32).next(waiting(100, 100), 100)).isEqualTo(waiting100(1));
  }

  private static int[] waiting100(int count) {
    int[] waiting = new int[101];
    waiting[100] = count;
    return waiting;
  }

  @Test
  void fillsTheBudgetOfPaddedTokensExactly() {
    BatchLimits limits = new BatchLimits(600, 32);
    assertThat(limits.next(waiting100(10), 100)).isEqualTo(waiting100(6));
    assertThat(new BatchLimits(599, 32).next(waiting100(10), 100)).isEqualTo(waiting100(4));
  }

  @Test
  void takesACommonNumberOfRowsTheLikestOnes() {
    int[] taken = new BatchLimits(512, 32).next(waiting(10, 10, 9, 10, 10, 8, 10), 10);
    assertThat(taken).isEqualTo(Arrays.copyOf(waiting(10, 10, 9, 10, 10, 10), 11));
    for (int rows = 1; rows <= 40; rows++) {
      boolean common = List.of(1, 2, 3, 4, 6, 8, 10, 12, 16, 20, 24, 28, 32, 36, 40).contains(rows);
      assertThat(BatchLimits.isCommon(rows)).as("%s rows", rows).isEqualTo(common);
    }
  }

  @Test
  void fillsTheBudgetOfRowsExactly() {
    int[] many = new int[5];
    many[4] = 100;
    assertThat(new BatchLimits(512, 32).next(many, 4)[4]).isEqualTo(32);
  }

  @Test
  void takesLikeLengthsAndLeavesOthers() {
    int[] taken = new BatchLimits(512, 32).next(waiting(9, 10, 10, 11, 100), 10);
    int[] expected = new int[101];
    expected[9] = 1;
    expected[10] = 2;
    expected[11] = 1;
    assertThat(taken).isEqualTo(expected);
  }

  @Test
  void takesShorterRowsOnlyWhileTheirPaddingIsCheaperThanAPass() {
    int overhead = BatchLimits.PASS_OVERHEAD_TOKENS;
    BatchLimits limits = new BatchLimits(512, 32);
    assertThat(limits.next(waiting(100 - overhead, 100), 100)[100 - overhead]).isOne();
    assertThat(limits.next(waiting(99 - overhead, 100), 100)[99 - overhead]).isZero();
  }

  @Test
  void aLongerRowMustPayForThePaddingOfAllOthers() {
    int overhead = BatchLimits.PASS_OVERHEAD_TOKENS;
    int[] waiting = new int[11 + overhead];
    waiting[10] = 2;
    waiting[10 + overhead / 2] = 1;
    BatchLimits limits = new BatchLimits(512, 32);
    assertThat(limits.next(waiting, 10)[10 + overhead / 2]).isOne();
    waiting[10] = 3;
    assertThat(limits.next(waiting, 10)[10 + overhead / 2]).isZero();
  }

  @RepeatedTest(20)
  void keepsItsBoundsForAnyQueue(RepetitionInfo repetition) {
    Random random = new Random(repetition.getCurrentRepetition());
    for (int round = 0; round < 500; round++) {
      int[] waiting = new int[1 + random.nextInt(300)];
      int rows = 1 + random.nextInt(100);
      for (int i = 0; i < rows; i++) {
        waiting[random.nextInt(waiting.length)]++;
      }
      int anchor =
          Arrays.stream(anchors(waiting))
              .skip(random.nextInt(anchors(waiting).length))
              .findFirst()
              .orElseThrow();
      BatchLimits limits = new BatchLimits(1 + random.nextInt(1_000), 1 + random.nextInt(64));
      int[] before = waiting.clone();
      int[] taken = limits.next(waiting, anchor);
      assertThat(waiting).as("pure").isEqualTo(before);
      check(limits, waiting, anchor, taken);
    }
  }

  private static int[] anchors(int[] waiting) {
    return java.util.stream.IntStream.range(0, waiting.length)
        .filter(i -> waiting[i] > 0)
        .toArray();
  }

  private static void check(BatchLimits limits, int[] waiting, int anchor, int[] taken) {
    assertThat(taken).hasSameSizeAs(waiting);
    assertThat(taken[anchor]).as("anchor").isPositive();
    int rows = 0;
    int longest = 0;
    int shortest = Integer.MAX_VALUE;
    int real = 0;
    for (int length = 0; length < taken.length; length++) {
      assertThat(taken[length]).isBetween(0, waiting[length]);
      rows += taken[length];
      real += taken[length] * length;
      if (taken[length] > 0) {
        longest = length;
        shortest = Math.min(shortest, length);
      }
    }
    assertThat(rows).isBetween(1, limits.maxRows());
    assertThat(BatchLimits.isCommon(rows)).as("%s rows are common", rows).isTrue();
    assertThat(rows == 1 || rows * longest <= limits.maxTokens()).as("budget").isTrue();
    assertThat(rows * longest - real)
        .as("padding")
        .isLessThanOrEqualTo(BatchLimits.PASS_OVERHEAD_TOKENS * (rows - 1));
    for (int length = shortest + 1; length < longest; length++) {
      assertThat(taken[length]).as("nearest first").isEqualTo(waiting[length]);
    }
  }

  /** A queue of rows of these lengths. */
  private static int[] waiting(int... lengths) {
    int[] waiting = new int[Arrays.stream(lengths).max().orElseThrow() + 1];
    for (int length : lengths) {
      waiting[length]++;
    }
    return waiting;
  }
}
