// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.python;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.RepetitionInfo;
import org.junit.jupiter.api.Test;

class LayoutTest {
  private static Engine.Model model(boolean packs) {
    return model(packs, 256);
  }

  private static Engine.Model model(boolean packs, int maxTokens) {
    return new Engine.Model(
        1,
        4,
        4,
        false,
        "mean",
        null,
        maxTokens,
        0,
        8,
        packs,
        "fake",
        "asked for",
        "f32",
        0,
        0,
        Map.of(),
        null,
        true,
        null);
  }

  private static Layout packed(int... lengths) {
    return Layout.of(model(true), lengths);
  }

  @Test
  void rowsHaveALineEachWhereTheModelDoesNotPack() {
    Layout layout = Layout.of(model(false), new int[] {3, 17, 9});
    assertThat(List.of(layout.lines(), layout.width(), layout.tokens())).containsExactly(3, 24, 72);
    assertThat(layout.starts()).containsExactly(0, 24, 48);
  }

  @Test
  void aLoneRowHasALineOfItsLength() {
    assertThat(packed(6).width()).isEqualTo(8);
    assertThat(packed(17).width()).isEqualTo(24);
    assertThat(packed(256).width()).isEqualTo(256);
  }

  @Test
  void aFewShortRowsShareOneLine() {
    Layout layout = packed(10, 20, 9);
    assertThat(List.of(layout.lines(), layout.width())).containsExactly(1, 40);
    assertThat(layout.starts()).containsExactly(0, 10, 30);
  }

  @Test
  void noLineIsWiderThanTheModelHasPlaces() {
    Layout layout = packed(200, 150, 100);
    assertThat(List.of(layout.lines(), layout.width())).containsExactly(2, 256);
    assertThat(layout.starts()).containsExactly(0, 256, 406);
    for (int most : new int[] {16, 40, 77, 96}) {
      for (int[] lengths : new int[][] {{most, 1}, {9, 8, 7, 6, 5, 4, 3}, {10, 10, most, 10, 2}}) {
        assertThat(Layout.of(model(true, most), lengths).width()).isLessThanOrEqualTo(most);
      }
    }
  }

  @Test
  void aRowGoesWhereTheLeastRoomIsLeft() {
    Lines lines = new Lines(10, 3);
    assertThat(lines.room()).isEqualTo(10);
    assertThat(List.of(lines.put(6), lines.put(7), lines.put(3), lines.put(4), lines.put(2)))
        .containsExactly(0, 10, 17, 6, 20);
    assertThat(lines.count()).isEqualTo(3);
    assertThat(lines.room()).isEqualTo(8);
    assertThat(lines.free()).isEqualTo(8);
    assertThat(List.of(lines.put(9), lines.put(11), lines.put(8))).containsExactly(-1, -1, 22);
    assertThat(List.of(lines.room(), lines.free())).containsExactly(0, 0);
  }

  @RepeatedTest(10)
  void rowsLieInLinesBesideEachOther(RepetitionInfo repetition) {
    Random random = new Random(repetition.getCurrentRepetition());
    for (int round = 0; round < 300; round++) {
      int most = 1 + random.nextInt(256);
      int[] lengths = random.ints(1 + random.nextInt(40), 1, most + 1).toArray();
      Layout layout = packed(lengths);
      BitSet taken = new BitSet();
      for (int row = 0; row < lengths.length; row++) {
        int start = layout.starts()[row];
        assertThat(start / layout.width())
            .as("the row's line, where it ends too")
            .isEqualTo((start + lengths[row] - 1) / layout.width())
            .isLessThan(layout.lines());
        assertThat(taken.get(start, start + lengths[row]).isEmpty()).isTrue();
        taken.set(start, start + lengths[row]);
      }
      assertThat(layout.width() % 8).isZero();
      assertThat(layout.tokens())
          .isLessThanOrEqualTo(Layout.of(model(false), lengths).tokens())
          .isGreaterThanOrEqualTo(Arrays.stream(lengths).sum());
    }
  }
}
