package dev.ragbus;

import java.util.List;
import java.util.Objects;

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
    if (ids == null) {
      throw RagbusException.invalid("ids is required");
    }
    for (int i = 0; i < ids.size(); i++) {
      if (ids.get(i) == null || ids.get(i).stream().anyMatch(Objects::isNull)) {
        throw RagbusException.invalid("ids[" + i + "] must be a list of integers without null");
      }
    }
    ids = ids.stream().map(List::copyOf).toList();
    Checks.notBlankIfPresent("model", model);
    skipSpecialTokens = Checks.orDefault(skipSpecialTokens, true);
  }
}
