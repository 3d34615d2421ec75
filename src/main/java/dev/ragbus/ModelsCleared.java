// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import java.util.List;

/**
 * What clearing came to.
 *
 * @param status always {@code cleared}
 * @param clearedModels the cache keys that are gone, or whose load was cancelled
 * @param remainingModels the cache keys that are left
 */
public record ModelsCleared(
    String status, List<String> clearedModels, List<String> remainingModels) {}
