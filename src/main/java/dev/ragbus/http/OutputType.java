// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.core.JsonGenerator;
import dev.ragbus.EmbeddingType;
import dev.ragbus.Embeddings;
import java.io.IOException;
import java.util.Locale;

/** The forms that dialects give vectors in. */
enum OutputType {
  @JsonProperty("float")
  FLOAT(EmbeddingType.FLOAT),
  @JsonProperty("int8")
  INT8(EmbeddingType.INT8),
  @JsonProperty("uint8")
  UINT8(EmbeddingType.UINT8),
  @JsonProperty("binary")
  BINARY(EmbeddingType.BINARY),
  @JsonProperty("ubinary")
  UBINARY(EmbeddingType.UBINARY),
  /** Base64 of little-endian float32. */
  @JsonProperty("base64")
  BASE64(EmbeddingType.FLOAT);

  private final EmbeddingType numbers;

  OutputType(EmbeddingType numbers) {
    this.numbers = numbers;
  }

  /** The numbers it is made of. */
  EmbeddingType numbers() {
    return numbers;
  }

  /** Its name in JSON. */
  String label() {
    return name().toLowerCase(Locale.ROOT);
  }

  /** Writes one vector, which is in these numbers. */
  void write(JsonGenerator json, Embeddings embeddings, int row) throws IOException {
    if (this == BASE64) {
      VectorJson.writeBase64(json, embeddings, row);
    } else {
      VectorJson.writeArray(json, embeddings, row);
    }
  }
}
