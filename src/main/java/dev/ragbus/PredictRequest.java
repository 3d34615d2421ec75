// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import com.fasterxml.jackson.annotation.JsonValue;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.databind.DeserializationContext;
import com.fasterxml.jackson.databind.annotation.JsonDeserialize;
import com.fasterxml.jackson.databind.deser.std.StdDeserializer;
import java.io.IOException;
import java.util.List;
import java.util.stream.Stream;

/**
 * Texts, or pairs of texts, to be classified. Immutable; checked when made.
 *
 * <p>Only {@code texts} must be given. No component but those documented so is ever null.
 *
 * @param texts what is classified, in the order the predictions come back in; may be empty
 * @param model the model's name; null for the deployment's default classifier. A cross-encoder
 *     gives its scores under its own labels
 * @param rawScores whether scores are the model's logits rather than passed through its activation;
 *     default false
 * @param topN how many of the best labels of each text to return, at least 1; null for all
 * @param truncate whether a text longer than the model takes is cut (default) or refused with
 *     {@code TOO_LARGE}
 * @param truncationDirection which end is cut; default {@link TruncationDirection#RIGHT}
 */
public record PredictRequest(
    List<Input> texts,
    String model,
    Boolean rawScores,
    Integer topN,
    Boolean truncate,
    TruncationDirection truncationDirection) {

  /**
   * Checks every component and fills in defaults; throws {@link RagbusException} {@code INVALID}.
   */
  public PredictRequest {
    texts = Checks.withoutNull("texts", texts, Input.FORMS);
    Checks.notBlankIfPresent("model", model);
    rawScores = Checks.orDefault(rawScores, false);
    Checks.positiveIfPresent("top_n", topN);
    truncate = Checks.orDefault(truncate, true);
    truncationDirection = Checks.orDefault(truncationDirection, TruncationDirection.RIGHT);
  }

  /** A request for the default classifier with all defaults. */
  public static PredictRequest of(String... texts) {
    return of(Stream.of(texts).map(Input::of).toList());
  }

  /** A request for the default classifier with all defaults. */
  public static PredictRequest of(List<Input> texts) {
    return new PredictRequest(texts, null, null, null, null, null);
  }

  /** The same for another model; null for the default one. */
  public PredictRequest withModel(String model) {
    return new PredictRequest(texts, model, rawScores, topN, truncate, truncationDirection);
  }

  /** The same, with the model's logits or with scores from its activation. */
  public PredictRequest withRawScores(boolean rawScores) {
    return new PredictRequest(texts, model, rawScores, topN, truncate, truncationDirection);
  }

  /** The same, returning only so many of the best labels of each text; null for all. */
  public PredictRequest withTopN(Integer topN) {
    return new PredictRequest(texts, model, rawScores, topN, truncate, truncationDirection);
  }

  /** The same, with texts that are too long cut at one end, or refused. */
  public PredictRequest withTruncation(boolean truncate, TruncationDirection direction) {
    return new PredictRequest(texts, model, rawScores, topN, truncate, direction);
  }

  /**
   * What is classified: a text (in JSON a string), or a pair of them that the model reads together
   * (in JSON a list of two strings).
   *
   * @param text the text, or the first of two
   * @param second the second one; null where there is one alone
   */
  @JsonDeserialize(using = Input.Reader.class)
  public record Input(String text, String second) {
    static final String FORMS = "a string or a list of two strings";

    /** Checks that there is a text. */
    public Input {
      Checks.required("text", text);
    }

    /** One text. */
    public static Input of(String text) {
      return new Input(text, null);
    }

    @JsonValue
    Object json() {
      return second == null ? text : List.of(text, second);
    }

    static final class Reader extends StdDeserializer<Input> {
      private static final long serialVersionUID = 1L;

      Reader() {
        super(Input.class);
      }

      @Override
      public Input deserialize(JsonParser parser, DeserializationContext context)
          throws IOException {
        if (parser.hasToken(JsonToken.VALUE_STRING)) {
          return of(parser.getText());
        }
        boolean list = parser.hasToken(JsonToken.START_ARRAY);
        String text = list ? parser.nextTextValue() : null;
        String second = text == null ? null : parser.nextTextValue();
        if (second == null || parser.nextToken() != JsonToken.END_ARRAY) {
          return context.reportInputMismatch(this, FORMS);
        }
        return new Input(text, second);
      }
    }
  }
}
