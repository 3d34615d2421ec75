// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import java.util.Arrays;
import java.util.List;
import java.util.function.Consumer;

/**
 * Texts to be turned into vectors. Immutable; checked when made.
 *
 * <p>Only {@code texts} or {@code tokens} must be given; {@link #of(String...)} and the methods
 * that return a changed copy are the easy way. No component but those documented so is ever null.
 *
 * @param texts the texts, in the order the vectors come back in; may be empty, and {@code ""} is a
 *     text like any other; empty with {@code tokens}
 * @param model the model's name; null for the deployment's default embedding model
 * @param normalize whether vectors are scaled to length 1; null for what the model was loaded with,
 *     which is yes unless its {@code normalize} option says no
 * @param dimensions how many leading dimensions to keep before normalising; null for all
 * @param embeddingType the numbers of the vectors; default {@link EmbeddingType#FLOAT}
 * @param prompt put in front of every text; null for none
 * @param promptName the name of one of the model's own prompts; null for none
 * @param inputType what the texts are for: the model's own prompt for it is put in front where it
 *     has one; null for none, and without effect beside {@code prompt} or {@code promptName}
 * @param truncate whether a text longer than the model takes is cut (default) or refused with
 *     {@code TOO_LARGE}
 * @param truncationDirection which end is cut; default {@link TruncationDirection#RIGHT}
 * @param tokens instead of texts: the model's own token ids, its special tokens among them, one
 *     list a vector; no prompt is put in front of them. Null for texts
 */
public record EmbedRequest(
    List<String> texts,
    String model,
    Boolean normalize,
    Integer dimensions,
    EmbeddingType embeddingType,
    String prompt,
    String promptName,
    InputType inputType,
    Boolean truncate,
    TruncationDirection truncationDirection,
    List<List<Integer>> tokens) {

  /**
   * Checks every component and fills in defaults; throws {@link RagbusException} {@code INVALID}.
   */
  public EmbedRequest {
    texts = Checks.textsUnless(tokens, texts);
    tokens = tokens == null ? null : Checks.ids("tokens", tokens);
    Checks.prompts(prompt, promptName, tokens);
    Checks.notBlankIfPresent("model", model);
    Checks.positiveIfPresent("dimensions", dimensions);
    embeddingType = Checks.orDefault(embeddingType, EmbeddingType.FLOAT);
    truncate = Checks.orDefault(truncate, true);
    truncationDirection = Checks.orDefault(truncationDirection, TruncationDirection.RIGHT);
  }

  /** A request for the default model with all defaults. */
  public static EmbedRequest of(String... texts) {
    return of(Arrays.asList(texts));
  }

  /** A request for the default model with all defaults. */
  public static EmbedRequest of(List<String> texts) {
    return new EmbedRequest(texts, null, null, null, null, null, null, null, null, null, null);
  }

  /** A request for the default model with all defaults, with its token ids instead of texts. */
  public static EmbedRequest ofTokens(List<List<Integer>> tokens) {
    return new EmbedRequest(null, null, null, null, null, null, null, null, null, null, tokens);
  }

  /** How many vectors are asked for. */
  public int count() {
    return tokens == null ? texts.size() : tokens.size();
  }

  /** The same for another model; null for the default one. */
  public EmbedRequest withModel(String model) {
    return with(draft -> draft.model = model);
  }

  /** The same with or without scaling to length 1; null for what the model was loaded with. */
  public EmbedRequest withNormalize(Boolean normalize) {
    return with(draft -> draft.normalize = normalize);
  }

  /** The same, keeping only so many leading dimensions; null for all. */
  public EmbedRequest withDimensions(Integer dimensions) {
    return with(draft -> draft.dimensions = dimensions);
  }

  /** The same with vectors in other numbers. */
  public EmbedRequest withEmbeddingType(EmbeddingType embeddingType) {
    return with(draft -> draft.embeddingType = embeddingType);
  }

  /** The same with this put in front of every text; replaces a prompt's name. */
  public EmbedRequest withPrompt(String prompt) {
    return with(
        draft -> {
          draft.prompt = prompt;
          draft.promptName = null;
        });
  }

  /** The same with one of the model's own prompts; replaces a prompt. */
  public EmbedRequest withPromptName(String promptName) {
    return with(
        draft -> {
          draft.promptName = promptName;
          draft.prompt = null;
        });
  }

  /** The same, with what the texts are for; null for nothing in particular. */
  public EmbedRequest withInputType(InputType inputType) {
    return with(draft -> draft.inputType = inputType);
  }

  /** The same, with texts that are too long cut at one end, or refused. */
  public EmbedRequest withTruncation(boolean truncate, TruncationDirection direction) {
    return with(
        draft -> {
          draft.truncate = truncate;
          draft.truncationDirection = direction;
        });
  }

  private EmbedRequest with(Consumer<Draft> change) {
    Draft draft = new Draft(this);
    change.accept(draft);
    return draft.made();
  }

  /** The components of a changed copy while it is being made. */
  private static final class Draft {
    private List<String> texts;
    private String model;
    private Boolean normalize;
    private Integer dimensions;
    private EmbeddingType embeddingType;
    private String prompt;
    private String promptName;
    private InputType inputType;
    private Boolean truncate;
    private TruncationDirection truncationDirection;
    private List<List<Integer>> tokens;

    Draft(EmbedRequest from) {
      texts = from.texts;
      model = from.model;
      normalize = from.normalize;
      dimensions = from.dimensions;
      embeddingType = from.embeddingType;
      prompt = from.prompt;
      promptName = from.promptName;
      inputType = from.inputType;
      truncate = from.truncate;
      truncationDirection = from.truncationDirection;
      tokens = from.tokens;
    }

    EmbedRequest made() {
      return new EmbedRequest(
          texts,
          model,
          normalize,
          dimensions,
          embeddingType,
          prompt,
          promptName,
          inputType,
          truncate,
          truncationDirection,
          tokens);
    }
  }
}
