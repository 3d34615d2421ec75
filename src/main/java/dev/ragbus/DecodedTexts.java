// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import java.util.List;

/**
 * Texts made from token ids.
 *
 * @param texts one a list of ids
 * @param model the model whose tokens they were
 */
public record DecodedTexts(List<String> texts, String model) {}
