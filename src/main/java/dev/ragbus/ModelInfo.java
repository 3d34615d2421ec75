// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import com.fasterxml.jackson.annotation.JsonInclude;
import java.util.List;

/**
 * A model that is loaded or being loaded. Of one that is being loaded, {@code engine} and {@code
 * precision} are what was asked for, and {@code dimensions}, {@code pooling}, {@code labels},
 * {@code maxTokens} and {@code memoryBytes} are not known.
 *
 * @param modelName its name
 * @param modelType what it does
 * @param cacheKey the key it is cached under
 * @param dimensions the dimensions of its vectors: of a sparse model the size of its vocabulary;
 *     null for one that makes none
 * @param pooling how it pools what it makes of tokens; null for one that makes no vectors
 * @param labels the labels of its scores, in its order; null for one that makes vectors
 * @param maxTokens the most tokens it reads of a text, special tokens included
 * @param engine what runs it
 * @param precision the numbers it computes in
 * @param state {@code loading} or {@code ready}
 * @param memoryBytes memory taken by loading it
 * @param loadMillis how long loading took, or has taken so far
 * @param lastUsedMillisAgo time since a request last used it; 0 while one does
 * @param progress how far its load is; null where none is under way. A model that is {@code ready}
 *     may be loaded again
 * @param quality how near it comes to float32; null for a model that was not made int8 here
 */
public record ModelInfo(
    String modelName,
    ModelType modelType,
    String cacheKey,
    @JsonInclude(JsonInclude.Include.NON_NULL) Integer dimensions,
    @JsonInclude(JsonInclude.Include.NON_NULL) String pooling,
    @JsonInclude(JsonInclude.Include.NON_NULL) List<String> labels,
    int maxTokens,
    String engine,
    String precision,
    String state,
    long memoryBytes,
    long loadMillis,
    long lastUsedMillisAgo,
    @JsonInclude(JsonInclude.Include.NON_NULL) Progress progress,
    @JsonInclude(JsonInclude.Include.NON_NULL) ModelQuality quality) {

  /**
   * How far a load is.
   *
   * @param phase {@code waiting}, {@code locating}, {@code downloading}, {@code converting}, {@code
   *     quantizing} or {@code loading}
   * @param file the file that is fetched; null for none
   * @param doneBytes bytes fetched of all files; 0 where nothing is fetched
   * @param totalBytes bytes of all files; 0 where nothing is fetched or it is not known
   */
  public record Progress(
      String phase,
      @JsonInclude(JsonInclude.Include.NON_NULL) String file,
      long doneBytes,
      long totalBytes) {}
}
