// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.python;

import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/**
 * The numbers that came of one row. Rows of a batch share the arrays, which nobody changes.
 *
 * @param values an array that holds the numbers
 * @param indices of a sparse model's row, an array that holds, at the same places, which entry of
 *     the vocabulary each number is of; null where every output has its number
 * @param offset where they start in it
 * @param length how many there are
 */
public record RowValues(float[] values, int[] indices, int offset, int length) {

  /** The rows of {@code [rows, outputs]} numbers, row-major. */
  public static List<RowValues> dense(float[] values, int outputs) {
    return IntStream.range(0, values.length / outputs)
        .mapToObj(row -> new RowValues(values, null, row * outputs, outputs))
        .toList();
  }

  /** The rows of a sparse model, one after another. */
  static List<RowValues> sparse(float[] values, int[] indices, int[] ends) {
    return IntStream.range(0, ends.length)
        .mapToObj(
            row -> {
              int start = row == 0 ? 0 : ends[row - 1];
              return new RowValues(values, indices, start, ends[row] - start);
            })
        .toList();
  }

  /** One of its numbers. */
  public float value(int at) {
    return values[offset + at];
  }

  /** Whether all of them are finite. */
  public boolean isFinite() {
    // NaN and infinities make the product NaN; so no branch in the loop.
    float product = 0;
    for (int i = offset; i < offset + length; i++) {
      product += values[i] * 0f;
    }
    return product == 0;
  }

  /** The same without the rest of its batch. */
  public RowValues copy() {
    float[] own = Arrays.copyOfRange(values, offset, offset + length);
    int[] places = indices == null ? null : Arrays.copyOfRange(indices, offset, offset + length);
    return new RowValues(own, places, 0, length);
  }

  /** Bytes of its numbers. */
  public int bytes() {
    return length * (indices == null ? Float.BYTES : Float.BYTES + Integer.BYTES);
  }
}
