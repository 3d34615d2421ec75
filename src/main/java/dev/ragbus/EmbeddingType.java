// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import com.fasterxml.jackson.annotation.JsonProperty;

/** The numbers a vector is given in. */
public enum EmbeddingType {
  /** 32-bit floating point, as the model makes them. */
  @JsonProperty("float")
  FLOAT(0),
  /** Signed bytes: {@code round(127·x / max|x|)}, scaled for each vector. */
  @JsonProperty("int8")
  INT8(-128),
  /** Unsigned bytes: the int8 value plus 128. */
  @JsonProperty("uint8")
  UINT8(0),
  /** One bit a dimension, its sign, most significant bit first, as signed bytes. */
  @JsonProperty("binary")
  BINARY(-128),
  /** As {@link #BINARY}, as unsigned bytes. */
  @JsonProperty("ubinary")
  UBINARY(0);

  private final int least;

  EmbeddingType(int least) {
    this.least = least;
  }

  /** Whether a number is one of this type's; those of all but {@link #FLOAT} are bytes. */
  boolean has(float number) {
    return this == FLOAT || number == (int) number && number >= least && number <= least + 255;
  }

  /** The number that a byte is, in a type that is bytes. */
  float number(byte bits) {
    return least < 0 ? bits : bits & 0xff;
  }
}
