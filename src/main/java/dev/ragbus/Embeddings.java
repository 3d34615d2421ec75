// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import java.util.Arrays;
import java.util.Objects;

/**
 * The vectors of a request: {@code [count, width]}, row-major, in the order of its texts.
 *
 * <p>On the local event bus the array is shared, not copied: treat it as read-only.
 *
 * @param values the numbers of all vectors, one after another; whole numbers unless {@code type} is
 *     {@link EmbeddingType#FLOAT}
 * @param model the model that made them
 * @param dimensions the dimensions of a vector; 0 when there is none
 * @param count how many vectors there are
 * @param type the numbers they are given in; the binary types pack eight dimensions into a number
 * @param usage the tokens read
 */
public record Embeddings(
    float[] values, String model, int dimensions, int count, EmbeddingType type, Usage usage) {

  /** Checks that the parts fit together. */
  public Embeddings {
    Objects.requireNonNull(values, "values");
    Objects.requireNonNull(type, "type");
    Objects.requireNonNull(usage, "usage");
    if (count < 0 || dimensions < 0 || values.length != (long) count * width(dimensions, type)) {
      throw new IllegalArgumentException(
          values.length + " values are not " + count + " vectors of " + dimensions + " dimensions");
    }
    if (type != EmbeddingType.FLOAT) {
      for (float value : values) {
        if (!type.has(value)) {
          throw new IllegalArgumentException(value + " is no number of " + type);
        }
      }
    }
  }

  /** Numbers in one vector: the dimensions, or an eighth of them for the binary types. */
  public int width() {
    return width(dimensions, type);
  }

  private static int width(int dimensions, EmbeddingType type) {
    return switch (type) {
      case FLOAT, INT8, UINT8 -> dimensions;
      case BINARY, UBINARY -> (int) ((dimensions + 7L) / 8);
    };
  }

  /** A copy of vector {@code index}, {@link #width()} numbers. */
  public float[] row(int index) {
    Objects.checkIndex(index, count);
    return Arrays.copyOfRange(values, index * width(), (index + 1) * width());
  }

  /**
   * The same vectors in other numbers; itself for the type it has.
   *
   * @throws IllegalStateException unless this is {@link EmbeddingType#FLOAT} or of that type
   */
  public Embeddings as(EmbeddingType other) {
    if (other == type) {
      return this;
    }
    if (type != EmbeddingType.FLOAT) {
      throw new IllegalStateException(type + " vectors cannot be made " + other);
    }
    float[] made = Quantization.of(values, dimensions, other);
    return new Embeddings(made, model, dimensions, count, other, usage);
  }

  /** The dot product of two vectors: their cosine similarity when they are normalised. */
  public double dot(int first, int second) {
    Objects.checkIndex(first, count);
    Objects.checkIndex(second, count);
    int width = width();
    double sum = 0;
    for (int i = 0; i < width; i++) {
      sum += (double) values[first * width + i] * values[second * width + i];
    }
    return sum;
  }

  /** The JSON reply of the contract. */
  public JsonObject toJson() {
    JsonArray rows = new JsonArray();
    int width = width();
    for (int row = 0; row < count; row++) {
      JsonArray vector = new JsonArray();
      for (int i = row * width; i < (row + 1) * width; i++) {
        if (type == EmbeddingType.FLOAT) {
          vector.add(values[i]);
        } else {
          vector.add((int) values[i]);
        }
      }
      rows.add(vector);
    }
    return new JsonObject()
        .put("embeddings", rows)
        .put("model", model)
        .put("dimensions", dimensions)
        .put("count", count)
        .put("usage", JsonBodies.format(usage));
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Embeddings that
        && Arrays.equals(values, that.values)
        && Objects.equals(model, that.model)
        && dimensions == that.dimensions
        && count == that.count
        && type == that.type
        && usage.equals(that.usage);
  }

  @Override
  public int hashCode() {
    return Objects.hash(Arrays.hashCode(values), model, dimensions, count, type, usage);
  }

  @Override
  public String toString() {
    return "Embeddings[" + count + " x " + dimensions + " " + type + " by " + model + "]";
  }
}
