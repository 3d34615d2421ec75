// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.databind.annotation.JsonDeserialize;
import dev.ragbus.EmbedRequest;
import dev.ragbus.Embeddings;
import dev.ragbus.InputType;
import dev.ragbus.RagbusException;
import dev.ragbus.Ranking;
import dev.ragbus.RerankRequest;
import dev.ragbus.TruncationDirection;
import dev.ragbus.Usage;
import io.vertx.core.Future;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/**
 * Cohere's {@code /v2/embed} and {@code /v2/rerank}. The model may be left out; {@code priority} is
 * checked and has no effect. A text that was cut to fit its model is named in {@code
 * meta.warnings}. Of {@code input_type}, {@code search_query} and {@code search_document} choose
 * the model's own prompt where it has one.
 */
final class CohereDialect implements Dialect {
  private static final int DOCUMENTS_PER_SEARCH_UNIT = 100;

  @Override
  public List<Operation<?>> operations() {
    return List.of(
        Operation.post("/v2/embed", "embed_texts", EmbedBody.class, "texts", CohereDialect::embed),
        Operation.post(
            "/v2/rerank", "rerank_texts", RerankBody.class, "documents", CohereDialect::rerank));
  }

  private record EmbedBody(
      String model,
      List<String> texts,
      List<Input> inputs,
      CohereInputType inputType,
      List<OutputType> embeddingTypes,
      Integer outputDimension,
      Truncate truncate,
      Integer priority) {

    List<String> embedded() {
      if (texts != null && inputs != null) {
        throw RagbusException.invalid("texts and inputs exclude each other");
      }
      List<String> embedded = texts;
      if (inputs != null) {
        embedded = new ArrayList<>();
        for (int i = 0; i < inputs.size(); i++) {
          embedded.add(Input.text(inputs.get(i), "inputs[" + i + "]"));
        }
      }
      return TextsReader.required("texts", embedded);
    }

    List<OutputType> types() {
      if (embeddingTypes == null) {
        return List.of(OutputType.FLOAT);
      }
      if (embeddingTypes.isEmpty() || embeddingTypes.contains(null)) {
        throw RagbusException.invalid("embedding_types must name a type and must not hold null");
      }
      return embeddingTypes.stream().distinct().toList();
    }

    /** Always of floats: all other types are made of them. */
    EmbedRequest request() {
      checkPriority(priority);
      if (outputDimension != null && outputDimension < 1) {
        throw RagbusException.invalid(
            "output_dimension must be at least 1, not " + outputDimension);
      }
      return EmbedRequest.of(embedded())
          .withModel(model)
          .withDimensions(outputDimension)
          .withInputType(inputType == null ? null : inputType.inputType)
          .withTruncation(
              truncate != Truncate.NONE,
              truncate == Truncate.START ? TruncationDirection.LEFT : TruncationDirection.RIGHT);
    }
  }

  /** One of {@code inputs}: its content is one or more parts, all texts here. */
  private record Input(List<Part> content) {
    static String text(Input input, String field) {
      if (input == null || input.content == null || input.content.isEmpty()) {
        throw RagbusException.invalid(field + ".content is required and must not be empty");
      }
      StringBuilder text = new StringBuilder();
      for (Part part : input.content) {
        if (part == null || !"text".equals(part.type) || part.text == null) {
          throw RagbusException.invalid(field + ".content must be parts of type text with a text");
        }
        text.append(text.isEmpty() ? "" : "\n").append(part.text);
      }
      return text.toString();
    }
  }

  private record Part(String type, String text) {}

  private enum CohereInputType {
    @JsonProperty("search_document")
    SEARCH_DOCUMENT(InputType.DOCUMENT),
    @JsonProperty("search_query")
    SEARCH_QUERY(InputType.QUERY),
    @JsonProperty("classification")
    CLASSIFICATION(null),
    @JsonProperty("clustering")
    CLUSTERING(null);

    private final InputType inputType;

    CohereInputType(InputType inputType) {
      this.inputType = inputType;
    }
  }

  /** What happens to texts that are too long: refused, or this end cut. */
  private enum Truncate {
    NONE,
    START,
    END
  }

  private static Future<Reply> embed(Operation.Call<EmbedBody> call) {
    List<OutputType> types = call.body().types();
    List<String> texts = call.body().embedded();
    return call.ragbus()
        .embed(call.body().request())
        .map(
            made ->
                new Reply(
                    200,
                    made.values().length * types.size(),
                    json -> write(json, call.id(), made, types, texts)));
  }

  private static void write(
      JsonGenerator json,
      String id,
      Embeddings embeddings,
      List<OutputType> types,
      List<String> texts)
      throws IOException {
    json.writeStartObject();
    json.writeStringField("id", id);
    json.writeObjectFieldStart("embeddings");
    for (OutputType type : types) {
      Embeddings numbers = embeddings.as(type.numbers());
      json.writeArrayFieldStart(type.label());
      for (int row = 0; row < numbers.count(); row++) {
        type.write(json, numbers, row);
      }
      json.writeEndArray();
    }
    json.writeEndObject();
    json.writeArrayFieldStart("texts");
    for (String text : texts) {
      json.writeString(text);
    }
    json.writeEndArray();
    json.writeObjectFieldStart("meta");
    writeVersion(json);
    json.writeObjectFieldStart("billed_units");
    json.writeNumberField("input_tokens", embeddings.usage().promptTokens());
    json.writeEndObject();
    writeWarnings(json, "texts", embeddings.usage());
    json.writeEndObject();
    json.writeStringField("response_type", "embeddings_by_type");
    json.writeEndObject();
  }

  private static void checkPriority(Integer priority) {
    if (priority != null && (priority < 0 || priority > 999)) {
      throw RagbusException.invalid("priority must be between 0 and 999, not " + priority);
    }
  }

  private record RerankBody(
      String model,
      String query,
      @JsonDeserialize(using = TextsReader.class) List<String> documents,
      Integer topN,
      Integer maxTokensPerDoc,
      Integer priority) {

    RerankRequest request() {
      TextsReader.required("documents", documents);
      checkPriority(priority);
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
    writeVersion(json);
    json.writeObjectFieldStart("billed_units");
    json.writeNumberField(
        "search_units", (documents + DOCUMENTS_PER_SEARCH_UNIT - 1) / DOCUMENTS_PER_SEARCH_UNIT);
    json.writeEndObject();
    json.writeObjectFieldStart("tokens");
    json.writeNumberField("input_tokens", ranking.usage().promptTokens());
    json.writeNumberField("output_tokens", 0);
    json.writeEndObject();
    json.writeNumberField("cached_tokens", 0);
    writeWarnings(json, "documents", ranking.usage());
    json.writeEndObject();
  }

  private static void writeVersion(JsonGenerator json) throws IOException {
    json.writeObjectFieldStart("api_version");
    json.writeStringField("version", "2");
    json.writeBooleanField("is_deprecated", false);
    json.writeBooleanField("is_experimental", false);
    json.writeEndObject();
  }

  private static void writeWarnings(JsonGenerator json, String what, Usage usage)
      throws IOException {
    json.writeArrayFieldStart("warnings");
    if (!usage.truncated().isEmpty()) {
      json.writeString(what + " cut to fit the model: " + usage.truncated());
    }
    json.writeEndArray();
  }

  @Override
  public Reply.Content error(HttpFailure failure) {
    return json -> {
      json.writeStartObject();
      json.writeStringField("message", failure.message());
      json.writeEndObject();
    };
  }
}
