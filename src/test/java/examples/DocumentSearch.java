// SPDX-License-Identifier: Apache-2.0
package examples;

import dev.langchain4j.data.embedding.Embedding;
import dev.langchain4j.data.segment.TextSegment;
import dev.langchain4j.model.embedding.EmbeddingModel;
import dev.langchain4j.model.scoring.ScoringModel;
import dev.langchain4j.store.embedding.CosineSimilarity;
import dev.ragbus.Ragbus;
import dev.ragbus.langchain4j.RagbusEmbeddingModel;
import dev.ragbus.langchain4j.RagbusScoringModel;
import java.util.List;
import java.util.stream.IntStream;

public class DocumentSearch {
  private final EmbeddingModel embedding;
  private final ScoringModel scoring;

  public DocumentSearch(Ragbus ragbus) {
    embedding = RagbusEmbeddingModel.create(ragbus);
    scoring = RagbusScoringModel.create(ragbus);
  }

  public TextSegment nearest(List<TextSegment> segments, String question) {
    List<Embedding> vectors = embedding.embedAll(segments).content();
    Embedding wanted = embedding.embed(question).content();
    return segments.get(
        best(vectors.stream().map(it -> CosineSimilarity.between(it, wanted)).toList()));
  }

  public TextSegment bestAnswer(List<TextSegment> segments, String question) {
    return segments.get(best(scoring.scoreAll(segments, question).content()));
  }

  private static int best(List<Double> scores) {
    return IntStream.range(0, scores.size())
        .reduce((a, b) -> scores.get(a) >= scores.get(b) ? a : b)
        .orElseThrow();
  }
}
