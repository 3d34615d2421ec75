// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import com.fasterxml.jackson.annotation.JsonProperty;
import java.util.List;

/**
 * What texts are embedded for. A model that was trained with prompts has one for each; the names
 * are those that sentence-transformers looks for in {@code encode_query} and {@code
 * encode_document}.
 */
public enum InputType {
  /** A question, or whatever else is looked for. */
  @JsonProperty("query")
  QUERY("query"),
  /** What is found. */
  @JsonProperty("document")
  DOCUMENT("document", "passage", "corpus");

  @SuppressWarnings("ImmutableEnumChecker") // made by List.of
  private final List<String> promptNames;

  InputType(String... promptNames) {
    this.promptNames = List.of(promptNames);
  }

  /** The names that a model's prompt for it may have, the first that is there being the one. */
  public List<String> promptNames() {
    return promptNames;
  }
}
