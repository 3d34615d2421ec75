// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import dev.ragbus.SparseEmbeddings;
import dev.ragbus.Usage;
import dev.ragbus.python.RowValues;

/** The sparse vectors of one request as they become known, in any order. */
final class SparseRows implements Job.Sink {
  private final RowValues[] rows;

  SparseRows(int count) {
    rows = new RowValues[count];
  }

  @Override
  public void accept(int text, RowValues values) {
    rows[text] = values.copy();
  }

  /** All of them, when everything has run. */
  SparseEmbeddings embeddings(LoadedModel model, Usage usage) {
    int[] ends = new int[rows.length];
    int end = 0;
    for (int row = 0; row < rows.length; row++) {
      end = Math.addExact(end, rows[row].length());
      ends[row] = end;
    }
    int[] indices = new int[end];
    float[] values = new float[end];
    for (int row = 0; row < rows.length; row++) {
      int length = rows[row].length();
      System.arraycopy(rows[row].indices(), 0, indices, ends[row] - length, length);
      System.arraycopy(rows[row].values(), 0, values, ends[row] - length, length);
    }
    int dimensions = rows.length == 0 ? 0 : model.engineModel().dimensions();
    return new SparseEmbeddings(ends, indices, values, model.name(), dimensions, usage);
  }
}
