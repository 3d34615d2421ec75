// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import dev.ragbus.ModelType;
import dev.ragbus.RagbusException;
import dev.ragbus.RagbusException.Kind;
import dev.ragbus.Ranking;
import dev.ragbus.RerankFrame.Score;
import dev.ragbus.RerankRequest;
import dev.ragbus.TruncationDirection;
import dev.ragbus.Usage;
import dev.ragbus.python.RowValues;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * One ranking: what a model has to run for it, and the texts' scores as they become known.
 *
 * <p>A cross-encoder scores a text by its best window. An embedding model scores it by the cosine
 * of its vector with the query's, which runs as the first text. Belongs to the service's event
 * loop.
 */
final class Reranking {
  private static final int RUNNING_TOP = 10;

  private static final Comparator<Score> BEST_FIRST =
      Comparator.<Score>comparingDouble(result -> 0.0 - result.score())
          .thenComparingInt(Score::index);

  private final RerankRequest request;
  private final LoadedModel model;
  private final boolean bySimilarity;
  private final float[] scores;

  /** The vectors of texts that ran before the query did, and the query's: by place in the job. */
  private final float[][] vectors;

  /** Texts that have run whose scores were not told yet. */
  private final List<Integer> untold = new ArrayList<>();

  private List<Score> best = List.of();
  private int told;

  /**
   * Checks that the model can do it.
   *
   * @throws RagbusException {@code TYPE_CONVERSION} or {@code INVALID}
   */
  Reranking(RerankRequest request, LoadedModel model) {
    this.request = request;
    this.model = model;
    this.bySimilarity = model.type() == ModelType.EMBEDDING;
    this.scores = new float[request.texts().size()];
    this.vectors = bySimilarity ? new float[request.texts().size() + 1][] : null;
    if (bySimilarity && request.maxChunksPerDoc() > 1) {
      throw RagbusException.invalid(
          "max_chunks_per_doc must be 1 for model '"
              + model.name()
              + "', which ranks by similarity");
    }
    if (!bySimilarity && model.engineModel().outputs() != 1) {
      throw RagbusException.of(
          Kind.TYPE_CONVERSION,
          "model '"
              + model.name()
              + "' has "
              + model.engineModel().outputs()
              + " labels; ranking needs one with a single score");
    }
    Arrays.fill(scores, Float.NEGATIVE_INFINITY);
  }

  LoadedModel model() {
    return model;
  }

  Ranking.Method method() {
    return bySimilarity ? Ranking.Method.SIMILARITY : Ranking.Method.CROSS_ENCODER;
  }

  int total() {
    return scores.length;
  }

  /** What is to be run. */
  Job.Spec spec(Job.Sink sink) {
    List<String> texts = request.texts();
    if (bySimilarity) {
      texts =
          Operations.withDefaultPrompt(
              Stream.concat(Stream.of(request.query()), texts.stream()).toList(),
              model.engineModel());
    }
    return new Job.Spec(
        model,
        bySimilarity ? null : request.query(),
        texts,
        null,
        bySimilarity,
        request.maxTokensPerDoc() == null ? 0 : request.maxTokensPerDoc(),
        request.maxChunksPerDoc(),
        request.truncationDirection() == TruncationDirection.LEFT,
        request.truncate(),
        0,
        bySimilarity || !request.rawScores(),
        sink);
  }

  /** Takes a row's result, as {@link Job.Sink}. */
  void accept(int text, RowValues values) {
    if (!bySimilarity) {
      scores[text] = Math.max(scores[text], values.value(0));
      return;
    }
    vectors[text] = values.copy().values();
    if (text == 0) {
      for (int other = 1; other < vectors.length; other++) {
        score(other);
      }
    } else if (vectors[0] != null) {
      score(text);
    }
  }

  private void score(int text) {
    if (vectors[text] != null) {
      scores[text - 1] = cosine(vectors[0], vectors[text]);
      vectors[text] = null;
    }
  }

  /** Both are of length 1. */
  private static float cosine(float[] a, float[] b) {
    double dot = 0;
    for (int i = 0; i < a.length; i++) {
      dot += (double) a[i] * b[i];
    }
    return (float) dot;
  }

  /**
   * The scores that became final when these texts of the job were finished; none as long as the
   * query's vector is missing.
   */
  List<Score> finished(List<Integer> texts) {
    for (int text : texts) {
      if (!bySimilarity) {
        untold.add(text);
      } else if (text > 0) {
        untold.add(text - 1);
      }
    }
    if (bySimilarity && vectors[0] == null) {
      return List.of();
    }
    List<Score> results = untold.stream().map(index -> new Score(index, scores[index])).toList();
    untold.clear();
    told += results.size();
    return results;
  }

  /** How many scores {@link #finished} has given. */
  int told() {
    return told;
  }

  /** The best of all that {@link #finished} has given, once these are added. */
  List<Score> best(List<Score> more) {
    int most = request.topN() == null ? RUNNING_TOP : request.topN();
    best = Stream.concat(best.stream(), more.stream()).sorted(BEST_FIRST).limit(most).toList();
    return best;
  }

  /** The ranking, when everything has run. */
  Ranking ranking(Usage usage) {
    long most = request.topN() == null ? scores.length : request.topN();
    List<Ranking.Result> ranked =
        IntStream.range(0, scores.length)
            .mapToObj(index -> new Score(index, scores[index]))
            .sorted(BEST_FIRST)
            .limit(most)
            .map(
                result ->
                    new Ranking.Result(
                        result.index(),
                        request.returnTexts() ? request.texts().get(result.index()) : null,
                        result.score()))
            .toList();
    return new Ranking(
        ranked,
        model.name(),
        method(),
        request.query(),
        bySimilarity ? ofTextsAlone(usage) : usage);
  }

  /**
   * The query was embedded as text 0; the request's own texts count from 0. Where the query was cut
   * all of them count as cut, as they do in pairs.
   */
  private Usage ofTextsAlone(Usage usage) {
    List<Integer> truncated =
        usage.truncated().contains(0)
            ? IntStream.range(0, scores.length).boxed().toList()
            : usage.truncated().stream().map(index -> index - 1).toList();
    return new Usage(usage.promptTokens(), truncated);
  }
}
