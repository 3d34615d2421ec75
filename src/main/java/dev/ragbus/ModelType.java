// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import com.fasterxml.jackson.annotation.JsonProperty;

/** What a model does. */
public enum ModelType {
  /** Texts to vectors. */
  @JsonProperty("embedding")
  EMBEDDING("embedding"),
  /** Texts to sparse vectors over its vocabulary. */
  @JsonProperty("sparse")
  SPARSE("sparse"),
  /** Texts, or pairs of them, to labels with scores. */
  @JsonProperty("classifier")
  CLASSIFIER("classifier"),
  /** A query and a text to a score. */
  @JsonProperty("cross-encoder")
  CROSS_ENCODER("cross-encoder");

  private final String wireName;

  ModelType(String wireName) {
    this.wireName = wireName;
  }

  /** The name in JSON and in cache keys, such as {@code cross-encoder}. */
  public String wireName() {
    return wireName;
  }

  /** The key a model is cached under: {@code type:name}. */
  public String cacheKey(String modelName) {
    return wireName + ":" + modelName;
  }
}
