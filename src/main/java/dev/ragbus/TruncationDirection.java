// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import com.fasterxml.jackson.annotation.JsonAlias;
import com.fasterxml.jackson.annotation.JsonProperty;

/** Which end of a text that is too long for its model is cut off. */
public enum TruncationDirection {
  /** The end is cut: the beginning is kept. */
  @JsonProperty("right")
  @JsonAlias("Right")
  RIGHT,
  /** The beginning is cut: the end is kept. */
  @JsonProperty("left")
  @JsonAlias("Left")
  LEFT
}
