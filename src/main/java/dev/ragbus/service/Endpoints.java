// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import dev.ragbus.Addresses;
import dev.ragbus.DecodeRequest;
import dev.ragbus.EmbedRequest;
import dev.ragbus.EmbedSparseRequest;
import dev.ragbus.FunctionCall;
import dev.ragbus.FunctionName;
import dev.ragbus.FunctionQuery;
import dev.ragbus.FunctionSpec;
import dev.ragbus.Health;
import dev.ragbus.ModelQuery;
import dev.ragbus.ModelSpec;
import dev.ragbus.NoArguments;
import dev.ragbus.PredictRequest;
import dev.ragbus.RagbusException;
import dev.ragbus.RagbusOptions;
import dev.ragbus.RequestIds;
import dev.ragbus.RerankRequest;
import dev.ragbus.Stats;
import dev.ragbus.TokenizeRequest;
import dev.ragbus.cluster.WorkerAddresses;
import io.vertx.core.Future;
import io.vertx.core.Handler;
import io.vertx.core.Vertx;
import io.vertx.core.eventbus.EventBus;
import io.vertx.core.eventbus.Message;
import io.vertx.core.json.JsonObject;
import java.time.Duration;
import java.util.Map;
import java.util.function.Function;

/**
 * The addresses of a deployment with lanes: which operation answers where, and within which time.
 * Belongs to the deployment's event loop.
 */
final class Endpoints {
  /** What answers, whatever state it is in. */
  interface Service {
    /**
     * The operations, if requests that need Python can be served now.
     *
     * @throws RagbusException if not
     */
    Operations ready();

    /**
     * The operations, if requests can be served now.
     *
     * @throws RagbusException if not
     */
    Operations serving();

    /** As {@link #ready}. */
    Functions readyFunctions();

    /** As {@link #serving}. */
    Functions servingFunctions();

    /** The longest that calls of a function may take, as far as that is known yet. */
    Duration timeout(FunctionCall call);

    Health health();

    Future<Stats> stats();

    /** Ends the requests of an id. */
    void cancel(String requestId);
  }

  private final Vertx vertx;
  private final Service service;
  private final RagbusOptions options;
  private final ServiceMetrics metrics;
  private final LastRequests requests;

  Endpoints(
      Vertx vertx,
      Service service,
      RagbusOptions options,
      ServiceMetrics metrics,
      LastRequests requests) {
    this.vertx = vertx;
    this.service = service;
    this.options = options;
    this.metrics = metrics;
    this.requests = requests;
  }

  /** Serves this Vert.x: on a clustered bus too, other nodes are not. */
  void serveHere() {
    Addresses at = options.bus().addresses();
    EventBus bus = vertx.eventBus();
    handlers(at).forEach(bus::localConsumer);
    bus.localConsumer(at.cancel(), this::cancel);
  }

  /** Serves the fronts of a cluster as one of its workers; anybody in it may cancel. */
  void serveFronts(WorkerAddresses cluster, String worker) {
    EventBus bus = vertx.eventBus();
    handlers(cluster.of(worker))
        .forEach((address, handler) -> bus.consumer(address, cluster.guarded(worker, handler)));
    bus.consumer(options.bus().addresses().cancel(), this::cancel);
  }

