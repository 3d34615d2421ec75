// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import java.util.List;

/**
 * Token ids to be turned back into texts. Immutable; checked when made.
 *
 * @param ids one list of ids a text
 * @param model the model's name; null for the default embedding model
 * @param skipSpecialTokens whether special tokens are left out; default true
 */
public record DecodeRequest(List<List<Integer>> ids, String model, Boolean skipSpecialTokens) {
  /**
   * Checks every component and fills in defaults; throws {@link RagbusException} {@code INVALID}.
   */
  public DecodeRequest {
    ids = Checks.ids("ids", ids);
    Checks.notBlankIfPresent("model", model);
    skipSpecialTokens = Checks.orDefault(skipSpecialTokens, true);
  }
}
