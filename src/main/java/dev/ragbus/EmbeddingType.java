// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import com.fasterxml.jackson.annotation.JsonProperty;

/** The numbers a vector is given in. */
public enum EmbeddingType {
  /** 32-bit floating point, as the model makes them. */
  @JsonProperty("float")
  FLOAT,
  /** Signed bytes: {@code round(127·x / max|x|)}, scaled for each vector. */
  @JsonProperty("int8")
  INT8,
  /** Unsigned bytes: the int8 value plus 128. */
  @JsonProperty("uint8")
  UINT8,
  /** One bit a dimension, its sign, most significant bit first, as signed bytes. */
  @JsonProperty("binary")
  BINARY,
  /** As {@link #BINARY}, as unsigned bytes. */
  @JsonProperty("ubinary")
  UBINARY
}
