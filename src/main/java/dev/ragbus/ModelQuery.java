// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

/**
 * Names a loaded model, to describe or to clear it.
 *
 * @param model its name or cache key; null means all of them where that makes sense
 */
public record ModelQuery(String model) {
  /** Checks the name. */
  public ModelQuery {
    Checks.notBlankIfPresent("model", model);
  }
}
