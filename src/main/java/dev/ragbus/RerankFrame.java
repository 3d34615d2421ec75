// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import com.fasterxml.jackson.annotation.JsonSubTypes;
import com.fasterxml.jackson.annotation.JsonTypeInfo;
import java.util.List;

/**
 * What a streamed ranking tells, in order: one {@link Start}, a {@link Partial} for every pass of
 * the model, each followed by a {@link Top} where that was asked for, and one {@link End}. A score
 * is final when it is told, a rank only at the end.
 */
@JsonTypeInfo(use = JsonTypeInfo.Id.NAME, property = "type")
@JsonSubTypes({
  @JsonSubTypes.Type(value = RerankFrame.Start.class, name = "start"),
  @JsonSubTypes.Type(value = RerankFrame.Partial.class, name = "partial"),
  @JsonSubTypes.Type(value = RerankFrame.Top.class, name = "top"),
  @JsonSubTypes.Type(value = RerankFrame.End.class, name = "end")
})
public sealed interface RerankFrame {
  /** The request's id. */
  String id();

  /**
   * Ranking begins.
   *
   * @param model the model that ranks
   * @param method how it ranks
   * @param total how many texts there are
   */
  record Start(String id, String model, Ranking.Method method, int total) implements RerankFrame {}

  /**
   * Texts whose scores are known, each text once.
   *
   * @param results their scores, in no order
   * @param done how many texts' scores are known by this
   */
  record Partial(String id, List<Score> results, int done) implements RerankFrame {
    /** Copies the list. */
    public Partial {
      results = List.copyOf(results);
    }
  }

  /**
   * The best of the texts whose scores are known so far.
   *
   * @param results best first: at most {@code top_n}, or 10 where that was not given
   */
  record Top(String id, List<Score> results) implements RerankFrame {
    /** Copies the list. */
    public Top {
      results = List.copyOf(results);
    }
  }

  /**
   * The ranking.
   *
   * @param rankedResults best first; equal scores by index
   * @param usage the tokens read
   */
  record End(String id, List<Ranking.Result> rankedResults, Usage usage) implements RerankFrame {
    /** Copies the list. */
    public End {
      rankedResults = List.copyOf(rankedResults);
    }
  }

  /**
   * A text's score.
   *
   * @param index its index in the request
   * @param score higher is better
   */
  record Score(int index, float score) {}
}
