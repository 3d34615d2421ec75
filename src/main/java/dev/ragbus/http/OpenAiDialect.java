// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

import com.fasterxml.jackson.annotation.JsonFormat;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.core.JsonGenerator;
import dev.ragbus.EmbedRequest;
import dev.ragbus.Embeddings;
import dev.ragbus.InputType;
import dev.ragbus.ModelInfo;
import dev.ragbus.NoArguments;
import dev.ragbus.RagbusException;
import dev.ragbus.TruncationDirection;
import io.vertx.core.Future;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.util.List;

/**
 * OpenAI's {@code /v1/embeddings}, also at {@code /embeddings}, and {@code /v1/models}.
 *
 * <p>Beyond OpenAI's fields it takes Jina's and those of {@link EmbedRequest}. The model may be
 * left out. In base64 a vector is little-endian float32 whatever its {@code embedding_type}, since
 * that is how OpenAI's clients read it, and they ask for base64 unless told otherwise.
 */
final class OpenAiDialect implements Dialect {
  @Override
  public List<Operation<?>> operations() {
    return List.of(
        embeddings("/v1/embeddings"),
        embeddings("/embeddings"),
        Operation.get("/v1/models", OpenAiDialect::models),
        Operation.get("/v1/models/*", OpenAiDialect::model));
  }

  private static Operation<EmbeddingsBody> embeddings(String path) {
    return Operation.post(path, "embed_texts", EmbeddingsBody.class, "input", OpenAiDialect::embed);
  }

  private record EmbeddingsBody(
      Inputs input,
      String model,
      EncodingFormat encodingFormat,
      Integer dimensions,
      String user,
      Boolean normalize,
      String prompt,
      String promptName,
      InputType inputType,
      Boolean truncate,
      TruncationDirection truncationDirection,
      @JsonFormat(with = JsonFormat.Feature.ACCEPT_SINGLE_VALUE_AS_ARRAY)
          List<OutputType> embeddingType,
      Task task,
      Boolean normalized,
      Boolean lateChunking) {

    EmbedRequest request() {
      Inputs.required("input", input);
      int empty = input.texts().indexOf("");
      if (empty >= 0) {
        throw RagbusException.invalid("input[" + empty + "] must not be empty");
      }
      exclude("normalize", normalize, "normalized", normalized);
      exclude("input_type", inputType, "task", task);
      if (Boolean.TRUE.equals(lateChunking)) {
        throw RagbusException.invalid("late_chunking must be false: texts are embedded one by one");
      }
      return new EmbedRequest(
          input.texts(),
          model,
          normalize == null ? normalized : normalize,
          dimensions,
          numbers().numbers(),
          prompt,
          promptName,
          task == null ? inputType : task.inputType,
          truncate,
          truncationDirection,
          input.tokens());
    }

    private static void exclude(String first, Object one, String second, Object other) {
      if (one != null && other != null) {
        throw RagbusException.invalid(first + " and " + second + " exclude each other");
      }
    }

    private OutputType numbers() {
      if (embeddingType == null) {
        return OutputType.FLOAT;
      }
      if (embeddingType.size() != 1 || embeddingType.get(0) == null) {
        throw RagbusException.invalid("embedding_type must be one type, or a list of one");
      }
      return embeddingType.get(0);
    }

    OutputType type() {
      OutputType numbers = numbers();
      return encodingFormat == EncodingFormat.BASE64 ? OutputType.BASE64 : numbers;
    }
  }

  private enum EncodingFormat {
    @JsonProperty("float")
    FLOAT,
    @JsonProperty("base64")
    BASE64
  }

  /** Jina's tasks; a model has a prompt for the first two at most. */
  private enum Task {
    @JsonProperty("retrieval.query")
    QUERY(InputType.QUERY),
    @JsonProperty("retrieval.passage")
    PASSAGE(InputType.DOCUMENT),
    @JsonProperty("text-matching")
    MATCHING(null),
    @JsonProperty("classification")
    CLASSIFICATION(null),
    @JsonProperty("separation")
    SEPARATION(null);

    private final InputType inputType;

    Task(InputType inputType) {
      this.inputType = inputType;
    }
  }

  private static Future<Reply> embed(Operation.Call<EmbeddingsBody> call) {
    OutputType type = call.body().type();
    return call.ragbus()
        .embed(call.body().request())
        .map(made -> new Reply(200, made.values().length, json -> write(json, made, type)));
  }

  private static void write(JsonGenerator json, Embeddings embeddings, OutputType type)
      throws IOException {
    json.writeStartObject();
    json.writeStringField("object", "list");
    json.writeArrayFieldStart("data");
    for (int row = 0; row < embeddings.count(); row++) {
      json.writeStartObject();
      json.writeStringField("object", "embedding");
      json.writeNumberField("index", row);
      json.writeFieldName("embedding");
      type.write(json, embeddings, row);
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
}
