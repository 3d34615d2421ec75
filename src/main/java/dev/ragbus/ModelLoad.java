// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import com.fasterxml.jackson.annotation.JsonProperty;
import java.util.List;

/**
 * What loading a model came to.
 *
 * @param status whether it was loaded now or before
 * @param modelName the model's name
 * @param modelType what it does
 * @param dimensions the dimensions of its vectors; null for a cross-encoder
 * @param cacheKey the key it is cached under
 * @param cachedModels the keys of all loaded models
 */
public record ModelLoad(
    Status status,
    String modelName,
    ModelType modelType,
    Integer dimensions,
    String cacheKey,
    List<String> cachedModels) {

  /** Whether a load did anything. */
  public enum Status {
    /** Loaded now. */
    @JsonProperty("loaded")
    LOADED,
    /** Loaded before; nothing was done. */
    @JsonProperty("already_loaded")
    ALREADY_LOADED
  }
}
