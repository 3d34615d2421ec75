// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import dev.ragbus.Cleanup;
import dev.ragbus.DecodeRequest;
import dev.ragbus.DecodedTexts;
import dev.ragbus.EmbedRequest;
import dev.ragbus.EmbedSparseRequest;
import dev.ragbus.EmbeddingType;
import dev.ragbus.Embeddings;
import dev.ragbus.InputType;
import dev.ragbus.JsonBodies;
import dev.ragbus.ModelInfo;
import dev.ragbus.ModelList;
import dev.ragbus.ModelLoad;
import dev.ragbus.ModelQuery;
import dev.ragbus.ModelSpec;
import dev.ragbus.ModelsCleared;
import dev.ragbus.NoArguments;
import dev.ragbus.PredictRequest;
import dev.ragbus.Predictions;
import dev.ragbus.RagbusException;
import dev.ragbus.RagbusException.Kind;
import dev.ragbus.RagbusOptions;
import dev.ragbus.Ranking;
import dev.ragbus.RerankRequest;
import dev.ragbus.SparseEmbeddings;
import dev.ragbus.StreamControl;
import dev.ragbus.TokenizeRequest;
import dev.ragbus.Tokens;
import dev.ragbus.TruncationDirection;
import dev.ragbus.Usage;
import dev.ragbus.python.Engine;
import dev.ragbus.python.TokenizedTexts;
import io.vertx.core.Future;
import io.vertx.core.Promise;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.LongSupplier;
import java.util.function.Supplier;

/** What the service does for each kind of request. Belongs to the service's event loop. */
final class Operations {
  private final RagbusOptions options;
  private final Engine engine;
  private final ModelRegistry models;
  private final Batcher batcher;
  private final BusStreams streams;
  private final LongSupplier nanoClock;

  /** What tokenizers were asked for, by the request's id. */
  private final Map<String, Set<Promise<?>>> asked = new HashMap<>();

  Operations(
      RagbusOptions options,
      Engine engine,
      ModelRegistry models,
      Batcher batcher,
      BusStreams streams,
      LongSupplier nanoClock) {
    this.nanoClock = nanoClock;
    this.options = options;
    this.engine = engine;
    this.models = models;
    this.batcher = batcher;
    this.streams = streams;
  }

  Future<Embeddings> embed(EmbedRequest request, Call call) {
    checkSizes(request.prompt(), request.texts());
    return models
        .forEmbedding(request.model(), call.requestId())
        .compose(
            model ->
                holding(
                    model,
                    () ->
                        checkIds(request.tokens(), model, call)
                            .compose(known -> embed(request, call, model))));
  }

  Future<SparseEmbeddings> embedSparse(EmbedSparseRequest request, Call call) {
    checkSizes(request.prompt(), request.texts());
    return models
        .forSparse(request.model(), call.requestId())
        .compose(
            model ->
                holding(
                    model,
                    () ->
                        checkIds(request.tokens(), model, call)
                            .compose(known -> embedSparse(request, call, model))));
  }

  private Future<SparseEmbeddings> embedSparse(
      EmbedSparseRequest request, Call call, LoadedModel model) {
    SparseRows rows = new SparseRows(request.count());
    if (request.count() == 0) {
      return Future.succeededFuture(rows.embeddings(model, Usage.NONE));
    }
    Prompt prompt = new Prompt(request.prompt(), request.promptName(), request.inputType());
    Job.Spec spec =
        new Job.Spec(
            model,
            null,
            textsOf(request.texts(), request.tokens(), prompt, model),
            null,
            false,
            0,
            1,
            request.truncationDirection() == TruncationDirection.LEFT,
            request.truncate(),
            request.topK() == null ? 0 : request.topK(),
            true,
            rows);
    return run(spec, request.tokens(), call).map(usage -> rows.embeddings(model, usage));
  }

  Future<Predictions> predict(PredictRequest request, Call call) {
    List<String> texts = request.texts().stream().map(PredictRequest.Input::text).toList();
    List<String> seconds = new ArrayList<>();
    request.texts().forEach(input -> seconds.add(input.second()));
    long secondChars = 0;
    for (int i = 0; i < seconds.size(); i++) {
      int chars = seconds.get(i) == null ? 0 : seconds.get(i).length();
      checkText("texts", i, chars);
      secondChars += chars;
    }
    checkSizes(texts, "limits.max_texts", options.limits().maxTexts(), secondChars);
    return models
        .forPrediction(request.model(), call.requestId())
        .compose(model -> predict(request, texts, seconds, call, model));
  }

