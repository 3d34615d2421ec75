// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import java.util.Arrays;
import java.util.Objects;

/**
 * The sparse vectors of a request, in the order of its texts: of each, what is not 0.
 *
 * <p>On the local event bus the arrays are shared, not copied: treat them as read-only.
 *
 * @param ends where each vector ends among {@code indices} and {@code values}; it starts where the
 *     one before it ends
 * @param indices the places of all values in their vectors, rising within each: ids of the model's
 *     vocabulary
 * @param values the values of all vectors, one after another; none is 0
 * @param model the model that made them
 * @param dimensions the dimensions of a vector: the size of the model's vocabulary; 0 when there is
 *     none
 * @param usage the tokens read
 */
public record SparseEmbeddings(
    int[] ends, int[] indices, float[] values, String model, int dimensions, Usage usage) {

  /** Checks that the parts fit together. */
  public SparseEmbeddings {
    Objects.requireNonNull(usage, "usage");
    int last = 0;
    for (int end : ends) {
      if (end < last) {
        throw new IllegalArgumentException("a vector ends at " + end + ", before it starts");
      }
      last = end;
    }
    if (last != indices.length || last != values.length) {
      throw new IllegalArgumentException(
          indices.length + " indices and " + values.length + " values are not " + last);
    }
  }

  /** How many vectors there are. */
  public int count() {
    return ends.length;
  }

  /** Where vector {@code index} starts among all indices and values; it ends at {@link #ends}. */
  public int start(int index) {
    Objects.checkIndex(index, ends.length);
    return index == 0 ? 0 : ends[index - 1];
  }

  /** A copy of the places of the values of vector {@code index}. */
  public int[] indices(int index) {
    return Arrays.copyOfRange(indices, start(index), ends[index]);
  }

  /** A copy of the values of vector {@code index}. */
  public float[] values(int index) {
    return Arrays.copyOfRange(values, start(index), ends[index]);
  }

  /** The dot product of two vectors, by which sparse vectors are compared. */
  public double dot(int first, int second) {
    int a = start(first);
    int b = start(second);
    double sum = 0;
    while (a < ends[first] && b < ends[second]) {
      int order = Integer.compare(indices[a], indices[b]);
      if (order == 0) {
        sum += (double) values[a++] * values[b++];
      } else if (order < 0) {
        a++;
      } else {
        b++;
      }
    }
    return sum;
  }

  /** The JSON reply of the contract. */
  public JsonObject toJson() {
    JsonArray rows = new JsonArray();
    for (int row = 0; row < count(); row++) {
      JsonArray places = new JsonArray();
      JsonArray numbers = new JsonArray();
      for (int i = start(row); i < ends[row]; i++) {
        places.add(indices[i]);
        numbers.add(values[i]);
      }
      rows.add(new JsonObject().put("indices", places).put("values", numbers));
    }
    return new JsonObject()
        .put("embeddings", rows)
        .put("model", model)
        .put("dimensions", dimensions)
        .put("count", count())
        .put("usage", JsonBodies.format(usage));
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof SparseEmbeddings that
        && Arrays.equals(ends, that.ends)
        && Arrays.equals(indices, that.indices)
        && Arrays.equals(values, that.values)
        && Objects.equals(model, that.model)
        && dimensions == that.dimensions
        && usage.equals(that.usage);
  }

  @Override
  public int hashCode() {
    int numbers = 31 * Arrays.hashCode(indices) + Arrays.hashCode(values);
    return Objects.hash(Arrays.hashCode(ends), numbers, model, dimensions, usage);
  }

  @Override
  public String toString() {
    return "SparseEmbeddings[" + count() + " x " + dimensions + " by " + model + "]";
  }
}
