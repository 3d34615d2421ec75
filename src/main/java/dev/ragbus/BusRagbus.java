// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import dev.ragbus.RagbusException.Kind;
import io.vertx.core.Future;
import io.vertx.core.Vertx;
import io.vertx.core.eventbus.DeliveryOptions;
import io.vertx.core.eventbus.Message;
import io.vertx.core.eventbus.ReplyException;
import io.vertx.core.json.JsonObject;
import java.time.Duration;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Consumer;
import java.util.function.Function;

/** {@link Ragbus} over the event bus. Immutable but for the set of models it knows to be loaded. */
final class BusRagbus implements Ragbus {
  private static final Duration TIMEOUT = Duration.ofSeconds(30);
  private static final Duration LONG_TIMEOUT = Duration.ofSeconds(60);
  private static final Duration SHORT_TIMEOUT = Duration.ofSeconds(10);

  /**
   * How much longer than the service the sender waits, so that the service's own answer to a missed
   * deadline, which says whether the work had started, comes first.
   */
  private static final long SENDER_GRACE_MILLIS = 200;

  private final Vertx vertx;
  private final Addresses addresses;

  /** For every operation; null for each one's own. */
  private final Duration timeout;

  private final String requestId;

  /** Who asks. */
  private final String caller;

  /** Told the timings of replies; null for nobody. */
  private final Consumer<Timings> timings;

  private final Set<String> knownModels;

  private BusRagbus(
      Vertx vertx,
      Addresses addresses,
      Duration timeout,
      String requestId,
      String caller,
      Consumer<Timings> timings,
      Set<String> knownModels) {
    this.vertx = vertx;
    this.addresses = addresses;
    this.timeout = timeout;
    this.requestId = requestId;
    this.caller = caller;
    this.timings = timings;
    this.knownModels = knownModels;
  }

  static Ragbus create(Vertx vertx, Addresses addresses) {
    MessageCodecs.register(vertx);
    String caller = UUID.randomUUID().toString();
    return new BusRagbus(vertx, addresses, null, null, caller, null, ConcurrentHashMap.newKeySet());
  }

  @Override
  public Ragbus withTimeout(Duration timeout) {
    if (timeout.toMillis() < 1) {
      throw new IllegalArgumentException("timeout must be at least 1 ms, not " + timeout);
    }
    return new BusRagbus(vertx, addresses, timeout, requestId, caller, timings, knownModels);
  }

  @Override
  public Ragbus withRequestId(String requestId) {
    if (!RequestIds.valid(requestId)) {
      throw new IllegalArgumentException("request id must match " + RequestIds.PATTERN);
    }
    return new BusRagbus(vertx, addresses, timeout, requestId, caller, timings, knownModels);
  }

  @Override
  public Ragbus withCaller(String caller) {
    if (caller.length() > Addresses.MAX_CALLER_CHARS) {
      throw new IllegalArgumentException(
          "caller must have at most " + Addresses.MAX_CALLER_CHARS + " characters");
    }
    return new BusRagbus(vertx, addresses, timeout, requestId, caller, timings, knownModels);
  }

  @Override
  public Ragbus withTimings(Consumer<Timings> handler) {
    return new BusRagbus(vertx, addresses, timeout, requestId, caller, handler, knownModels);
  }

  @Override
  public Future<Embeddings> embed(EmbedRequest request) {
    return send(addresses.embed(), request);
  }

  @Override
  public Future<SparseEmbeddings> embedSparse(EmbedSparseRequest request) {
    return send(addresses.embedSparse(), request);
  }

  @Override
  public Future<Predictions> predict(PredictRequest request) {
    return send(addresses.predict(), request);
  }

  @Override
  public Future<Ranking> rerank(RerankRequest request) {
    return send(addresses.rerank(), request, LONG_TIMEOUT);
  }

  @Override
  public Future<RerankStream> rerankStream(RerankRequest request) {
    return stream(
            addresses.rerankStream(),
            request,
            LONG_TIMEOUT,
            json -> JsonBodies.parseFrame(json, RerankFrame.class))
        .map(frames -> new BusRerankStream(frames, request.query()));
  }

  @Override
  public Future<Tokens> tokenize(TokenizeRequest request) {
    return send(addresses.tokenize(), request);
  }

  @Override
  public Future<DecodedTexts> decode(DecodeRequest request) {
    return send(addresses.decode(), request);
  }

  @Override
  public Future<ModelLoad> loadModel(ModelSpec model) {
    return this.<ModelLoad>send(addresses.loadModel(), model, LONG_TIMEOUT)
        .onSuccess(load -> knownModels.add(load.cacheKey()));
  }

  @Override
  public Future<Void> ensureModelLoaded(String modelName, ModelType modelType) {
    if (knownModels.contains(modelType.cacheKey(modelName))) {
      return Future.succeededFuture();
    }
    return loadModel(ModelSpec.of(modelName, modelType))
        .onSuccess(load -> knownModels.add(modelType.cacheKey(modelName)))
        .mapEmpty();
  }

