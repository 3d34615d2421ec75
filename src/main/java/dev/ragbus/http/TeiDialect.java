// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.databind.annotation.JsonDeserialize;
import dev.ragbus.DecodeRequest;
import dev.ragbus.EmbedRequest;
import dev.ragbus.EmbedSparseRequest;
import dev.ragbus.Embeddings;
import dev.ragbus.ModelInfo;
import dev.ragbus.ModelType;
import dev.ragbus.NoArguments;
import dev.ragbus.PredictRequest;
import dev.ragbus.Predictions;
import dev.ragbus.Predictions.Prediction;
import dev.ragbus.Ragbus;
import dev.ragbus.RagbusException;
import dev.ragbus.RagbusOptions;
import dev.ragbus.Ranking;
import dev.ragbus.RerankRequest;
import dev.ragbus.SparseEmbeddings;
import dev.ragbus.TokenizeRequest;
import dev.ragbus.Tokens;
import dev.ragbus.TruncationDirection;
import io.vertx.core.Future;
import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;
import java.util.function.Supplier;

/**
 * The routes of Hugging Face's text-embeddings-inference: {@code /embed} (also {@code POST /}),
 * {@code /embed_sparse}, {@code /predict}, {@code /rerank}, {@code /similarity}, {@code /tokenize},
 * {@code /decode}, {@code /info} and {@code /health}.
 *
 * <p>As there, fields it does not know are passed over. Beyond its fields it takes {@code model}.
 * {@code /rerank} takes {@code documents} as well and then answers as {@link JinaDialect} does. An
 * empty text is a text like any other, which TEI refuses.
 */
final class TeiDialect implements Dialect {
  private final RagbusOptions options;
  private final HealthDialect health;

  TeiDialect(RagbusOptions options, HealthDialect health) {
    this.options = options;
    this.health = health;
  }

  @Override
  public List<Operation<?>> operations() {
    return List.of(
        embed("/embed"),
        embed("/"),
        Operation.post(
            "/embed_sparse", "embed_texts", EmbedBody.class, "inputs", TeiDialect::embedSparse),
        Operation.post("/predict", "embed_texts", PredictBody.class, "inputs", TeiDialect::predict),
        Operation.post("/rerank", "rerank_texts", RerankBody.class, "texts", TeiDialect::rerank),
        Operation.post(
            "/similarity", "embed_texts", SimilarityBody.class, "inputs", TeiDialect::similarity),
        Operation.post("/tokenize", null, TokenizeBody.class, "inputs", TeiDialect::tokenize),
        Operation.post("/decode", null, DecodeBody.class, "ids", TeiDialect::decode),
        Operation.get("/info", this::info),
        Operation.get("/health", this::health).allowedTo(Access.OPEN));
  }

  private static Operation<EmbedBody> embed(String path) {
    return Operation.post(path, "embed_texts", EmbedBody.class, "inputs", TeiDialect::embed);
  }

  @JsonIgnoreProperties(ignoreUnknown = true)
  private record EmbedBody(
      Inputs inputs,
      String model,
      Boolean truncate,
      TruncationDirection truncationDirection,
      String promptName,
      Boolean normalize,
      Integer dimensions) {

    EmbedRequest request() {
      Inputs.required("inputs", inputs);
      return new EmbedRequest(
          inputs.texts(),
          model,
          normalize,
          dimensions,
          null,
          null,
          promptName,
          null,
          truncate,
          truncationDirection,
          inputs.tokens());
    }

    /** The same for sparse vectors, which are neither scaled nor cut. */
    EmbedSparseRequest sparse() {
      Inputs.required("inputs", inputs);
      return new EmbedSparseRequest(
          inputs.texts(),
          model,
          null,
          null,
          promptName,
          null,
          truncate,
          truncationDirection,
          inputs.tokens());
    }
  }

  private static Future<Reply> embedSparse(Operation.Call<EmbedBody> call) {
    return call.ragbus()
        .embedSparse(call.body().sparse())
        .map(made -> new Reply(200, made.values().length, json -> write(json, made)));
  }

  private static void write(JsonGenerator json, SparseEmbeddings embeddings) throws IOException {
    json.writeStartArray();
    for (int row = 0; row < embeddings.count(); row++) {
      json.writeStartArray();
      for (int i = embeddings.start(row); i < embeddings.ends()[row]; i++) {
        json.writeStartObject();
        json.writeNumberField("index", embeddings.indices()[i]);
        json.writeNumberField("value", VectorJson.finite(embeddings.values()[i]));
        json.writeEndObject();
      }
      json.writeEndArray();
    }
    json.writeEndArray();
  }

