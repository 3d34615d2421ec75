package dev.ragbus.http;

import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.databind.annotation.JsonDeserialize;
import dev.ragbus.EmbedRequest;
import dev.ragbus.EmbeddingType;
import dev.ragbus.Embeddings;
import dev.ragbus.ModelInfo;
import dev.ragbus.NoArguments;
import dev.ragbus.RagbusException;
import dev.ragbus.TruncationDirection;
import io.vertx.core.Future;
import io.vertx.core.http.HttpMethod;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.util.List;

/**
 * OpenAI's {@code /v1/embeddings} and {@code /v1/models}.
 *
 * <p>Beyond OpenAI's fields it takes those of {@link EmbedRequest}. The model may be left out. In
 * base64 a vector is little-endian float32 whatever its {@code embedding_type}, since that is how
 * OpenAI's clients read it, and they ask for base64 unless told otherwise.
 */
final class OpenAiDialect implements Dialect {
  @Override
  public List<Operation<?>> operations() {
    return List.of(
        new Operation<>(
            HttpMethod.POST,
            "/v1/embeddings",
            "embed_texts",
            EmbeddingsBody.class,
            OpenAiDialect::embed),
        new Operation<>(
            HttpMethod.GET, "/v1/models", null, NoArguments.class, OpenAiDialect::models),
        new Operation<>(
            HttpMethod.GET, "/v1/models/*", null, NoArguments.class, OpenAiDialect::model));
  }

  private record EmbeddingsBody(
      @JsonDeserialize(using = TextsReader.Input.class) List<String> input,
      String model,
      EncodingFormat encodingFormat,
      Integer dimensions,
      String user,
      Boolean normalize,
      String prompt,
      String promptName,
      Boolean truncate,
      TruncationDirection truncationDirection,
      EmbeddingType embeddingType) {

    EmbedRequest request() {
      if (input == null || input.isEmpty()) {
        throw RagbusException.invalid("input is required and must not be empty");
      }
      int empty = input.indexOf("");
      if (empty >= 0) {
        throw RagbusException.invalid("input[" + empty + "] must not be empty");
      }
      return new EmbedRequest(
          input,
          model,
          normalize,
          dimensions,
          embeddingType,
          prompt,
          promptName,
          truncate,
          truncationDirection);
    }
  }

  private enum EncodingFormat {
    @JsonProperty("float")
    FLOAT,
    @JsonProperty("base64")
    BASE64
  }

  private static Future<Reply> embed(Operation.Call<EmbeddingsBody> call) {
    boolean base64 = call.body().encodingFormat == EncodingFormat.BASE64;
    return call.ragbus()
        .embed(call.body().request())
        .map(made -> new Reply(200, made.values().length, json -> write(json, made, base64)));
  }

  private static void write(JsonGenerator json, Embeddings embeddings, boolean base64)
      throws IOException {
    json.writeStartObject();
    json.writeStringField("object", "list");
    json.writeArrayFieldStart("data");
    for (int row = 0; row < embeddings.count(); row++) {
      json.writeStartObject();
      json.writeStringField("object", "embedding");
      json.writeNumberField("index", row);
      json.writeFieldName("embedding");
      if (base64) {
        VectorJson.writeBase64(json, embeddings, row);
      } else {
        VectorJson.writeArray(json, embeddings, row);
      }
      json.writeEndObject();
    }
    json.writeEndArray();
    json.writeStringField("model", embeddings.model());
    json.writeObjectFieldStart("usage");
    json.writeNumberField("prompt_tokens", embeddings.usage().promptTokens());
    json.writeNumberField("total_tokens", embeddings.usage().promptTokens());
    json.writeEndObject();
    json.writeEndObject();
  }

  private static Future<Reply> models(Operation.Call<NoArguments> call) {
    return call.ragbus()
        .listModels()
        .map(list -> list.cachedModels().stream().map(ModelInfo::modelName).distinct().toList())
        .map(names -> Reply.ok(json -> writeModels(json, names)));
  }

  private static void writeModels(JsonGenerator json, List<String> names) throws IOException {
    json.writeStartObject();
    json.writeStringField("object", "list");
    json.writeArrayFieldStart("data");
    for (String name : names) {
      writeModel(json, name);
    }
    json.writeEndArray();
    json.writeEndObject();
  }

  private static Future<Reply> model(Operation.Call<NoArguments> call) {
    return call.ragbus()
        .model(call.rest())
        .map(model -> Reply.ok(json -> writeModel(json, model.modelName())));
  }

  private static void writeModel(JsonGenerator json, String name) throws IOException {
    json.writeStartObject();
    json.writeStringField("id", name);
    json.writeStringField("object", "model");
    json.writeNumberField("created", ManagementFactory.getRuntimeMXBean().getStartTime() / 1000);
    json.writeStringField("owned_by", "ragbus");
    json.writeEndObject();
  }

  @Override
  public Reply.Content error(HttpFailure failure) {
    return json -> {
      json.writeStartObject();
      json.writeObjectFieldStart("error");
      json.writeStringField("message", failure.message());
      json.writeStringField("type", errorType(failure.status()));
      json.writeStringField("param", failure.field());
      json.writeStringField("code", failure.code());
      json.writeEndObject();
      json.writeEndObject();
    };
  }

  private static String errorType(int status) {
    return switch (status) {
      case 401 -> "authentication_error";
      case 403 -> "permission_error";
      case 429 -> "rate_limit_error";
      default -> status < 500 ? "invalid_request_error" : "server_error";
    };
  }

  @Override
  public String textsField() {
    return "input";
  }
}