  @Override
  public Future<ModelList> listModels() {
    return send(addresses.listModels(), NoArguments.INSTANCE);
  }

  @Override
  public Future<ModelInfo> model(String model) {
    return send(addresses.getModel(), new ModelQuery(model));
  }

  @Override
  public Future<ModelsCleared> clearModels(String model) {
    return forgettingModels(send(addresses.clearModels(), new ModelQuery(model), SHORT_TIMEOUT));
  }

  @Override
  public Future<Cleanup> cleanup() {
    return forgettingModels(send(addresses.cleanup(), NoArguments.INSTANCE, SHORT_TIMEOUT));
  }

  /** Now, and once more when it is done: a load may have been answered in between. */
  private <T> Future<T> forgettingModels(Future<T> clearing) {
    knownModels.clear();
    return clearing.onComplete(done -> knownModels.clear());
  }

  @Override
  public Future<FunctionInfo> register(FunctionSpec spec) {
    return send(addresses.registerFunction(), spec);
  }

  @Override
  public Future<FunctionName> unregister(String name) {
    return send(addresses.unregisterFunction(), new FunctionName(name));
  }

  @Override
  public Future<FunctionInfo> function(FunctionQuery query) {
    return send(addresses.getFunction(), query);
  }

  @Override
  public Future<FunctionList> functions() {
    return send(addresses.listFunctions(), NoArguments.INSTANCE);
  }

  @Override
  public Future<FunctionResult> call(FunctionCall call) {
    return send(addresses.callFunction(), call);
  }

  @Override
  public Future<FunctionStream> stream(FunctionCall call) {
    return this.<JsonObject>stream(addresses.streamFunction(), call, TIMEOUT, json -> json)
        .map(BusFunctionStream::new);
  }

  @Override
  public void cancel(String requestId) {
    vertx.eventBus().publish(addresses.cancel(), new JsonObject().put("request_id", requestId));
  }

  @Override
  public Future<Health> health() {
    return send(addresses.health(), NoArguments.INSTANCE);
  }

  @Override
  public Future<Stats> stats() {
    return send(addresses.stats(), NoArguments.INSTANCE);
  }

  private <T> Future<T> send(String address, Record body) {
    return send(address, body, TIMEOUT);
  }

  private <T> Future<T> send(String address, Record body, Duration defaultTimeout) {
    return send(address, body, defaultTimeout, null);
  }

  private <T> Future<T> send(
      String address, Record body, Duration defaultTimeout, String streamAddress) {
    long millis = millis(defaultTimeout);
    DeliveryOptions options =
        new DeliveryOptions()
            .setSendTimeout(millis + SENDER_GRACE_MILLIS)
            .setLocalOnly(ServedHere.is(vertx, addresses.prefix()))
            .addHeader(Addresses.TIMEOUT_HEADER, Long.toString(millis))
            .addHeader(Addresses.CALLER_HEADER, caller);
    if (requestId != null) {
      options.addHeader(Addresses.REQUEST_ID_HEADER, requestId);
    }
    if (streamAddress != null) {
      options.addHeader(Addresses.STREAM_ADDRESS_HEADER, streamAddress);
    }
    return vertx
        .eventBus()
        .<T>request(address, body, options)
        .map(this::body)
        .recover(failure -> Future.failedFuture(typed(failure, address, millis)));
  }

  private <T> T body(Message<T> reply) {
    String spent = timings == null ? null : reply.headers().get(Addresses.TIMINGS_HEADER);
    if (spent != null) {
      timings.accept(Timings.parse(spent));
    }
    return reply.body();
  }

  /** Asks for a stream; it stands still until it has a handler. */
  private <F> Future<FrameStream<F>> stream(
      String address, Record body, Duration defaultTimeout, Function<JsonObject, F> reader) {
    FrameStream<F> stream = new FrameStream<>(vertx, reader);
    return stream
        .listening()
        .compose(v -> this.<StreamControl>send(address, body, defaultTimeout, stream.address()))
        .map(accepted -> stream.accepted(accepted, millis(defaultTimeout) + SENDER_GRACE_MILLIS))
        .onFailure(refused -> stream.refused());
  }

  private long millis(Duration defaultTimeout) {
    return (timeout == null ? defaultTimeout : timeout).toMillis();
  }

  /** Failures that the bus itself makes, in our terms. */
  private RagbusException typed(Throwable failure, String address, long millis) {
    if (failure instanceof RagbusException typed) {
      return typed;
    }
    if (failure instanceof ReplyException reply) {
      return switch (reply.failureType()) {
        case TIMEOUT -> RagbusException.of(Kind.TIMEOUT, "no answer within " + millis + " ms");
        case NO_HANDLERS ->
            RagbusException.of(Kind.UNAVAILABLE, "nothing is deployed at " + address);
        case RECIPIENT_FAILURE, ERROR -> RagbusException.of(Kind.RUNTIME, reply.getMessage());
      };
    }
    return RagbusException.of(Kind.RUNTIME, String.valueOf(failure.getMessage()));
  }
}
