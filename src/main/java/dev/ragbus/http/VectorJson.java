// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

import com.fasterxml.jackson.core.Base64Variants;
import com.fasterxml.jackson.core.JsonGenerator;
import dev.ragbus.EmbeddingType;
import dev.ragbus.Embeddings;
import dev.ragbus.RagbusException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** Writes vectors, straight from the array they came in. */
final class VectorJson {
  private VectorJson() {}

  /**
   * One vector as an array of numbers: the fewest digits that read back as the same float32, or
   * whole numbers for the quantised types.
   */
  static void writeArray(JsonGenerator json, Embeddings embeddings, int row) throws IOException {
    int width = embeddings.width();
    float[] values = embeddings.values();
    boolean whole = embeddings.type() != EmbeddingType.FLOAT;
    json.writeStartArray(values, width);
    for (int i = row * width; i < (row + 1) * width; i++) {
      if (whole) {
        json.writeNumber((int) values[i]);
      } else {
        json.writeNumber(finite(values[i]));
      }
    }
    json.writeEndArray();
  }

  /** One vector as base64 of little-endian float32, whatever its type. */
  static void writeBase64(JsonGenerator json, Embeddings embeddings, int row) throws IOException {
    int width = embeddings.width();
    ByteBuffer bytes = ByteBuffer.allocate(width * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    bytes.asFloatBuffer().put(embeddings.values(), row * width, width);
    json.writeBinary(Base64Variants.MIME_NO_LINEFEEDS, bytes.array(), 0, bytes.capacity());
  }

  /** JSON has no form for the others. */
  static float finite(float value) {
    if (!Float.isFinite(value)) {
      throw RagbusException.of(RagbusException.Kind.RUNTIME, "the model's answer is not finite");
    }
    return value;
  }
}