  private Future<Predictions> predict(
      PredictRequest request,
      List<String> texts,
      List<String> seconds,
      Call call,
      LoadedModel model) {
    LabelScores scores =
        new LabelScores(model.engineModel().labels(), request.topN(), texts.size());
    if (texts.isEmpty()) {
      return Future.succeededFuture(scores.predictions(model, Usage.NONE));
    }
    Job.Spec spec =
        new Job.Spec(
            model,
            null,
            texts,
            seconds,
            false,
            0,
            1,
            request.truncationDirection() == TruncationDirection.LEFT,
            request.truncate(),
            0,
            !request.rawScores(),
            scores);
    return run(spec, call).map(usage -> scores.predictions(model, usage));
  }

  /**
   * Ids have gaps that only the tokenizer knows: it is asked for their text, which nobody reads.
   *
   * @param tokens null for none, which are well
   */
  private Future<?> checkIds(List<List<Integer>> tokens, LoadedModel model, Call call) {
    if (tokens == null) {
      return Future.succeededFuture();
    }
    checkIds("tokens", tokens);
    int empty = tokens.indexOf(List.<Integer>of());
    if (empty >= 0) {
      throw RagbusException.invalid("tokens[" + empty + "] must not be empty");
    }
    return decode(tokens, false, model, call)
        .recover(
            failure ->
                Future.failedFuture(
                    failure instanceof RagbusException typed && typed.kind() == Kind.INVALID
                        ? RagbusException.invalid(typed.detail().replaceFirst("^ids", "tokens"))
                        : failure));
  }

  private Future<Embeddings> embed(EmbedRequest request, Call call, LoadedModel model) {
    EmbeddingType type = request.embeddingType();
    if (request.count() == 0) {
      return Future.succeededFuture(
          new Embeddings(new float[0], model.name(), 0, 0, type, Usage.NONE));
    }
    int dimensions = dimensions(request, model);
    int outputs = model.engineModel().outputs();
    float[] values = new float[Math.multiplyExact(request.count(), dimensions)];
    Prompt prompt = new Prompt(request.prompt(), request.promptName(), request.inputType());
    Job.Spec spec =
        new Job.Spec(
            model,
            null,
            textsOf(request.texts(), request.tokens(), prompt, model),
            null,
            false,
            0,
            1,
            request.truncationDirection() == TruncationDirection.LEFT,
            request.truncate(),
            dimensions == outputs ? 0 : dimensions,
            normalize(request, model),
            (text, row) ->
                System.arraycopy(
                    row.values(), row.offset(), values, text * dimensions, dimensions));
    return run(spec, request.tokens(), call)
        .map(
            usage ->
                new Embeddings(
                        values,
                        model.name(),
                        dimensions,
                        request.count(),
                        EmbeddingType.FLOAT,
                        usage)
                    .as(type));
  }

  /** What the request says, else the option that the model was loaded with, else yes. */
  private static boolean normalize(EmbedRequest request, LoadedModel model) {
    return request.normalize() == null
        ? !Boolean.FALSE.equals(model.spec().normalize())
        : request.normalize();
  }

  private static int dimensions(EmbedRequest request, LoadedModel model) {
    int most = model.engineModel().dimensions();
    if (request.dimensions() != null && request.dimensions() > most) {
      throw RagbusException.of(
          Kind.TYPE_CONVERSION,
          "dimensions must be at most "
              + most
              + " for model '"
              + model.name()
              + "', not "
              + request.dimensions());
    }
    return request.dimensions() == null ? most : request.dimensions();
  }

  /** What a request says of the words to be put in front of its texts; each may be null. */
  private record Prompt(String text, String name, InputType type) {}

  /** The texts as they are read; where there are tokens, as many empty ones. */
  private static List<String> textsOf(
      List<String> texts, List<List<Integer>> tokens, Prompt prompt, LoadedModel model) {
    return tokens == null
        ? withPrompt(prompt, texts, model.engineModel())
        : Collections.nCopies(tokens.size(), "");
  }

  private static List<String> withPrompt(Prompt wanted, List<String> texts, Engine.Model model) {
    if (wanted.text != null) {
      return prefixed(wanted.text, texts);
    }
    if (wanted.name == null) {
      return wanted.type == null
          ? withDefaultPrompt(texts, model)
          : withPromptFor(wanted.type, texts, model);
    }
    String prompt = model.prompts().get(wanted.name);
    if (prompt == null) {
      throw RagbusException.invalid(
          "prompt_name must be one of " + model.prompts().keySet() + ", not '" + wanted.name + "'");
    }
    return prefixed(prompt, texts);
  }

  private static List<String> withPromptFor(
      InputType type, List<String> texts, Engine.Model model) {
    return type.promptNames().stream()
        .filter(model.prompts()::containsKey)
        .findFirst()
        .map(name -> prefixed(model.prompts().get(name), texts))
        .orElseGet(() -> withDefaultPrompt(texts, model));
  }

