// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import java.util.List;

/**
 * What a request cost.
 *
 * @param promptTokens the tokens the model read, special tokens included, padding not
 * @param truncated the indices of the texts that were cut to fit, ascending; in a ranking all of
 *     them where the query was
 */
public record Usage(int promptTokens, List<Integer> truncated) {
  /** Nothing read, nothing cut. */
  public static final Usage NONE = new Usage(0, List.of());

  /** Copies the list. */
  public Usage {
    truncated = truncated == null ? List.of() : List.copyOf(truncated);
  }
}