  /** What handles the requests at each address. */
  private Map<String, Handler<Message<Object>>> handlers(Addresses at) {
    Duration embedding = options.python().timeout("embed_texts");
    Duration ranking = options.python().timeout("rerank_texts");
    Duration loading = options.python().timeout("load_model");
    Duration clearing = options.python().timeout("clear_cache");
    Duration other = options.python().defaultTimeout();
    return Map.ofEntries(
        endpoint(
            at.embed(),
            "embed",
            EmbedRequest.class,
            embedding,
            (q, c) -> service.ready().embed(q, c)),
        endpoint(
            at.embedSparse(),
            "embed_sparse",
            EmbedSparseRequest.class,
            embedding,
            (q, c) -> service.ready().embedSparse(q, c)),
        endpoint(
            at.predict(),
            "predict",
            PredictRequest.class,
            embedding,
            (q, c) -> service.ready().predict(q, c)),
        endpoint(
            at.rerank(),
            "rerank",
            RerankRequest.class,
            ranking,
            (q, c) -> service.ready().rerank(q, c)),
        endpoint(
            at.rerankStream(),
            "rerank.stream",
            RerankRequest.class,
            ranking,
            (q, c) -> service.ready().rerankStream(q, c)),
        endpoint(
            at.tokenize(),
            "tokenize",
            TokenizeRequest.class,
            other,
            (q, c) -> service.ready().tokenize(q, c)),
        endpoint(
            at.decode(),
            "decode",
            DecodeRequest.class,
            other,
            (q, c) -> service.ready().decode(q, c)),
        endpoint(
            at.loadModel(),
            "models.load",
            ModelSpec.class,
            loading,
            (q, c) -> service.ready().load(q, c)),
        endpoint(
            at.listModels(),
            "models.list",
            NoArguments.class,
            other,
            (q, c) -> service.serving().list(q, c)),
        endpoint(
            at.getModel(),
            "models.get",
            ModelQuery.class,
            other,
            (q, c) -> service.serving().get(q, c)),
        endpoint(
            at.clearModels(),
            "models.clear",
            ModelQuery.class,
            clearing,
            (q, c) -> service.serving().clear(q, c)),
        endpoint(
            at.registerFunction(),
            "functions.register",
            FunctionSpec.class,
            other,
            (q, c) -> service.readyFunctions().register(q, c)),
        endpoint(
            at.unregisterFunction(),
            "functions.unregister",
            FunctionName.class,
            other,
            (q, c) -> service.servingFunctions().unregister(q, c)),
        endpoint(
            at.getFunction(),
            "functions.get",
            FunctionQuery.class,
            other,
            (q, c) -> service.readyFunctions().get(q, c)),
        endpoint(
            at.listFunctions(),
            "functions.list",
            NoArguments.class,
            other,
            (q, c) -> service.servingFunctions().list(q, c)),
        endpoint(
            at.callFunction(),
            "functions.call",
            FunctionCall.class,
            service::timeout,
            (q, c) -> service.readyFunctions().call(q, c)),
        endpoint(
            at.streamFunction(),
            "functions.stream",
            FunctionCall.class,
            service::timeout,
            (q, c) -> service.readyFunctions().stream(q, c)),
        endpoint(
            at.cleanup(),
            "memory.cleanup",
            NoArguments.class,
            clearing,
            (q, c) -> service.ready().cleanup(q, c)),
        endpoint(
            at.health(),
            "health",
            NoArguments.class,
            other,
            (q, c) -> Future.succeededFuture(service.health())),
        endpoint(at.stats(), "stats", NoArguments.class, other, (q, c) -> service.stats()));
  }

  private <Q extends Record, R extends Record> Map.Entry<String, Handler<Message<Object>>> endpoint(
      String address,
      String name,
      Class<Q> type,
      Duration maxTimeout,
      BusEndpoint.Operation<Q, R> operation) {
    return endpoint(address, name, type, request -> maxTimeout, operation);
  }

  private <Q extends Record, R extends Record> Map.Entry<String, Handler<Message<Object>>> endpoint(
      String address,
      String name,
      Class<Q> type,
      Function<Q, Duration> maxTimeout,
      BusEndpoint.Operation<Q, R> operation) {
    BusEndpoint<Q, R> endpoint =
        new BusEndpoint<>(
            vertx,
            type,
            maxTimeout,
            operation,
            metrics.operation(name),
            requests,
            System::nanoTime);
    return Map.entry(address, endpoint::handle);
  }

  private void cancel(Message<JsonObject> message) {
    JsonObject body = message.body();
    String requestId = body == null ? null : body.getString("request_id");
    if (RequestIds.valid(requestId)) {
      service.cancel(requestId);
    }
  }
}
