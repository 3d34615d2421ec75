// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import dev.ragbus.RagbusException.Kind;
import io.vertx.core.Future;
import io.vertx.core.Promise;
import io.vertx.core.VerticleBase;
import io.vertx.core.eventbus.Message;
import io.vertx.core.json.JsonObject;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.Function;
import java.util.function.Supplier;
import java.util.stream.IntStream;

/**
 * Stands at the bus where the service would, with made-up vectors and scores: a text's vector is
 * its length, a third of it, and its sign turned; a document's score is one over its length.
 *
 * <p>{@code fail:KIND} as first text or query fails so; {@code hold} waits for {@link #release} or
 * for a cancellation.
 */
public final class FakeService extends VerticleBase {
  /** The time that requests came with, in milliseconds, in order. */
  public final List<Long> timeouts = new ArrayList<>();

  /** The ids that requests came with, in order. */
  public final List<String> ids = new ArrayList<>();

  /** The requests to embed, in order. */
  public final List<EmbedRequest> embedRequests = new ArrayList<>();

  /** The names of the functions that were registered, in order. */
  public final List<String> registered = new CopyOnWriteArrayList<>();

  private volatile Kind unregistering;
  private final Map<String, Message<?>> held = new HashMap<>();
  private Promise<String> holding = Promise.promise();
  private Promise<String> cancelled = Promise.promise();
  private boolean initialized = true;

  @Override
  public Future<?> start() {
    MessageCodecs.register(vertx);
    Addresses addresses = RagbusOptions.from(config()).bus().addresses();
    this.<EmbedRequest>serve(addresses.embed(), r -> first(r.texts()), this::embedded);
    this.<EmbedSparseRequest>serve(
        addresses.embedSparse(), r -> first(r.texts()), FakeService::embedSparse);
    this.<PredictRequest>serve(
        addresses.predict(),
        r -> r.texts().isEmpty() ? "" : r.texts().get(0).text(),
        FakeService::predict);
    this.<TokenizeRequest>serve(addresses.tokenize(), r -> first(r.texts()), FakeService::tokenize);
    this.<DecodeRequest>serve(addresses.decode(), r -> "", FakeService::decode);
    this.<ModelSpec>serve(addresses.loadModel(), ModelSpec::modelName, FakeService::load);
    this.<ModelQuery>serve(addresses.clearModels(), r -> "", FakeService::clear);
    this.<NoArguments>serve(
        addresses.cleanup(), r -> "", r -> new Cleanup("cleaned", List.of("a"), 1, 2, 3));
    this.<FunctionCall>serve(addresses.callFunction(), FakeService::first, FakeService::call);
    this.<FunctionSpec>serve(
        addresses.registerFunction(), this::registering, FakeService::registered);
    this.<NoArguments>serve(
        addresses.listFunctions(), r -> "", r -> new FunctionList(List.of(), 0));
    this.<FunctionName>serve(
        addresses.unregisterFunction(), FunctionName::name, this::unregistered);
    this.<NoArguments>serve(addresses.stats(), r -> "", r -> stats());
    this.<RerankRequest>serve(addresses.rerank(), RerankRequest::query, FakeService::rerank);
    this.<NoArguments>serve(addresses.listModels(), r -> "", r -> models());
    this.<ModelQuery>serve(addresses.getModel(), r -> "", FakeService::model);
    this.<NoArguments>serve(addresses.health(), r -> "", r -> health());
    return vertx
        .eventBus()
        .<JsonObject>consumer(addresses.cancel(), m -> cancel(m.body().getString("request_id")))
        .completion();
  }

  /** The id of the next request that is held. */
  public Future<String> holding() {
    return holding.future();
  }

  /** The id of the next held request that is cancelled. */
  public Future<String> cancelled() {
    return cancelled.future();
  }

  /** Answers the held requests. */
  public void release() {
    context.runOnContext(
        v -> {
          held.values().forEach(message -> message.reply(embed((EmbedRequest) message.body())));
          held.clear();
        });
  }

  /** Sets what health says. */
  public void initialized(boolean initialized) {
    this.initialized = initialized;
  }

