package dev.ragbus.http;

import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.databind.annotation.JsonDeserialize;
import dev.ragbus.RagbusException;
import dev.ragbus.Ranking;
import dev.ragbus.RerankRequest;
import io.vertx.core.Future;
import io.vertx.core.http.HttpMethod;
import java.io.IOException;
import java.util.List;

/**
 * Cohere's {@code /v2/rerank}. The model may be left out; {@code priority} is checked and has no
 * effect. A text that was cut to fit its model is named in {@code meta.warnings}.
 */
final class CohereDialect implements Dialect {
  private static final int DOCUMENTS_PER_SEARCH_UNIT = 100;

  @Override
  public List<Operation<?>> operations() {
    return List.of(
        new Operation<>(
            HttpMethod.POST,
            "/v2/rerank",
            "rerank_texts",
            RerankBody.class,
            CohereDialect::rerank));
  }

  private record RerankBody(
      String model,
      String query,
      @JsonDeserialize(using = TextsReader.Documents.class) List<String> documents,
      Integer topN,
      Integer maxTokensPerDoc,
      Integer priority) {

    RerankRequest request() {
      if (documents == null || documents.isEmpty()) {
        throw RagbusException.invalid("documents is required and must not be empty");
      }
      if (priority != null && (priority < 0 || priority > 999)) {
        throw RagbusException.invalid("priority must be between 0 and 999, not " + priority);
      }
      return RerankRequest.of(query, documents)
          .withModel(model)
          .withTopN(topN)
          .withReturnTexts(false)
          .withLongTexts(maxTokensPerDoc, 1);
    }
  }

  private static Future<Reply> rerank(Operation.Call<RerankBody> call) {
    int documents = call.body().documents == null ? 0 : call.body().documents.size();
    return call.ragbus()
        .rerank(call.body().request())
        .map(
            ranking ->
                new Reply(
                    200,
                    ranking.rankedResults().size(),
                    json -> write(json, call.id(), ranking, documents)));
  }

  private static void write(JsonGenerator json, String id, Ranking ranking, int documents)
      throws IOException {
    json.writeStartObject();
    json.writeStringField("id", id);
    json.writeArrayFieldStart("results");
    for (Ranking.Result result : ranking.rankedResults()) {
      json.writeStartObject();
      json.writeNumberField("index", result.index());
      json.writeNumberField("relevance_score", VectorJson.finite(result.score()));
      json.writeEndObject();
    }
    json.writeEndArray();
    writeMeta(json, ranking, documents);
    json.writeEndObject();
  }

  private static void writeMeta(JsonGenerator json, Ranking ranking, int documents)
      throws IOException {
    json.writeObjectFieldStart("meta");
    json.writeObjectFieldStart("api_version");
    json.writeStringField("version", "2");
    json.writeBooleanField("is_deprecated", false);
    json.writeBooleanField("is_experimental", false);
    json.writeEndObject();
    json.writeObjectFieldStart("billed_units");
    json.writeNumberField(
        "search_units", (documents + DOCUMENTS_PER_SEARCH_UNIT - 1) / DOCUMENTS_PER_SEARCH_UNIT);
    json.writeEndObject();
    json.writeObjectFieldStart("tokens");
    json.writeNumberField("input_tokens", ranking.usage().promptTokens());
    json.writeNumberField("output_tokens", 0);
    json.writeEndObject();
    json.writeNumberField("cached_tokens", 0);
    json.writeArrayFieldStart("warnings");
    if (!ranking.usage().truncated().isEmpty()) {
      json.writeString("documents cut to fit the model: " + ranking.usage().truncated());
    }
    json.writeEndArray();
    json.writeEndObject();
  }

  @Override
  public Reply.Content error(HttpFailure failure) {
    return json -> {
      json.writeStartObject();
      json.writeStringField("message", failure.message());
      json.writeEndObject();
    };
  }

  @Override
  public String textsField() {
    return "documents";
  }
}
