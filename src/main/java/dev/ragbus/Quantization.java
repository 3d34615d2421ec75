// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

/** Vectors in other numbers than float32: pure functions. */
final class Quantization {
  private Quantization() {}

  /**
   * Vectors in the numbers asked for.
   *
   * @param values {@code [count, dimensions]}, row-major; returned as it is for {@code FLOAT}
   */
  static float[] of(float[] values, int dimensions, EmbeddingType type) {
    return switch (type) {
      case FLOAT -> values;
      case INT8 -> bytes(values, dimensions, 0);
      case UINT8 -> bytes(values, dimensions, 128);
      case BINARY -> bits(values, dimensions, 128);
      case UBINARY -> bits(values, dimensions, 0);
    };
  }

  private static float[] bytes(float[] values, int dimensions, int shift) {
    float[] result = new float[values.length];
    for (int row = 0; row < values.length; row += dimensions) {
      float largest = 0;
      for (int i = row; i < row + dimensions; i++) {
        largest = Math.max(largest, Math.abs(values[i]));
      }
      for (int i = row; i < row + dimensions; i++) {
        result[i] = (largest == 0 ? 0 : Math.round(127 * values[i] / largest)) + shift;
      }
    }
    return result;
  }

  /** Eight signs a number, the first the most significant bit; a shorter rest is filled with 0. */
  private static float[] bits(float[] values, int dimensions, int shift) {
    int width = (dimensions + 7) / 8;
    int count = dimensions == 0 ? 0 : values.length / dimensions;
    float[] result = new float[count * width];
    for (int row = 0; row < count; row++) {
      for (int i = 0; i < dimensions; i++) {
        if (values[row * dimensions + i] > 0) {
          result[row * width + i / 8] += 128 >> (i % 8);
        }
      }
      for (int i = row * width; i < (row + 1) * width; i++) {
        result[i] -= shift;
      }
    }
    return result;
  }
}