  @JsonIgnoreProperties(ignoreUnknown = true)
  private record PredictBody(
      Sequences inputs,
      String model,
      Boolean truncate,
      TruncationDirection truncationDirection,
      Boolean rawScores) {

    PredictRequest request() {
      return new PredictRequest(
          Sequences.required(inputs).inputs(),
          model,
          rawScores,
          null,
          truncate,
          truncationDirection);
    }
  }

  private static Future<Reply> predict(Operation.Call<PredictBody> call) {
    return call.ragbus()
        .predict(call.body().request())
        .map(
            made -> {
              List<List<Prediction>> all = made.predictions();
              int count = all.stream().mapToInt(List::size).sum();
              return new Reply(200, count, json -> write(json, all, call.body().inputs.single()));
            });
  }

  private static void write(JsonGenerator json, List<List<Prediction>> all, boolean single)
      throws IOException {
    if (!single) {
      json.writeStartArray();
    }
    for (List<Prediction> predictions : all) {
      json.writeStartArray();
      for (Prediction prediction : predictions) {
        json.writeStartObject();
        json.writeNumberField("score", VectorJson.finite(prediction.score()));
        json.writeStringField("label", prediction.label());
        json.writeEndObject();
      }
      json.writeEndArray();
    }
    if (!single) {
      json.writeEndArray();
    }
  }

  private static Future<Reply> embed(Operation.Call<EmbedBody> call) {
    return call.ragbus()
        .embed(call.body().request())
        .map(made -> new Reply(200, made.values().length, json -> write(json, made)));
  }

  private static void write(JsonGenerator json, Embeddings embeddings) throws IOException {
    json.writeStartArray();
    for (int row = 0; row < embeddings.count(); row++) {
      VectorJson.writeArray(json, embeddings, row);
    }
    json.writeEndArray();
  }

  @JsonIgnoreProperties(ignoreUnknown = true)
  private record RerankBody(
      String query,
      @JsonDeserialize(using = TextsReader.class) List<String> texts,
      @JsonDeserialize(using = TextsReader.class) List<String> documents,
      String model,
      Integer topN,
      Boolean truncate,
      TruncationDirection truncationDirection,
      Boolean rawScores,
      Boolean returnText,
      Boolean returnDocuments) {

    /** What the texts are called here. */
    List<String> ranked() {
      return TextsReader.either(documents, texts, "texts");
    }

    RerankRequest request() {
      return new RerankRequest(
          query,
          ranked(),
          model,
          topN,
          false, // The texts are here: they need not travel back.
          rawScores,
          null,
          null,
          truncate,
          truncationDirection,
          false);
    }
  }

  private static Future<Reply> rerank(Operation.Call<RerankBody> call) {
    RerankBody body = call.body();
    List<String> ranked = body.ranked();
    List<String> texts = Boolean.TRUE.equals(body.returnText) ? ranked : null;
    List<String> documents = Boolean.FALSE.equals(body.returnDocuments) ? null : ranked;
    return call.ragbus()
        .rerank(body.request())
        .map(
            ranking ->
                new Reply(
                    200,
                    ranking.rankedResults().size(),
                    json -> {
                      if (body.documents == null) {
                        write(json, ranking, texts);
                      } else {
                        JinaDialect.write(json, ranking, documents);
                      }
                    }));
  }

  private static void write(JsonGenerator json, Ranking ranking, List<String> texts)
      throws IOException {
    json.writeStartArray();
    for (Ranking.Result result : ranking.rankedResults()) {
      json.writeStartObject();
      json.writeNumberField("index", result.index());
      if (texts != null) {
        json.writeStringField("text", texts.get(result.index()));
      }
      json.writeNumberField("score", VectorJson.finite(result.score()));
      json.writeEndObject();
    }
    json.writeEndArray();
  }

  @JsonIgnoreProperties(ignoreUnknown = true)
  private record SimilarityBody(Sentences inputs, Parameters parameters, String model) {

