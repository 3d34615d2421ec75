// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import java.util.Arrays;
import java.util.List;

/**
 * Texts to be turned into sparse vectors: how much each entry of a model's vocabulary has to do
 * with them. Immutable; checked when made.
 *
 * <p>Only {@code texts} or {@code tokens} must be given. No component but those documented so is
 * ever null.
 *
 * @param texts the texts, in the order the vectors come back in; may be empty, and {@code ""} is a
 *     text like any other; empty with {@code tokens}
 * @param model the model's name; null for the deployment's default sparse model
 * @param topK how many of the largest values of each vector to keep, at least 1; null for all
 * @param prompt put in front of every text; null for none
 * @param promptName the name of one of the model's own prompts; null for none
 * @param inputType what the texts are for, as in {@link EmbedRequest}; null for nothing in
 *     particular
 * @param truncate whether a text longer than the model takes is cut (default) or refused with
 *     {@code TOO_LARGE}
 * @param truncationDirection which end is cut; default {@link TruncationDirection#RIGHT}
 * @param tokens instead of texts: the model's own token ids, its special tokens among them, one
 *     list a vector; no prompt is put in front of them. Null for texts
 */
public record EmbedSparseRequest(
    List<String> texts,
    String model,
    Integer topK,
    String prompt,
    String promptName,
    InputType inputType,
    Boolean truncate,
    TruncationDirection truncationDirection,
    List<List<Integer>> tokens) {

  /**
   * Checks every component and fills in defaults; throws {@link RagbusException} {@code INVALID}.
   */
  public EmbedSparseRequest {
    texts = Checks.textsUnless(tokens, texts);
    tokens = tokens == null ? null : Checks.ids("tokens", tokens);
    Checks.prompts(prompt, promptName, tokens);
    Checks.notBlankIfPresent("model", model);
    Checks.positiveIfPresent("top_k", topK);
    truncate = Checks.orDefault(truncate, true);
    truncationDirection = Checks.orDefault(truncationDirection, TruncationDirection.RIGHT);
  }

  /** A request for the default sparse model with all defaults. */
  public static EmbedSparseRequest of(String... texts) {
    return of(Arrays.asList(texts));
  }

  /** A request for the default sparse model with all defaults. */
  public static EmbedSparseRequest of(List<String> texts) {
    return new EmbedSparseRequest(texts, null, null, null, null, null, null, null, null);
  }

  /** How many vectors are asked for. */
  public int count() {
    return tokens == null ? texts.size() : tokens.size();
  }

  /** The same for another model; null for the default one. */
  public EmbedSparseRequest withModel(String model) {
    return new EmbedSparseRequest(
        texts, model, topK, prompt, promptName, inputType, truncate, truncationDirection, tokens);
  }

  /** The same, keeping only so many of the largest values of a vector; null for all. */
  public EmbedSparseRequest withTopK(Integer topK) {
    return new EmbedSparseRequest(
        texts, model, topK, prompt, promptName, inputType, truncate, truncationDirection, tokens);
  }

  /** The same with one of the model's own prompts; replaces a prompt. */
  public EmbedSparseRequest withPromptName(String promptName) {
    return new EmbedSparseRequest(
        texts, model, topK, null, promptName, inputType, truncate, truncationDirection, tokens);
  }

  /** The same, with texts that are too long cut at one end, or refused. */
  public EmbedSparseRequest withTruncation(boolean truncate, TruncationDirection direction) {
    return new EmbedSparseRequest(
        texts, model, topK, prompt, promptName, inputType, truncate, direction, tokens);
  }
}