  static List<String> withDefaultPrompt(List<String> texts, Engine.Model model) {
    String name = model.defaultPromptName();
    return prefixed(name == null ? "" : model.prompts().getOrDefault(name, ""), texts);
  }

  private static List<String> prefixed(String prompt, List<String> texts) {
    return prompt.isEmpty() ? texts : texts.stream().map(prompt::concat).toList();
  }

  Future<Ranking> rerank(RerankRequest request, Call call) {
    if (request.runningTop()) {
      throw RagbusException.invalid("running_top must be false: it is for streams");
    }
    checkSizes(request);
    return models
        .forRanking(request.model(), call.requestId())
        .compose(
            model -> {
              Reranking reranking = new Reranking(request, model);
              Future<Usage> done =
                  reranking.total() == 0
                      ? Future.succeededFuture(Usage.NONE)
                      : run(reranking.spec(reranking::accept), call);
              return done.map(reranking::ranking);
            });
  }

  private void checkSizes(RerankRequest request) {
    int query = request.query().length();
    checkText("query", query);
    checkSizes(request.texts(), "limits.max_documents", options.limits().maxDocuments(), query);
  }

  /** Accepts a ranking whose frames go to the caller's stream address. */
  Future<StreamControl> rerankStream(RerankRequest request, Call call) {
    checkSizes(request);
    BusStream.checkAddress(call.streamAddress());
    return models
        .forRanking(request.model(), call.requestId())
        .compose(model -> stream(new Reranking(request, model), request.runningTop(), call));
  }

  private Future<StreamControl> stream(Reranking reranking, boolean runningTop, Call call) {
    BusStream stream = streams.open(call);
    RankingFrames frames = new RankingFrames(reranking, stream, call.requestId(), runningTop);
    if (reranking.total() == 0) {
      frames.start();
      frames.end(Future.succeededFuture(Usage.NONE));
      return stream.control();
    }
    Job job = new Job(reranking.spec(frames), null, call);
    stream.onFull(() -> batcher.pause(job)).drainHandler(v -> batcher.resume(job));
    stream.exceptionHandler(unwanted -> batcher.end(job, BusEndpoint.typed(unwanted)));
    frames.start();
    Future<Usage> done = run(job);
    if (done.failed()) {
      stream.discard();
      return Future.failedFuture(done.cause());
    }
    done.onComplete(result -> frames.end(done));
    return stream.control();
  }

  private Future<Usage> run(Job.Spec spec, Call call) {
    return run(spec, null, call);
  }

  /** Runs texts, or instead of them tokens. */
  private Future<Usage> run(Job.Spec spec, List<List<Integer>> tokens, Call call) {
    int maxTokens = spec.model().engineModel().maxTokens();
    TokenizedTexts given =
        tokens == null ? null : TokenizedTexts.of(tokens, maxTokens, spec.truncateLeft());
    return run(new Job(spec, given, call));
  }

  private Future<Usage> run(Job job) {
    LoadedModel model = job.spec().model();
    models.acquire(model);
    return batcher.submit(job).onComplete(done -> models.release(model));
  }

  private void checkSizes(String prompt, List<String> texts) {
    int chars = prompt == null ? 0 : prompt.length();
    checkText("prompt", chars);
    long prompts = (long) chars * texts.size();
    checkSizes(texts, "limits.max_texts", options.limits().maxTexts(), prompts);
  }

  private void checkSizes(List<String> texts, String countLimit, int maxCount, long otherChars) {
    checkLimit("the number of texts", texts.size(), countLimit, maxCount);
    long chars = otherChars;
    for (int i = 0; i < texts.size(); i++) {
      checkText("texts", i, texts.get(i).length());
      chars += texts.get(i).length();
    }
    checkLimit("texts", chars, "limits.max_request_chars", options.limits().maxRequestChars());
  }

  private void checkText(String field, int index, int length) {
    if (length > options.limits().maxTextChars()) {
      checkText(field + "[" + index + "]", length);
    }
  }

  private void checkText(String field, int length) {
    checkLimit(field, length, "limits.max_text_chars", options.limits().maxTextChars());
  }

  private static void checkLimit(String what, long value, String limit, long most) {
    if (value > most) {
      String unit = limit.endsWith("_chars") ? " characters" : "";
      throw RagbusException.of(
          Kind.TOO_LARGE, what + " is " + value + unit + ", " + limit + " is " + most);
    }
  }

  Future<Tokens> tokenize(TokenizeRequest request, Call call) {
    checkSizes(null, request.texts());
    return models
        .forTokens(request.model(), call.requestId())
        .compose(model -> holding(model, () -> tokenize(request, call, model, List.of())));
  }

