// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class QuantizationTest {
  private static final float[] TWO_ROWS = {0.5f, -1f, 0.25f, 0f, 2f, -4f};

  private static float[] of(EmbeddingType type, int dimensions, float... values) {
    return Quantization.of(values, dimensions, type);
  }

  @Test
  void floatsStayAsTheyAre() {
    assertThat(Quantization.of(TWO_ROWS, 3, EmbeddingType.FLOAT)).isSameAs(TWO_ROWS);
  }

  @Test
  void int8IsScaledByTheLargestOfItsOwnVector() {
    assertThat(of(EmbeddingType.INT8, 3, TWO_ROWS)).containsExactly(64, -127, 32, 0, 64, -127);
  }

  @Test
  void uint8IsInt8Plus128() {
    assertThat(of(EmbeddingType.UINT8, 3, TWO_ROWS)).containsExactly(192, 1, 160, 128, 192, 1);
  }

  @Test
  void aVectorOfZerosStaysOne() {
    assertThat(of(EmbeddingType.INT8, 2, 0f, 0f)).containsExactly(0, 0);
    assertThat(of(EmbeddingType.UBINARY, 2, 0f, 0f)).containsExactly(0);
  }

  @Test
  void bitsAreSignsMostSignificantFirst() {
    float[] values = {1, -1, 0, 1, -1, -1, -1, 1, 1};
    assertThat(of(EmbeddingType.UBINARY, 9, values)).containsExactly(0b10010001, 0b10000000);
    assertThat(of(EmbeddingType.BINARY, 9, values))
        .containsExactly(0b10010001 - 128, 0b10000000 - 128);
  }

  @Test
  void everyRowStartsANewNumber() {
    assertThat(of(EmbeddingType.UBINARY, 3, 1, 1, 1, -1, 1, -1)).containsExactly(0xE0, 0x40);
  }

  @Test
  void signedAndUnsignedBytesAreInRange() {
    assertThat(of(EmbeddingType.BINARY, 8, 1, 1, 1, 1, 1, 1, 1, 1)).containsExactly(127);
    assertThat(of(EmbeddingType.BINARY, 8, -1, -1, -1, -1, -1, -1, -1, -1)).containsExactly(-128);
    assertThat(of(EmbeddingType.UBINARY, 8, 1, 1, 1, 1, 1, 1, 1, 1)).containsExactly(255);
  }

  @Test
  void nothingStaysNothing() {
    for (EmbeddingType type : EmbeddingType.values()) {
      assertThat(of(type, 0)).isEmpty();
    }
  }
}
