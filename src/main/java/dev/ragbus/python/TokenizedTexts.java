// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.python;

import java.util.List;
import java.util.stream.IntStream;

/**
 * Rows of tokens as Python hands them over in one array: the number of rows, four numbers a row
 * (text, length, boundary, total), then all ids one after another. Immutable by convention: the
 * array is not copied.
 */
public final class TokenizedTexts {
  private static final int HEADER = 4;

  private final int[] data;
  private final int[] offsets;
  private final int firstRow;
  private final int firstText;
  private final int rows;

  /** Reads the array; it is kept. */
  public TokenizedTexts(int[] data) {
    this.data = data;
    this.offsets = new int[data[0]];
    this.firstRow = 0;
    this.firstText = 0;
    this.rows = data[0];
    int offset = 1 + HEADER * data[0];
    for (int row = 0; row < offsets.length; row++) {
      offsets[row] = offset;
      offset += length(row);
    }
    if (offset != data.length) {
      throw new IllegalArgumentException(
          "tokenized array has " + data.length + " numbers, its header says " + offset);
    }
  }

  /**
   * Rows of ids that are run as they are, cut where they are too long.
   *
   * @param ids one list a row
   * @param maxTokens the most of a row
   * @param left whether the beginning is cut rather than the end
   */
  public static TokenizedTexts of(List<List<Integer>> ids, int maxTokens, boolean left) {
    IntStream.Builder data = IntStream.builder();
    data.add(ids.size());
    for (int row = 0; row < ids.size(); row++) {
      int total = ids.get(row).size();
      int length = Math.min(total, maxTokens);
      data.add(row).add(length).add(length).add(total);
    }
    for (List<Integer> row : ids) {
      int length = Math.min(row.size(), maxTokens);
      int from = left ? row.size() - length : 0;
      row.subList(from, from + length).forEach(data::add);
    }
    return new TokenizedTexts(data.build().toArray());
  }

  private TokenizedTexts(TokenizedTexts whole, int firstRow, int rows) {
    this.data = whole.data;
    this.offsets = whole.offsets;
    this.firstRow = firstRow;
    this.firstText = data[1 + HEADER * firstRow];
    this.rows = rows;
  }

  /** Some of the rows, whose texts count from 0 again. */
  public TokenizedTexts slice(int from, int count) {
    return new TokenizedTexts(this, firstRow + from, count);
  }

  /** How many rows there are. */
  public int rows() {
    return rows;
  }

  private int header(int row, int field) {
    return data[1 + HEADER * (firstRow + row) + field];
  }

  /** The index of the text that the row is of. */
  public int text(int row) {
    return header(row, 0) - firstText;
  }

  /** Tokens of all rows. */
  public int tokens() {
    return IntStream.range(0, rows).map(this::length).sum();
  }

  /** Tokens of the row. */
  public int length(int row) {
    return header(row, 1);
  }

  /** Tokens of the row and of what was cut beside it. */
  public int total(int row) {
    return header(row, 3);
  }

  /** The row as it is run. */
  public Engine.TokenRow row(int row, int dimensions, boolean finish) {
    return new Engine.TokenRow(
        data, offsets[firstRow + row], length(row), header(row, 2), dimensions, finish);
  }

  /** All rows as they are run. */
  List<Engine.TokenRow> rowList(int dimensions, boolean finish) {
    return IntStream.range(0, rows()).mapToObj(row -> row(row, dimensions, finish)).toList();
  }
}
