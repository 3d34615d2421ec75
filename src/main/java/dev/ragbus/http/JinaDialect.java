// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.databind.annotation.JsonDeserialize;
import dev.ragbus.Ranking;
import dev.ragbus.RerankRequest;
import dev.ragbus.RerankStream;
import dev.ragbus.TruncationDirection;
import io.vertx.core.Future;
import java.io.IOException;
import java.util.List;

/**
 * Jina's {@code /v1/rerank}, with OpenAI's error bodies.
 *
 * <p>Beyond Jina's fields it takes those of {@link RerankRequest}, and {@code texts} for {@code
 * documents}. The model may be left out. To a client that accepts newline-delimited JSON or
 * server-sent events it answers in the frames of {@link dev.ragbus.RerankFrame}.
 */
final class JinaDialect implements Dialect {
  private final Dialect errors;

  JinaDialect(Dialect errors) {
    this.errors = errors;
  }

  @Override
  public List<Operation<?>> operations() {
    return List.of(
        Operation.post(
                "/v1/rerank", "rerank_texts", RerankBody.class, "documents", JinaDialect::rerank)
            .withStream(JinaDialect::stream));
  }

  private record RerankBody(
      String model,
      String query,
      @JsonDeserialize(using = TextsReader.class) List<String> documents,
      @JsonDeserialize(using = TextsReader.class) List<String> texts,
      Integer topN,
      Boolean returnDocuments,
      Boolean rawScores,
      Integer maxTokensPerDoc,
      Integer maxChunksPerDoc,
      Boolean truncate,
      TruncationDirection truncationDirection,
      Boolean runningTop) {

    List<String> ranked() {
      return TextsReader.either(documents, texts, "documents");
    }

    RerankRequest request() {
      return new RerankRequest(
          query,
          ranked(),
          model,
          topN,
          false, // The texts are here: they need not travel back.
          rawScores,
          maxTokensPerDoc,
          maxChunksPerDoc,
          truncate,
          truncationDirection,
          false);
    }
  }

  private static Future<RerankStream> stream(Operation.Call<RerankBody> call) {
    RerankBody body = call.body();
    return call.ragbus()
        .rerankStream(
            body.request()
                .withReturnTexts(!Boolean.FALSE.equals(body.returnDocuments))
                .withRunningTop(Boolean.TRUE.equals(body.runningTop)));
  }

  private static Future<Reply> rerank(Operation.Call<RerankBody> call) {
    List<String> texts =
        Boolean.FALSE.equals(call.body().returnDocuments) ? null : call.body().ranked();
    return call.ragbus()
        .rerank(call.body().request())
        .map(
            ranking ->
                new Reply(
                    200, ranking.rankedResults().size(), json -> write(json, ranking, texts)));
  }

  /** Writes a ranking, with its documents unless they are null. */
  static void write(JsonGenerator json, Ranking ranking, List<String> texts) throws IOException {
    json.writeStartObject();
    json.writeStringField("model", ranking.model());
    json.writeStringField("object", "list");
    json.writeObjectFieldStart("usage");
    json.writeNumberField("total_tokens", ranking.usage().promptTokens());
    json.writeEndObject();
    json.writeArrayFieldStart("results");
    for (Ranking.Result result : ranking.rankedResults()) {
      json.writeStartObject();
      json.writeNumberField("index", result.index());
      if (texts != null) {
        json.writeObjectFieldStart("document");
        json.writeStringField("text", texts.get(result.index()));
        json.writeEndObject();
      }
      json.writeNumberField("relevance_score", VectorJson.finite(result.score()));
      json.writeEndObject();
    }
    json.writeEndArray();
    json.writeEndObject();
  }

  @Override
  public Reply.Content error(HttpFailure failure) {
    return errors.error(failure);
  }
}
