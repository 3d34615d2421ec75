// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import java.util.List;

/**
 * What a classifier makes of texts.
 *
 * @param predictions of each text, in their order, its labels: best first, equal scores in the
 *     model's order
 * @param model the model that classified
 * @param usage the tokens read
 */
public record Predictions(List<List<Prediction>> predictions, String model, Usage usage) {

  /** Copies the lists. */
  public Predictions {
    predictions = predictions.stream().map(List::copyOf).toList();
  }

  /**
   * A label and its score.
   *
   * @param label the model's name for it
   * @param score higher is better: a probability unless raw scores were asked for or the model has
   *     no activation
   */
  public record Prediction(String label, float score) {}
}