  private <T> void serve(String address, Function<T, String> first, Function<T, Object> answer) {
    vertx
        .eventBus()
        .<T>consumer(
            address,
            message -> {
              String millis = message.headers().get(Addresses.TIMEOUT_HEADER);
              if (millis != null) {
                timeouts.add(Long.valueOf(millis));
              }
              String id = message.headers().get(Addresses.REQUEST_ID_HEADER);
              ids.add(id);
              String text = first.apply(message.body());
              if (text.equals("hold")) {
                held.put(id, message);
                Promise<String> was = holding;
                holding = Promise.promise();
                was.complete(id);
              } else {
                message.reply(reply(text, () -> answer.apply(message.body())));
              }
            });
  }

  private static Object reply(String text, Supplier<Object> answer) {
    if (text.startsWith("fail:")) {
      Kind kind = Kind.valueOf(text.substring(5));
      long retryAfter = kind == Kind.OVERLOADED ? 2_001 : 0;
      return RagbusException.of(kind, "texts were asked to", kind.retryable(), retryAfter, null);
    }
    try {
      return answer.get();
    } catch (RagbusException e) {
      return e;
    }
  }

  private void cancel(String id) {
    Message<?> message = held.remove(id);
    if (message != null) {
      message.reply(RagbusException.of(Kind.CANCELLED, "the caller cancelled"));
      Promise<String> was = cancelled;
      cancelled = Promise.promise();
      was.complete(id);
    }
  }

  private static String first(List<String> texts) {
    return texts.isEmpty() ? "" : texts.get(0);
  }

  private static String first(FunctionCall call) {
    return call.name().equals("embed_texts")
            && call.positional().get(0) instanceof List<?> texts
            && texts.get(0) instanceof String text
        ? text
        : call.name();
  }

  /** What functions of Python return is what they are called with. */
  private static Object call(FunctionCall call) {
    String first =
        !call.positional().isEmpty() && call.positional().get(0) instanceof String text
            ? text
            : null;
    if ("raises".equals(first)) {
      return FunctionResult.of(
          new JsonObject().put("error", "no such file").put("error_type", "OSError"));
    }
    return switch (call.name()) {
      case "load_model" ->
          FunctionResult.of(
              JsonBodies.format((Record) load(ModelSpec.of(name(call), ModelType.EMBEDDING))));
      case "list_models" -> FunctionResult.of(JsonBodies.format((Record) models()));
      case "clear_cache" ->
          FunctionResult.of(JsonBodies.format((Record) clear(new ModelQuery(first))));
      default -> new FunctionResult(call.args());
    };
  }

  private static String name(FunctionCall call) {
    return call.args() instanceof Map<?, ?> named
        ? (String) named.get("model_name")
        : call.positional().isEmpty() ? "m" : (String) call.positional().get(0);
  }

  private String registering(FunctionSpec spec) {
    registered.add(spec.name());
    return spec.name();
  }

  /** From now on it fails so where a function is to be unregistered. */
  public void failsToUnregister(Kind kind) {
    unregistering = kind;
  }

  private Object unregistered(FunctionName function) {
    if (unregistering != null) {
      throw RagbusException.of(unregistering, "functions were asked to");
    }
    return function;
  }

  private static Object registered(FunctionSpec spec) {
    if (spec.name().equals("refused")) {
      throw RagbusException.of(Kind.FORBIDDEN, "functions were asked to");
    }
    return new FunctionInfo(
        spec.name(), spec.module(), "", null, null, null, false, "function", "", null, null);
  }

  private static String known(String model) {
    if (model != null && model.startsWith("unknown")) {
      throw RagbusException.of(Kind.MODEL_NOT_FOUND, "no model '" + model + "'");
    }
    return model == null ? "fake" : model;
  }

  private Object embedded(EmbedRequest request) {
    embedRequests.add(request);
    return embed(request);
  }

  private static int length(EmbedRequest request, int at) {
    return request.tokens() == null
        ? request.texts().get(at).length()
        : request.tokens().get(at).size();
  }

  private static Object embed(EmbedRequest request) {
    String model = known(request.model());
    int width = request.dimensions() == null ? 3 : request.dimensions();
    float[] values = new float[width * request.count()];
    for (int i = 0; i < request.count(); i++) {
      int length = length(request, i);
      float[] row = {length, length / 3f, -length};
      for (int j = 0; j < width; j++) {
        values[i * width + j] =
            request.embeddingType() == EmbeddingType.FLOAT ? row[j % 3] : Math.round(row[j % 3]);
      }
    }
    if (request.texts().contains("nan")) {
      values[0] = Float.NaN;
    }
    int tokens = IntStream.range(0, request.count()).map(i -> length(request, i)).sum();
    return new Embeddings(
        values,
        model,
        width,
        request.count(),
        request.embeddingType(),
        new Usage(tokens, List.of()));
  }