    EmbedRequest request() {
      if (inputs == null) {
        throw RagbusException.invalid("inputs is required");
      }
      if (inputs.sourceSentence == null) {
        throw RagbusException.invalid("inputs.source_sentence is required");
      }
      TextsReader.required("inputs.sentences", inputs.sentences);
      Parameters how = parameters == null ? new Parameters(null, null, null) : parameters;
      List<String> texts = new ArrayList<>();
      texts.add(inputs.sourceSentence);
      texts.addAll(inputs.sentences);
      return new EmbedRequest(
          texts,
          model,
          true,
          null,
          null,
          null,
          how.promptName,
          null,
          how.truncate,
          how.truncationDirection,
          null);
    }
  }

  @JsonIgnoreProperties(ignoreUnknown = true)
  private record Sentences(String sourceSentence, List<String> sentences) {}

  @JsonIgnoreProperties(ignoreUnknown = true)
  private record Parameters(
      Boolean truncate, TruncationDirection truncationDirection, String promptName) {}

  private static Future<Reply> similarity(Operation.Call<SimilarityBody> call) {
    return call.ragbus()
        .embed(call.body().request())
        .map(made -> new Reply(200, made.count(), json -> writeSimilarities(json, made)));
  }

  private static void writeSimilarities(JsonGenerator json, Embeddings embeddings)
      throws IOException {
    json.writeStartArray();
    for (int sentence = 1; sentence < embeddings.count(); sentence++) {
      json.writeNumber(VectorJson.finite((float) embeddings.dot(0, sentence)));
    }
    json.writeEndArray();
  }

  @JsonIgnoreProperties(ignoreUnknown = true)
  private record TokenizeBody(
      Inputs inputs, String model, Boolean addSpecialTokens, String promptName) {

    TokenizeRequest request() {
      if (Inputs.required("inputs", inputs).tokens() != null) {
        throw RagbusException.invalid("inputs must be a string or a list of strings");
      }
      if (promptName != null) {
        throw RagbusException.invalid("prompt_name must be null: texts are taken as they are");
      }
      return new TokenizeRequest(inputs.texts(), model, addSpecialTokens);
    }
  }

  private static Future<Reply> tokenize(Operation.Call<TokenizeBody> call) {
    return call.ragbus()
        .tokenize(call.body().request())
        .map(
            made -> {
              int count = made.tokens().stream().mapToInt(List::size).sum();
              return new Reply(200, count, json -> writeTokens(json, made));
            });
  }

  private static void writeTokens(JsonGenerator json, Tokens tokens) throws IOException {
    json.writeStartArray();
    for (List<Tokens.Token> text : tokens.tokens()) {
      json.writeStartArray();
      for (Tokens.Token token : text) {
        json.writeStartObject();
        json.writeNumberField("id", token.id());
        json.writeStringField("text", token.text());
        json.writeBooleanField("special", token.special());
        writePlace(json, "start", token.start());
        writePlace(json, "stop", token.stop());
        json.writeEndObject();
      }
      json.writeEndArray();
    }
    json.writeEndArray();
  }

  private static void writePlace(JsonGenerator json, String name, Integer place)
      throws IOException {
    if (place == null) {
      json.writeNullField(name);
    } else {
      json.writeNumberField(name, place);
    }
  }

  @JsonIgnoreProperties(ignoreUnknown = true)
  private record DecodeBody(Inputs ids, String model, Boolean skipSpecialTokens) {

    DecodeRequest request() {
      if (Inputs.required("ids", ids).tokens() == null) {
        throw RagbusException.invalid("ids must be a list of integers or a list of such lists");
      }
      return new DecodeRequest(ids.tokens(), model, skipSpecialTokens);
    }
  }

  private static Future<Reply> decode(Operation.Call<DecodeBody> call) {
    return call.ragbus()
        .decode(call.body().request())
        .map(made -> Reply.ok(json -> writeStrings(json, made.texts())));
  }

  private static void writeStrings(JsonGenerator json, List<String> texts) throws IOException {
    json.writeStartArray();
    for (String text : texts) {
      json.writeString(text);
    }
    json.writeEndArray();
  }

  /**
   * A request without texts is answered by the default model, which it names: the embedding model,
   * and where there is none the first of the others.
   */
  private Future<Reply> info(Operation.Call<NoArguments> call) {
    Ragbus ragbus = call.ragbus();
    return ragbus
        .embed(EmbedRequest.of())
        .map(none -> ModelType.EMBEDDING.cacheKey(none.model()))
        .recover(orElse(() -> ragbus.rerank("", List.of()).map(Ranking::model)))
        .recover(
            orElse(() -> ragbus.embedSparse(EmbedSparseRequest.of()).map(SparseEmbeddings::model)))
        .recover(orElse(() -> ragbus.predict(PredictRequest.of()).map(Predictions::model)))
        .compose(ragbus::model)
        .map(model -> Reply.ok(json -> writeInfo(json, model)));
  }

