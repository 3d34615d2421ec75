// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import java.util.List;

/**
 * The tokens of some texts.
 *
 * @param tokens one list a text
 * @param model the model whose tokens they are
 */
public record Tokens(List<List<Token>> tokens, String model) {
  /**
   * A token.
   *
   * @param id its id in the model's vocabulary
   * @param text the token as the vocabulary writes it
   * @param special whether it is one of the model's special tokens
   * @param start where it starts in the text, in characters (code points); null for a special token
   * @param stop where it ends; null for a special token
   */
  public record Token(int id, String text, boolean special, Integer start, Integer stop) {}
}
