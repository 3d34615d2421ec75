// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import dev.ragbus.Predictions;
import dev.ragbus.Predictions.Prediction;
import dev.ragbus.Usage;
import dev.ragbus.python.RowValues;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;

/** The labels of one request's texts as they become known, in any order. */
final class LabelScores implements Job.Sink {
  /** The sort is stable: equal scores stay in the model's order. */
  private static final Comparator<Prediction> BEST_FIRST =
      Comparator.comparingDouble(prediction -> 0.0 - prediction.score());

  private final List<String> labels;
  private final long most;
  private final List<Prediction>[] predictions;

  /**
   * Takes the scores of so many texts.
   *
   * @param topN how many labels of each to keep; null for all
   */
  @SuppressWarnings({"unchecked", "rawtypes"})
  LabelScores(List<String> labels, Integer topN, int texts) {
    this.labels = labels;
    this.most = topN == null ? labels.size() : topN;
    this.predictions = new List[texts];
  }

  @Override
  public void accept(int text, RowValues values) {
    predictions[text] =
        IntStream.range(0, labels.size())
            .mapToObj(label -> new Prediction(labels.get(label), values.value(label)))
            .sorted(BEST_FIRST)
            .limit(most)
            .toList();
  }

  /** All of them, when everything has run. */
  Predictions predictions(LoadedModel model, Usage usage) {
    return new Predictions(Arrays.asList(predictions), model.name(), usage);
  }
}