  /** Of each text the values 0.5 and its length, at 1 and at its length and 10. */
  private static Object embedSparse(EmbedSparseRequest request) {
    int[] ends = IntStream.rangeClosed(1, request.count()).map(row -> 2 * row).toArray();
    int[] indices = new int[2 * request.count()];
    float[] values = new float[2 * request.count()];
    for (int row = 0; row < request.count(); row++) {
      int length =
          request.tokens() == null
              ? request.texts().get(row).length()
              : request.tokens().get(row).size();
      indices[2 * row] = 1;
      indices[2 * row + 1] = 10 + length;
      values[2 * row] = request.texts().contains("nan") ? Float.NaN : 0.5f;
      values[2 * row + 1] = length;
    }
    Usage usage = new Usage(7, List.of());
    return new SparseEmbeddings(ends, indices, values, known(request.model()), 1_000, usage);
  }

  /** Of each text the labels "alone" or "pair", and "other". */
  private static Object predict(PredictRequest request) {
    List<List<Predictions.Prediction>> predictions =
        request.texts().stream()
            .map(
                input ->
                    List.of(
                        new Predictions.Prediction(
                            input.second() == null ? "alone" : "pair",
                            request.rawScores() ? 2 : 0.75f),
                        new Predictions.Prediction("other", request.rawScores() ? -1 : 0.25f)))
            .toList();
    return new Predictions(predictions, known(request.model()), new Usage(7, List.of()));
  }

  private static Object rerank(RerankRequest request) {
    String model = known(request.model());
    List<String> texts = request.texts();
    List<Ranking.Result> results =
        IntStream.range(0, texts.size())
            .mapToObj(i -> new Ranking.Result(i, null, 1f / (1 + texts.get(i).length())))
            .sorted((a, b) -> Float.compare(b.score(), a.score()))
            .limit(request.topN() == null ? texts.size() : request.topN())
            .toList();
    List<Integer> cut = texts.contains("cut") ? List.of(texts.indexOf("cut")) : List.of();
    return new Ranking(
        results, model, Ranking.Method.CROSS_ENCODER, request.query(), new Usage(7, cut));
  }

  private static ModelInfo info(String name, ModelType type) {
    return new ModelInfo(
        name,
        type,
        type.cacheKey(name),
        3,
        "mean",
        null,
        256,
        "fake",
        "f32",
        "ready",
        1,
        1,
        1,
        null,
        null);
  }

  private static Object tokenize(TokenizeRequest request) {
    return new Tokens(
        request.texts().stream()
            .map(
                text ->
                    List.of(
                        new Tokens.Token(101, "[CLS]", true, null, null),
                        new Tokens.Token(text.length(), text, false, 0, text.length())))
            .toList(),
        known(request.model()));
  }

  private static Object decode(DecodeRequest request) {
    return new DecodedTexts(
        request.ids().stream().map(ids -> ids + " " + request.skipSpecialTokens()).toList(),
        known(request.model()));
  }

  private static Object load(ModelSpec spec) {
    String name = known(spec.modelName());
    return new ModelLoad(
        ModelLoad.Status.LOADED,
        name,
        spec.modelType(),
        3,
        spec.cacheKey(),
        List.of(spec.cacheKey()));
  }

  private static Object clear(ModelQuery query) {
    return new ModelsCleared(
        "cleared", query.model() == null ? List.of("all") : List.of(query.model()), List.of());
  }

  private static Object stats() {
    return new Stats(
        Map.of(),
        new Stats.Queue(0, 0, 0, 0, 0, 0, 0, 0, 0),
        List.of(),
        List.of(),
        new Stats.ModelCache(0, 0, 0, 0, 0, 0, 0),
        new Stats.Functions(0, 0, 0, 0, 0, 0, Map.of()),
        1);
  }

  private static Object models() {
    return new ModelList(
        List.of(
            info("fake", ModelType.EMBEDDING),
            info("cross/fake", ModelType.CROSS_ENCODER),
            info("fake", ModelType.CROSS_ENCODER)),
        3);
  }

  private static Object model(ModelQuery query) {
    return info(known(query.model().replaceFirst("^embedding:", "")), ModelType.EMBEDDING);
  }

  private Object health() {
    return new Health("UP", initialized, List.of(new Health.Check("lane", "UP", "quick")));
  }
}