  /** Goes on behind the texts whose tokens are known, a bounded call at a time. */
  private Future<Tokens> tokenize(
      TokenizeRequest request, Call call, LoadedModel model, List<List<Tokens.Token>> known) {
    int first = known.size();
    if (first == request.texts().size()) {
      return Future.succeededFuture(new Tokens(known, model.name()));
    }
    if (nanoClock.getAsLong() - call.deadlineNanos() >= 0) {
      return Future.failedFuture(
          RagbusException.of(Kind.TIMEOUT, "the deadline passed while the work was running"));
    }
    List<String> texts = request.texts();
    int end =
        CallBounds.end(text -> texts.get(text).length(), texts.size(), first, CallBounds.MAX_TEXTS);
    JsonObject body =
        new JsonObject()
            .put("texts", new JsonArray(texts.subList(first, end)))
            .put("add_special_tokens", request.addSpecialTokens());
    return control(model, Engine.Control.TOKENS, body, Tokens.class, call)
        .compose(
            part -> {
              List<List<Tokens.Token>> more = new ArrayList<>(known);
              more.addAll(part.tokens());
              return tokenize(request, call, model, more);
            });
  }

  Future<DecodedTexts> decode(DecodeRequest request, Call call) {
    checkIds("ids", request.ids());
    return models
        .forTokens(request.model(), call.requestId())
        .compose(
            model ->
                holding(
                    model, () -> decode(request.ids(), request.skipSpecialTokens(), model, call)));
  }

  private void checkIds(String field, List<List<Integer>> ids) {
    checkLimit(
        "the number of " + field, ids.size(), "limits.max_texts", options.limits().maxTexts());
    for (int i = 0; i < ids.size(); i++) {
      checkText(field, i, ids.get(i).size());
    }
  }

  private Future<DecodedTexts> decode(
      List<List<Integer>> ids, boolean skipSpecialTokens, LoadedModel model, Call call) {
    JsonObject body =
        new JsonObject()
            .put("ids", new JsonArray(ids.stream().map(JsonArray::new).toList()))
            .put("skip_special_tokens", skipSpecialTokens);
    return control(model, Engine.Control.DECODE, body, DecodedTexts.class, call);
  }

  /** Does something with a model, which stays until that is over. */
  private <T> Future<T> holding(LoadedModel model, Supplier<Future<T>> work) {
    models.acquire(model);
    return Future.succeededFuture()
        .compose(held -> work.get())
        .onComplete(done -> models.release(model));
  }

  /** Asks the tokenizer of a model that is held; who cancels the request is answered before it. */
  private <T extends Record> Future<T> control(
      LoadedModel model, Engine.Control operation, JsonObject body, Class<T> type, Call call) {
    Promise<T> answer = Promise.promise();
    asked.computeIfAbsent(call.requestId(), id -> new HashSet<>()).add(answer);
    engine
        .control(operation, body.put("handle", model.engineModel().handle()))
        .map(json -> JsonBodies.parse(json.put("model", model.name()), type))
        .onComplete(
            result -> {
              asked.computeIfPresent(
                  call.requestId(),
                  (id, answers) -> answers.remove(answer) && answers.isEmpty() ? null : answers);
              if (result.succeeded()) {
                answer.tryComplete(result.result());
              } else {
                answer.tryFail(result.cause());
              }
            });
    return answer.future();
  }

  Future<ModelLoad> load(ModelSpec spec, Call call) {
    return models.load(spec, ModelLocator.Origin.LOAD_REQUEST, call.requestId());
  }

  Future<ModelList> list(NoArguments none, Call call) {
    return Future.succeededFuture(models.list());
  }

  Future<ModelInfo> get(ModelQuery query, Call call) {
    return Future.succeededFuture(models.get(query.model()));
  }

  Future<ModelsCleared> clear(ModelQuery query, Call call) {
    batcher.clearCache();
    return Future.succeededFuture(models.clear(query.model()));
  }

  Future<Cleanup> cleanup(NoArguments none, Call call) {
    batcher.clearCache();
    ModelsCleared cleared = models.clear(null);
    return engine
        .control(Engine.Control.COLLECT, new JsonObject().put("everything", true))
        .map(
            collected ->
                new Cleanup(
                    "cleaned",
                    cleared.clearedModels(),
                    collected.getLong("collected"),
                    collected.getLong("resident_bytes_before"),
                    collected.getLong("resident_bytes_after")));
  }

  List<ModelInfo> models() {
    return models.list().cachedModels();
  }

  void cancel(String requestId) {
    RagbusException failure =
        RagbusException.of(Kind.CANCELLED, "the caller cancelled " + requestId);
    List.copyOf(asked.getOrDefault(requestId, Set.of())).forEach(it -> it.tryFail(failure));
    batcher.cancel(requestId);
    models.cancel(requestId);
  }
}
