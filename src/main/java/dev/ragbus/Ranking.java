// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonProperty;
import java.util.List;

/**
 * Texts by how well they answer a query.
 *
 * @param rankedResults best first; equal scores by index
 * @param model the model that ranked
 * @param method how it ranked
 * @param query the query ranked for
 * @param usage the tokens read
 */
public record Ranking(
    List<Result> rankedResults, String model, Method method, String query, Usage usage) {

  /** Copies the list. */
  public Ranking {
    rankedResults = List.copyOf(rankedResults);
  }

  /** How a ranking is made. */
  public enum Method {
    /** A model reads query and text together. */
    @JsonProperty("cross-encoder")
    CROSS_ENCODER,
    /** The cosine of the vectors of query and text. */
    @JsonProperty("similarity")
    SIMILARITY
  }

  /**
   * One text's place.
   *
   * @param index its index in the request
   * @param text the text; null when the request did not want texts back
   * @param score higher is better
   */
  public record Result(
      int index, @JsonInclude(JsonInclude.Include.NON_NULL) String text, float score) {}
}
