package dev.ragbus;

import com.fasterxml.jackson.annotation.JsonInclude;

/**
 * A loaded model.
 *
 * @param modelName its name
 * @param modelType what it does
 * @param cacheKey the key it is cached under
 * @param dimensions the dimensions of its vectors; null for a cross-encoder
 * @param maxTokens the most tokens it reads of a text, special tokens included
 * @param engine what runs it
 * @param precision the numbers it computes in
 * @param state {@code loading} or {@code ready}
 * @param memoryBytes memory taken by loading it
 * @param loadMillis how long loading took
 * @param lastUsedMillisAgo time since a request last used it
 */
public record ModelInfo(
    String modelName,
    ModelType modelType,
    String cacheKey,
    @JsonInclude(JsonInclude.Include.NON_NULL) Integer dimensions,
    int maxTokens,
    String engine,
    String precision,
    String state,
    long memoryBytes,
    long loadMillis,
    long lastUsedMillisAgo) {}
