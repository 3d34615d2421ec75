// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import java.util.Collection;
import java.util.Comparator;
import java.util.List;

/**
 * Which models go. Pure: decides, and does nothing.
 *
 * <p>A pinned model never goes and does not count. Of the others {@code maxModels} stay, those used
 * last, and none longer than {@code timeoutNanos} after its last use. A model in use stays until it
 * is not: rather than one used more recently in its place.
 *
 * @param maxModels how many models stay
 * @param timeoutNanos how long a model stays without use
 */
record CachePolicy(int maxModels, long timeoutNanos) {
  /**
   * The models to let go now.
   *
   * @param models the loaded models, the oldest first
   */
  List<LoadedModel> leaving(Collection<LoadedModel> models, long nowNanos) {
    List<LoadedModel> leastRecentFirst =
        models.stream()
            .filter(model -> !model.spec().pinned())
            .sorted(Comparator.comparingLong(model -> model.idleSinceNanos() - nowNanos))
            .toList();
    int surplus = leastRecentFirst.size() - maxModels;
    return leastRecentFirst.stream()
        .filter(
            model ->
                !model.isInUse()
                    && (leastRecentFirst.indexOf(model) < surplus
                        || nowNanos - model.idleSinceNanos() >= timeoutNanos))
        .toList();
  }
}
