// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import java.util.List;

/**
 * Texts to be split into a model's tokens. Immutable; checked when made.
 *
 * @param texts the texts
 * @param model the model's name; null for the default embedding model
 * @param addSpecialTokens whether the model's special tokens are added; default true
 */
public record TokenizeRequest(List<String> texts, String model, Boolean addSpecialTokens) {
  /**
   * Checks every component and fills in defaults; throws {@link RagbusException} {@code INVALID}.
   */
  public TokenizeRequest {
    texts = Checks.texts("texts", texts);
    Checks.notBlankIfPresent("model", model);
    addSpecialTokens = Checks.orDefault(addSpecialTokens, true);
  }
}