  /** What is tried next where there is no model. */
  private static Function<Throwable, Future<String>> orElse(Supplier<Future<String>> next) {
    return failure ->
        failure instanceof RagbusException typed
                && typed.kind() == RagbusException.Kind.MODEL_NOT_FOUND
            ? next.get()
            : Future.failedFuture(failure);
  }

  private void writeInfo(JsonGenerator json, ModelInfo model) throws IOException {
    json.writeStartObject();
    json.writeStringField("model_id", model.modelName());
    json.writeNullField("model_sha");
    json.writeStringField("model_dtype", dtype(model.precision()));
    writeType(json, model);
    json.writeStringField("served_model_name", model.modelName());
    json.writeNumberField("max_input_length", model.maxTokens());
    json.writeNumberField("max_batch_tokens", options.batching().maxBatchTokens());
    json.writeNullField("max_batch_requests");
    json.writeNumberField("max_concurrent_requests", options.http().maxRequestsPerClient());
    json.writeNumberField("tokenization_workers", 1);
    json.writeNumberField("max_client_batch_size", options.limits().maxTexts());
    json.writeBooleanField("auto_truncate", true);
    json.writeStringField(
        "version",
        Optional.ofNullable(TeiDialect.class.getPackage().getImplementationVersion())
            .orElse("unreleased"));
    json.writeEndObject();
  }

  private static void writeType(JsonGenerator json, ModelInfo model) throws IOException {
    List<String> labels = model.labels();
    json.writeObjectFieldStart("model_type");
    if (labels == null) {
      json.writeObjectFieldStart("embedding");
      json.writeStringField("pooling", pooling(model));
    } else {
      json.writeObjectFieldStart(labels.size() > 1 ? "classifier" : "reranker");
      json.writeObjectFieldStart("id2label");
      for (int id = 0; id < labels.size(); id++) {
        json.writeStringField(Integer.toString(id), labels.get(id));
      }
      json.writeEndObject();
      json.writeObjectFieldStart("label2id");
      for (String label : new LinkedHashSet<>(labels)) {
        json.writeNumberField(label, labels.indexOf(label));
      }
      json.writeEndObject();
    }
    json.writeEndObject();
    json.writeEndObject();
  }

  /** Its name there. */
  private static String pooling(ModelInfo model) {
    if (model.modelType() == ModelType.SPARSE) {
      return "splade";
    }
    return model.pooling().equals("lasttoken") ? "last_token" : model.pooling();
  }

  private static String dtype(String precision) {
    return switch (precision) {
      case "f32" -> "float32";
      case "bf16" -> "bfloat16";
      case "f16" -> "float16";
      default -> precision;
    };
  }

  private Future<Reply> health(Operation.Call<NoArguments> call) {
    return health
        .health(call)
        .map(
            told -> {
              if (!HealthDialect.ready(told)) {
                throw RagbusException.of(RagbusException.Kind.UNAVAILABLE, "unhealthy");
              }
              return Reply.empty();
            });
  }

  /** As TEI: what a client can mend is 422, and an empty list 400. */
  @Override
  public int status(HttpFailure failure) {
    return switch (failure.status()) {
      case 400 -> failure.field() != null && isEmpty(failure) ? 400 : 422;
      case 413 -> failure.code().equals("too_large") ? 422 : 413;
      case 500 -> 424;
      default -> failure.status();
    };
  }

  private static boolean isEmpty(HttpFailure failure) {
    return failure.message().endsWith("must not be empty");
  }

  @Override
  public Reply.Content error(HttpFailure failure) {
    return json -> {
      json.writeStartObject();
      json.writeStringField("error", failure.message());
      json.writeStringField("error_type", errorType(failure));
      json.writeEndObject();
    };
  }

  private String errorType(HttpFailure failure) {
    return switch (status(failure)) {
      case 400 -> "Empty";
      case 429 -> "Overloaded";
      case 424, 504 -> "Backend";
      case 503 -> "Unhealthy";
      default -> "Validation";
    };
  }
}
