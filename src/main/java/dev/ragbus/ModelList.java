// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import java.util.List;

/**
 * The models that are loaded or being loaded.
 *
 * @param cachedModels one entry a model
 * @param totalCount how many there are
 */
public record ModelList(List<ModelInfo> cachedModels, int totalCount) {}
