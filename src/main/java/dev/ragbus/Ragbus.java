// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import io.vertx.core.Future;
import io.vertx.core.Vertx;
import java.time.Duration;
import java.util.List;
import java.util.function.Consumer;

/**
 * The client of a Ragbus deployment: embeddings, rerankings, model management and Python functions
 * as messages on the event bus, to this JVM or another node.
 *
 * <pre>{@code
 * Ragbus ragbus = Ragbus.create(vertx);
 * ragbus.embed("How tall is Mont Blanc?").onSuccess(vectors -> use(vectors.row(0)));
 * }</pre>
 *
 * <p>Unless {@link #withTimeout} says otherwise, a request has 60 s for {@link #rerank}, {@link
 * #rerankStream} and {@link #loadModel}, 10 s for {@link #clearModels}, {@link #clearMemory} and
 * {@link #cleanup}, and 30 s for everything else.
 *
 * <p>Every method returns at once; its future completes on the caller's own context and fails with
 * a {@link RagbusException} only. A client may be used from any thread and needs no closing.
 */
public interface Ragbus {
  /** A client of the deployment under the default address prefix, with the default timeouts. */
  static Ragbus create(Vertx vertx) {
    return create(vertx, Addresses.DEFAULT_PREFIX);
  }

  /** A client of the deployment under an address prefix, with the default timeouts. */
  static Ragbus create(Vertx vertx, String addressPrefix) {
    return BusRagbus.create(vertx, new Addresses(addressPrefix));
  }

  /**
   * The same client with another timeout for every request sent through it. The time left travels
   * with the request; work whose time is over is dropped. A deployment caps it at its own limit.
   *
   * @param timeout at least a millisecond
   */
  Ragbus withTimeout(Duration timeout);

  /**
   * The same client with a name for the requests sent through it, for logs and {@link
   * #cancel(String)}.
   *
   * @param requestId {@code ^[A-Za-z0-9._-]{1,64}$}
   */
  Ragbus withRequestId(String requestId);

  /**
   * The same client for somebody else: where one server asks for many, a caller who has nothing
   * under way does not wait behind all that another one has sent. Each client that was {@link
   * #create}d is a caller of its own.
   *
   * @param caller at most 128 characters
   */
  Ragbus withCaller(String caller);

  /**
   * The same client, which also tells where the time went of each request sent through it whose
   * texts were run and that is answered with a result. A stream tells nothing.
   *
   * @param handler called before the request's future completes
   */
  Ragbus withTimings(Consumer<Timings> handler);

  /** Texts to vectors, in the order of the texts. */
  Future<Embeddings> embed(EmbedRequest request);

  /** Texts to vectors by the default model. */
  default Future<Embeddings> embed(String... texts) {
    return embed(EmbedRequest.of(texts));
  }

  /** Texts to sparse vectors over a model's vocabulary, in the order of the texts. */
  Future<SparseEmbeddings> embedSparse(EmbedSparseRequest request);

  /** Texts, or pairs of texts, to labels with scores, in the order of the texts. */
  Future<Predictions> predict(PredictRequest request);

  /** Ranks texts by how well they answer a query. */
  Future<Ranking> rerank(RerankRequest request);

  /** Ranks texts by how well they answer a query, by the default reranker. */
  default Future<Ranking> rerank(String query, List<String> texts) {
    return rerank(RerankRequest.of(query, texts));
  }

  /**
   * Ranks texts and tells their scores as they become known. The future completes when the request
   * is accepted.
   */
  Future<RerankStream> rerankStream(RerankRequest request);

  /** Texts to a model's tokens. */
  Future<Tokens> tokenize(TokenizeRequest request);

  /** Token ids back to texts. */
  Future<DecodedTexts> decode(DecodeRequest request);

  /**
   * Loads a model, or tells that it is loaded, with other options too: {@code forceReload} loads it
   * with these, while the old one serves until the new one is ready, and on where that fails. Many
   * callers at once cause one load; other options than those of a load under way are a {@code
   * CONFLICT}.
   */
  Future<ModelLoad> loadModel(ModelSpec model);

  /**
   * Loads a model unless this client knows that it is loaded; then nothing is sent. The client
   * forgets what it knew after {@link #clearModels}, {@link #clearMemory} and {@link #cleanup}.
   */
  Future<Void> ensureModelLoaded(String modelName, ModelType modelType);

  /** The models that are loaded or being loaded, with the progress of their loads. */
  Future<ModelList> listModels();

  /**
   * One model that is loaded or being loaded, by name or cache key; fails with {@code
   * MODEL_NOT_FOUND}.
   */
  Future<ModelInfo> model(String model);

  /**
   * Forgets a model by name or cache key, or for null all loaded ones that are not pinned. Requests
   * that are using it are answered; its memory is given back after them. If it is being loaded,
   * that ends, and those who wait for it get CANCELLED. An unknown name clears nothing.
   */
  Future<ModelsCleared> clearModels(String model);

  /**
   * Clears all models that are not pinned, collects garbage in Python and gives memory back to the
   * system.
   */
  Future<Cleanup> cleanup();

  /** {@link #cleanup()}, and this client forgets which models it knew to be loaded. */
  default Future<Cleanup> clearMemory() {
    return cleanup();
  }

  /**
   * Registers a Python function. Source text needs {@code functions.allow_source}, an installed
   * function {@code functions.allow_modules}; else the call fails with {@code FORBIDDEN}. A name
   * that is taken is a {@code CONFLICT} unless the spec replaces it.
   */
  Future<FunctionInfo> register(FunctionSpec spec);

  /** Unregisters a function; fails with {@code FUNCTION_NOT_FOUND}. Calls under way go on. */
  Future<FunctionName> unregister(String name);

  /** Describes a registered function, with its source where {@code code} is true. */
  Future<FunctionInfo> function(FunctionQuery query);

  /** Describes a registered function; fails with {@code FUNCTION_NOT_FOUND}. */
  default Future<FunctionInfo> function(String name) {
    return function(new FunctionQuery(name, false));
  }

  /** The registered functions, by name. */
  Future<FunctionList> functions();

  /**
   * Calls a registered function. One that does not come back in time is answered for with {@code
   * TIMEOUT}; then it is told to end, and where it does not, its thread is given up.
   */
  Future<FunctionResult> call(FunctionCall call);

  /** Calls a registered generator; its items come as it makes them and the reader takes them. */
  Future<FunctionStream> stream(FunctionCall call);

  /** Calls a registered generator with arguments by position. */
  default Future<FunctionStream> stream(String name, Object... args) {
    return stream(FunctionCall.of(name, args));
  }

  /** Calls a registered function with arguments by position; a map is a dictionary. */
  default Future<FunctionResult> call(String name, Object... args) {
    return call(FunctionCall.of(name, args));
  }

  /**
   * Calls a registered function within a time of its own.
   *
   * @param args as {@link FunctionCall#args()}
   */
  default Future<FunctionResult> call(String name, Object args, Duration timeout) {
    return withTimeout(timeout).call(new FunctionCall(name, args, null));
  }

  /**
   * Drops the requests with this id wherever they wait or run; their callers get CANCELLED. A load
   * that nobody else waits for ends.
   */
  void cancel(String requestId);

  /** Whether the service can serve. */
  Future<Health> health();

  /** Counters and quantiles. */
  Future<Stats> stats();
}
