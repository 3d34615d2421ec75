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
import io.vertx.core.eventbus.Message;
import io.vertx.core.json.JsonObject;
import java.time.Duration;
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

  /** How handlers are put on the bus. */
  private interface Consumers {
    void add(String address, Handler<Message<Object>> handler);
  }

  /** Serves this Vert.x: on a clustered bus too, other nodes are not. */
  void serveHere() {
    Addresses at = options.bus().addresses();
    serve(at, at.cancel(), (address, handler) -> vertx.eventBus().localConsumer(address, handler));
  }

  /** Serves the fronts of a cluster as one of its workers; anybody in it may cancel. */
  void serveFronts(WorkerAddresses cluster, String worker) {
    String cancel = options.bus().addresses().cancel();
    serve(
        cluster.of(worker),
        cancel,
        (address, handler) ->
            vertx
                .eventBus()
                .consumer(
                    address, address.equals(cancel) ? handler : cluster.guarded(worker, handler)));
  }

  private void serve(Addresses at, String cancel, Consumers consumers) {
    Duration embedding = options.python().timeout("embed_texts");
    Duration ranking = options.python().timeout("rerank_texts");
    Duration loading = options.python().timeout("load_model");
    Duration clearing = options.python().timeout("clear_cache");
    Duration other = options.python().defaultTimeout();
    serve(
        consumers,
        at.embed(),
        "embed",
        EmbedRequest.class,
        embedding,
        (q, c) -> service.ready().embed(q, c));
    serve(
        consumers,
        at.embedSparse(),
        "embed_sparse",
        EmbedSparseRequest.class,
        embedding,
        (q, c) -> service.ready().embedSparse(q, c));
    serve(
        consumers,
        at.predict(),
        "predict",
        PredictRequest.class,
        embedding,
        (q, c) -> service.ready().predict(q, c));
    serve(
        consumers,
        at.rerank(),
        "rerank",
        RerankRequest.class,
        ranking,
        (q, c) -> service.ready().rerank(q, c));
    serve(
        consumers,
        at.rerankStream(),
        "rerank.stream",
        RerankRequest.class,
        ranking,
        (q, c) -> service.ready().rerankStream(q, c));
    serve(
        consumers,
        at.tokenize(),
        "tokenize",
        TokenizeRequest.class,
        other,
        (q, c) -> service.ready().tokenize(q, c));
    serve(
        consumers,
        at.decode(),
        "decode",
        DecodeRequest.class,
        other,
        (q, c) -> service.ready().decode(q, c));
    serve(
        consumers,
        at.loadModel(),
        "models.load",
        ModelSpec.class,
        loading,
        (q, c) -> service.ready().load(q, c));
    serve(
        consumers,
        at.listModels(),
        "models.list",
        NoArguments.class,
        other,
        (q, c) -> service.serving().list(q, c));
    serve(
        consumers,
        at.getModel(),
        "models.get",
        ModelQuery.class,
        other,
        (q, c) -> service.serving().get(q, c));
    serve(
        consumers,
        at.clearModels(),
        "models.clear",
        ModelQuery.class,
        clearing,
        (q, c) -> service.serving().clear(q, c));
    serve(
        consumers,
        at.registerFunction(),
        "functions.register",
        FunctionSpec.class,
        other,
        (q, c) -> service.readyFunctions().register(q, c));
    serve(
        consumers,
        at.unregisterFunction(),
        "functions.unregister",
        FunctionName.class,
        other,
        (q, c) -> service.servingFunctions().unregister(q, c));
    serve(
        consumers,
        at.getFunction(),
        "functions.get",
        FunctionQuery.class,
        other,
        (q, c) -> service.readyFunctions().get(q, c));
    serve(
        consumers,
        at.listFunctions(),
        "functions.list",
        NoArguments.class,
        other,
        (q, c) -> service.servingFunctions().list(q, c));
    serve(
        consumers,
        at.callFunction(),
        "functions.call",
        FunctionCall.class,
        service::timeout,
        (q, c) -> service.readyFunctions().call(q, c));
    serve(
        consumers,
        at.streamFunction(),
        "functions.stream",
        FunctionCall.class,
        service::timeout,
        (q, c) -> service.readyFunctions().stream(q, c));
    serve(
        consumers,
        at.cleanup(),
        "memory.cleanup",
        NoArguments.class,
        clearing,
        (q, c) -> service.ready().cleanup(q, c));
    serve(
        consumers,
        at.health(),
        "health",
        NoArguments.class,
        other,
        (q, c) -> Future.succeededFuture(service.health()));
    serve(consumers, at.stats(), "stats", NoArguments.class, other, (q, c) -> service.stats());
    consumers.add(cancel, message -> cancel(message.body()));
  }

  private <Q extends Record, R extends Record> void serve(
      Consumers consumers,
      String address,
      String name,
      Class<Q> type,
      Duration maxTimeout,
      BusEndpoint.Operation<Q, R> operation) {
    serve(consumers, address, name, type, request -> maxTimeout, operation);
  }

  private <Q extends Record, R extends Record> void serve(
      Consumers consumers,
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
    consumers.add(address, endpoint::handle);
  }

  private void cancel(Object body) {
    String requestId = body instanceof JsonObject json ? json.getString("request_id") : null;
    if (RequestIds.valid(requestId)) {
      service.cancel(requestId);
    }
  }
}
