// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import java.util.Arrays;
import java.util.List;
import java.util.function.Consumer;

/**
 * A query and the texts to rank by how well they answer it. Immutable; checked when made.
 *
 * <p>Only {@code query} and {@code texts} must be given. No component but those documented so is
 * ever null.
 *
 * @param query what is looked for
 * @param texts what is ranked; may be empty
 * @param model the model's name; null for the deployment's default reranker. An embedding model
 *     ranks by cosine similarity
 * @param topN how many of the best to return, at least 1; null for all
 * @param returnTexts whether the ranking repeats the texts; default true
 * @param rawScores whether scores are the model's logits rather than passed through its activation;
 *     default false; a similarity is the same either way
 * @param maxTokensPerDoc the most tokens read of a text, at least 1; null for all that fit
 * @param maxChunksPerDoc in how many windows at most a longer text is read, the best one's score
 *     counting; default 1
 * @param truncate whether a text longer than the model takes is cut (default) or refused with
 *     {@code TOO_LARGE}
 * @param truncationDirection which end is cut; default {@link TruncationDirection#RIGHT}
 * @param runningTop whether a stream tells the best so far after every part; default false; only
 *     for {@link Ragbus#rerankStream}
 */
public record RerankRequest(
    String query,
    List<String> texts,
    String model,
    Integer topN,
    Boolean returnTexts,
    Boolean rawScores,
    Integer maxTokensPerDoc,
    Integer maxChunksPerDoc,
    Boolean truncate,
    TruncationDirection truncationDirection,
    Boolean runningTop) {

  /**
   * Checks every component and fills in defaults; throws {@link RagbusException} {@code INVALID}.
   */
  public RerankRequest {
    Checks.required("query", query);
    texts = Checks.texts("texts", texts);
    Checks.notBlankIfPresent("model", model);
    Checks.positiveIfPresent("top_n", topN);
    returnTexts = Checks.orDefault(returnTexts, true);
    rawScores = Checks.orDefault(rawScores, false);
    Checks.positiveIfPresent("max_tokens_per_doc", maxTokensPerDoc);
    Checks.positiveIfPresent("max_chunks_per_doc", maxChunksPerDoc);
    maxChunksPerDoc = Checks.orDefault(maxChunksPerDoc, 1);
    truncate = Checks.orDefault(truncate, true);
    truncationDirection = Checks.orDefault(truncationDirection, TruncationDirection.RIGHT);
    runningTop = Checks.orDefault(runningTop, false);
  }

  /** A request for the default reranker with all defaults. */
  public static RerankRequest of(String query, List<String> texts) {
    return new RerankRequest(query, texts, null, null, null, null, null, null, null, null, null);
  }

  /** A request for the default reranker with all defaults. */
  public static RerankRequest of(String query, String... texts) {
    return of(query, Arrays.asList(texts));
  }

  /** The same for another model; null for the default one. */
  public RerankRequest withModel(String model) {
    return with(draft -> draft.model = model);
  }

  /** The same, returning only so many of the best; null for all. */
  public RerankRequest withTopN(Integer topN) {
    return with(draft -> draft.topN = topN);
  }

  /** The same, with or without the texts in the ranking. */
  public RerankRequest withReturnTexts(boolean returnTexts) {
    return with(draft -> draft.returnTexts = returnTexts);
  }

  /** The same, with the model's logits or with scores from its activation. */
  public RerankRequest withRawScores(boolean rawScores) {
    return with(draft -> draft.rawScores = rawScores);
  }

  /**
   * The same, reading so many tokens of a text in so many windows; null tokens for all that fit.
   */
  public RerankRequest withLongTexts(Integer maxTokensPerDoc, int maxChunksPerDoc) {
    return with(
        draft -> {
          draft.maxTokensPerDoc = maxTokensPerDoc;
          draft.maxChunksPerDoc = maxChunksPerDoc;
        });
  }

  /** The same, with texts that are too long cut at one end, or refused. */
  public RerankRequest withTruncation(boolean truncate, TruncationDirection direction) {
    return with(
        draft -> {
          draft.truncate = truncate;
          draft.truncationDirection = direction;
        });
  }

  /** The same, with or without the best so far after every part of a stream. */
  public RerankRequest withRunningTop(boolean runningTop) {
    return with(draft -> draft.runningTop = runningTop);
  }

  private RerankRequest with(Consumer<Draft> change) {
    Draft draft = new Draft(this);
    change.accept(draft);
    return draft.made();
  }

  /** The components of a changed copy while it is being made. */
  private static final class Draft {
    private String query;
    private List<String> texts;
    private String model;
    private Integer topN;
    private Boolean returnTexts;
    private Boolean rawScores;
    private Integer maxTokensPerDoc;
    private Integer maxChunksPerDoc;
    private Boolean truncate;
    private TruncationDirection truncationDirection;
    private Boolean runningTop;

    Draft(RerankRequest from) {
      query = from.query;
      texts = from.texts;
      model = from.model;
      topN = from.topN;
      returnTexts = from.returnTexts;
      rawScores = from.rawScores;
      maxTokensPerDoc = from.maxTokensPerDoc;
      maxChunksPerDoc = from.maxChunksPerDoc;
      truncate = from.truncate;
      truncationDirection = from.truncationDirection;
      runningTop = from.runningTop;
    }

    RerankRequest made() {
      return new RerankRequest(
          query,
          texts,
          model,
          topN,
          returnTexts,
          rawScores,
          maxTokensPerDoc,
          maxChunksPerDoc,
          truncate,
          truncationDirection,
          runningTop);
    }
  }
}
