// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.cluster;

import dev.ragbus.Addresses;
import dev.ragbus.Cleanup;
import dev.ragbus.FunctionCall;
import dev.ragbus.FunctionInfo;
import dev.ragbus.FunctionList;
import dev.ragbus.FunctionName;
import dev.ragbus.FunctionResult;
import dev.ragbus.FunctionSpec;
import dev.ragbus.Health;
import dev.ragbus.JsonBodies;
import dev.ragbus.ModelList;
import dev.ragbus.ModelLoad;
import dev.ragbus.ModelQuery;
import dev.ragbus.ModelSpec;
import dev.ragbus.ModelsCleared;
import dev.ragbus.NoArguments;
import dev.ragbus.RagbusException;
import dev.ragbus.RagbusException.Kind;
import dev.ragbus.RagbusOptions;
import dev.ragbus.ServedHere;
import dev.ragbus.Stats;
import dev.ragbus.StreamControl;
import dev.ragbus.StreamError;
import io.vertx.core.Future;
import io.vertx.core.Handler;
import io.vertx.core.Promise;
import io.vertx.core.Vertx;
import io.vertx.core.eventbus.DeliveryOptions;
import io.vertx.core.eventbus.Message;
import io.vertx.core.eventbus.MessageConsumer;
import io.vertx.core.internal.VertxInternal;
import io.vertx.core.json.JsonObject;
import io.vertx.core.spi.cluster.ClusterManager;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.function.BiFunction;
import java.util.function.Function;
import java.util.function.LongSupplier;
import java.util.function.Predicate;
import java.util.function.Supplier;
import java.util.random.RandomGenerator;
import java.util.stream.Stream;

/**
 * The public addresses of a cluster: each request goes to a worker that may have it, and to another
 * one where that one refuses it or is lost. Belongs to the event loop that it was started on.
 *
 * <p>It knows its workers by what they announce. What a worker has is failed or sent again at once
 * when its node leaves the cluster, when its process ends ({@link #lost}), or when it has told
 * nothing for long. An answer that comes later than that is dropped: each request is answered once.
 */
public final class Front {
  private static final System.Logger LOG = System.getLogger(Front.class.getName());

  /** How soon it is seen that a node has left. */
  private static final long TICK_MILLIS = 50;

  private static final long TICK_NANOS = Duration.ofMillis(TICK_MILLIS).toNanos();

  /** The worker's own answer to a missed deadline says more, so it goes first. */
  private static final long WORKER_GRACE_MILLIS = 100;

  private static final long RETRY_AFTER_MILLIS = 1_000;

  private final Vertx vertx;
  private final RagbusOptions options;
  private final WorkerAddresses addresses;
  private final Addresses at;
  private final String near;
  private final FrontMeters meters;
  private final LongSupplier nanoClock;
  private final ClusterManager cluster;
  private final Workers workers;
  private final Router router = new Router(RandomGenerator.getDefault());
  private final List<MessageConsumer<?>> consumers = new ArrayList<>();

  /** Functions that were registered by message: workers that come later get them too. */
  private final Map<String, FunctionSpec> registered = new LinkedHashMap<>();

  /** The calls that change something and come from here. */
  private final SentHere changesSentHere;

  private final Promise<Void> firstWorker = Promise.promise();
  private final Promise<Void> drained = Promise.promise();

  /** The workers in processes of its own; null where others start them. */
  private WorkerProcesses processes;

  private long timer;

  /** When it was last looked who is gone. */
  private long tickNanos;

  private int underWay;
  private boolean closing;

  /**
   * A front that has yet to start.
   *
   * @param near the id of the worker in the same process; null for none
   */
  public Front(
      Vertx vertx,
      RagbusOptions options,
      WorkerAddresses addresses,
      String near,
      FrontMeters meters,
      LongSupplier nanoClock) {
    this.vertx = vertx;
    this.options = options;
    this.addresses = addresses;
    this.at = options.bus().addresses();
    this.near = near;
    this.meters = meters;
    this.nanoClock = nanoClock;
    this.cluster = ((VertxInternal) vertx).clusterManager();
    this.workers =
        new Workers(addresses, options.models(), options.cluster().announceInterval().toNanos());
    this.changesSentHere =
        new SentHere(
            vertx,
            at.callFunction(),
            body -> PlainCall.of(function(body)).filter(PlainCall::changes).isPresent());
  }

  /** Serves the public addresses, and looks for workers; completes when it can be reached. */
  public Future<Void> start() {
    Duration embedding = options.python().timeout("embed_texts");
    Duration ranking = options.python().timeout("rerank_texts");
    Duration loading = options.python().timeout("load_model");
    Duration clearing = options.python().timeout("clear_cache");
    Duration other = options.python().defaultTimeout();
    pass("embed", Addresses::embed, Route.Target.EMBEDDING, embedding, true);
    pass("embed_sparse", Addresses::embedSparse, Route.Target.SPARSE, embedding, true);
    pass("predict", Addresses::predict, Route.Target.CLASSIFIER, embedding, true);
    pass("rerank", Addresses::rerank, Route.Target.RANKING, ranking, true);
    pass("rerank.stream", Addresses::rerankStream, Route.Target.RANKING, ranking, true);
    pass("tokenize", Addresses::tokenize, Route.Target.EMBEDDING, other, true);
    pass("decode", Addresses::decode, Route.Target.EMBEDDING, other, true);
    pass("models.get", Addresses::getModel, Route.Target.MODEL, other, true);
    pass("functions.get", Addresses::getFunction, Route.Target.FUNCTION, other, true);
    serve(at.callFunction(), false, this::call);
    serve(
        at.streamFunction(),
        false,
        message -> passToFunction("functions.stream", Addresses::streamFunction, message));
    this.<NoArguments, ModelList>gather(
        "models.list",
        Addresses::listModels,
        NoArguments.class,
        other,
        (none, replies) -> Merged.lists(values(replies)));
    this.<NoArguments, FunctionList>gather(
        "functions.list",
        Addresses::listFunctions,
        NoArguments.class,
        other,
        (none, replies) -> Merged.functions(values(replies)));
    this.<NoArguments, Stats>gather(
        "stats",
        Addresses::stats,
        NoArguments.class,
        other,
        (none, replies) -> Merged.stats(meters.operations(), replies));
    this.<ModelSpec, ModelLoad>change(
        "models.load", Addresses::loadModel, ModelSpec.class, loading, Merged::loads);
    this.<ModelQuery, ModelsCleared>change(
        "models.clear", Addresses::clearModels, ModelQuery.class, clearing, Merged::clearings);
    this.<NoArguments, Cleanup>change(
        "memory.cleanup", Addresses::cleanup, NoArguments.class, clearing, Merged::cleanups);
    this.<FunctionSpec, FunctionInfo>serveByAll(
        "functions.register",
        Addresses::registerFunction,
        true,
        FunctionSpec.class,
        other,
        this::register);
    this.<FunctionName, FunctionName>serveByAll(
        "functions.unregister",
        Addresses::unregisterFunction,
        true,
        FunctionName.class,
        other,
        this::unregister);
    serve(at.health(), false, this::answerHealth);
    consumers.add(
        vertx
            .eventBus()
            .<JsonObject>consumer(addresses.announcements(), told -> told(told.body())));
    tickNanos = nanoClock.getAsLong();
    timer = vertx.setPeriodic(TICK_MILLIS, id -> tick());
    ServedHere.begin(vertx, at.prefix());
    if (servesOthers(false) && !servesOthers(true)) {
      changesSentHere.start();
    }
    List<Future<Void>> listening = consumers.stream().map(MessageConsumer::completion).toList();
    return Future.all(listening)
        .onSuccess(done -> vertx.eventBus().publish(addresses.questions(), new JsonObject()))
        .mapEmpty();
  }

  /**
   * Keeps {@code cluster.workers} processes on this machine running, which the lanes of {@code
   * lanes.inference} are shared out among.
   *
   * @param config the configuration of the deployment
   * @param crashFolder where a process leaves its report when it crashes
   * @return completes when the first of them serves
   */
  public Future<Void> startProcesses(JsonObject config, Path crashFolder) {
    int lanes = options.lanes().inference() / options.cluster().workers();
    Map<String, String> overrides =
        Map.of("ragbus.lanes.inference", Integer.toString(Math.max(1, lanes)));
    WorkerCommand.Jvm jvm = WorkerCommand.Jvm.current();
    processes =
        new WorkerProcesses(
            vertx,
            options,
            id -> WorkerCommand.of(jvm, options.cluster(), config, overrides, crashFolder, id),
            nanoClock,
            new Supervised());
    processes.start();
    return firstWorker.future();
  }

  /** What becomes of the processes. */
  private final class Supervised implements WorkerProcesses.Listener {
    @Override
    public void leaving(String id) {
      workers.leaving(id);
    }

    @Override
    public void lost(String id, String how) {
      Front.this.lost(id);
      processes
          .failure()
          .ifPresent(reason -> firstWorker.tryFail(RagbusException.of(Kind.UNAVAILABLE, reason)));
    }

    @Override
    public long requests(String id) {
      return workers.requests(id);
    }
  }

  private void pass(
      String name,
      Function<Addresses, String> address,
      Route.Target target,
      Duration maxTimeout,
      boolean repeatable) {
    Route route = new Route(name, address, target, maxTimeout, maxTimeout, repeatable);
    serve(address.apply(at), false, message -> forward(accepted(message, route)));
  }

  private void call(Message<Object> message) {
    PlainCall.of(function(message.body()))
        .ifPresentOrElse(
            plain -> call(message, plain),
            () -> passToFunction("functions.call", Addresses::callFunction, message));
  }

  private static String function(Object body) {
    return Requests.name(body, Route.Target.FUNCTION);
  }

  /** Passes a call on; the time that it brings is held to the function's own by the worker. */
  private void passToFunction(
      String name, Function<Addresses, String> address, Message<Object> message) {
    Duration timeout = timeout(function(message.body()));
    forward(
        accepted(
            message,
            new Route(name, address, Route.Target.FUNCTION, timeout, Route.LONGEST, false)));
  }

  /** Calls one of Ragbus's own functions, which goes where it goes by its own address. */
  private void call(Message<Object> message, PlainCall plain) {
    Duration timeout = timeout(function(message.body()));
    Route route =
        new Route(
            "functions.call", Addresses::callFunction, plain.target(), timeout, timeout, true);
    JsonObject arguments = plain.arguments(message.body());
    Forwarded request =
        accepted(
            message, route, Requests.name(arguments, plain.target()), Requests.tokens(arguments));
    if (plain.changes() && !mayChange(message)) {
      fail(
          request,
          RagbusException.of(
              Kind.FORBIDDEN,
              function(message.body()) + " takes cluster.serve = \"all\" from another node"));
    } else if (plain.target() == Route.Target.ALL) {
      this.<FunctionCall, FunctionResult>carryOut(
          request,
          FunctionCall.class,
          call ->
              this.<FunctionResult>askAll(
                      request,
                      call,
                      plain.changes()
                          ? toChange(
                              arguments.getValue("model_name"), arguments.getValue("workers"))
                          : workers.serving(),
                      failure -> !plain.changes())
                  .map(replies -> plain.merged(values(replies))));
    } else {
      forward(request);
    }
  }

  private boolean mayChange(Message<Object> message) {
    return servesOthers(true) || !servesOthers(false) || changesSentHere.take(message);
  }

  /** The time of a call that brings none, as far as it is known here. */
  private Duration timeout(String function) {
    if (function == null) {
      return options.python().defaultTimeout();
    }
    FunctionSpec spec = registered.get(function);
    boolean configured = options.python().functions().containsKey(function);
    return configured || spec == null || spec.timeout() == null
        ? options.python().timeout(function)
        : spec.timeout();
  }

  /** Serves what many workers have a part in. */
  private <Q extends Record, R extends Record> void serveByAll(
      String name,
      Function<Addresses, String> address,
      boolean admin,
      Class<Q> type,
      Duration maxTimeout,
      BiFunction<Forwarded, Q, Future<R>> work) {
    Route route = new Route(name, address, Route.Target.ALL, maxTimeout, maxTimeout, true);
    serve(
        address.apply(at),
        admin,
        message -> {
          Forwarded request = accepted(message, route);
          this.<Q, R>carryOut(request, type, body -> work.apply(request, body));
        });
  }

  /** Asks all that serve; those that cannot answer are passed over as long as one can. */
  private <Q extends Record, R extends Record> void gather(
      String name,
      Function<Addresses, String> address,
      Class<Q> type,
      Duration maxTimeout,
      BiFunction<Q, Map<String, R>, R> merge) {
    this.<Q, R>serveByAll(
        name,
        address,
        false,
        type,
        maxTimeout,
        (request, body) ->
            this.<R>askAll(request, body, workers.serving(), failure -> true)
                .map(replies -> merge.apply(body, replies)));
  }

  /** Changes something on all workers, or on as many as the request says; each of them must. */
  private <Q extends Record, R extends Record> void change(
      String name,
      Function<Addresses, String> address,
      Class<Q> type,
      Duration maxTimeout,
      Function<List<R>, R> merge) {
    this.<Q, R>serveByAll(
        name,
        address,
        true,
        type,
        maxTimeout,
        (request, body) ->
            this.<R>askAll(request, body, toChange(body), failure -> false)
                .map(replies -> merge.apply(values(replies))));
  }

  private Future<FunctionInfo> register(Forwarded request, FunctionSpec spec) {
    return remembered(
        spec.name(),
        spec,
        () ->
            this.<FunctionInfo>askAll(request, spec, workers.staying(), failure -> false)
                .map(replies -> values(replies).get(0)));
  }

  /** Those that do not have it are passed over: it may be asked for again after a failure. */
  private Future<FunctionName> unregister(Forwarded request, FunctionName name) {
    return remembered(
        name.name(),
        null,
        () ->
            this.<FunctionName>askAll(
                    request,
                    name,
                    workers.staying(),
                    failure -> failure.kind() == Kind.FUNCTION_NOT_FOUND)
                .map(name));
  }

  /**
   * Has workers that come meanwhile or later have a function, or not have it; where a worker fails,
   * as it was before.
   *
   * @param spec null for none
   */
  private <R> Future<R> remembered(String name, FunctionSpec spec, Supplier<Future<R>> asking) {
    FunctionSpec before = remember(name, spec);
    return asking
        .get()
        .onFailure(
            failure -> {
              if (Objects.equals(registered.get(name), spec)) {
                remember(name, before);
              }
            });
  }

  private FunctionSpec remember(String name, FunctionSpec spec) {
    return spec == null ? registered.remove(name) : registered.put(name, spec);
  }

  private static <R> List<R> values(Map<String, R> replies) {
    return List.copyOf(replies.values());
  }

  private void serve(String address, boolean admin, Handler<Message<Object>> handler) {
    consumers.add(
        servesOthers(admin)
            ? vertx.eventBus().consumer(address, handler)
            : vertx.eventBus().localConsumer(address, handler));
  }

  /** Whether other nodes may ask; there are none but its own workers where it is not enabled. */
  private boolean servesOthers(boolean admin) {
    RagbusOptions.Cluster.Serve serve = options.cluster().serve();
    boolean allowed =
        admin
            ? serve == RagbusOptions.Cluster.Serve.ALL
            : serve != RagbusOptions.Cluster.Serve.NONE;
    return options.cluster().enabled() && allowed;
  }

  private Forwarded accepted(Message<Object> message, Route route) {
    Object body = message.body();
    return accepted(message, route, Requests.name(body, route.target()), Requests.tokens(body));
  }

  private Forwarded accepted(Message<Object> message, Route route, String name, long tokens) {
    long now = nanoClock.getAsLong();
    meters.operation(route.name()).accepted();
    underWay++;
    long millis = Headers.timeoutMillis(message.headers(), route.timeout(), route.maxTimeout());
    long deadlineNanos = now + millis * 1_000_000;
    return new Forwarded(message, route, name, now, deadlineNanos, tokens);
  }

  /** Sends a request to a worker that may have it, or answers it with why there is none. */
  private void forward(Forwarded request) {
    if (closing) {
      fail(request, RagbusException.of(Kind.UNAVAILABLE, "the service is shutting down"));
      return;
    }
    List<Worker> candidates = untried(request);
    List<Worker> free = candidates.stream().filter(each -> !full(request, each)).toList();
    long millis = request.millisLeft(nanoClock.getAsLong());
    if (candidates.isEmpty()) {
      fail(request, noWorker());
    } else if (free.isEmpty()) {
      fail(request, full(candidates.size()));
    } else if (millis <= 0) {
      fail(request, RagbusException.of(Kind.TIMEOUT, "the deadline passed before a worker had it"));
    } else {
      send(request, router.choose(free, nearOf(free)), millis);
    }
  }

  private List<Worker> untried(Forwarded request) {
    return workers.candidates(request.route().target(), request.name()).stream()
        .filter(each -> !request.tried(each))
        .toList();
  }

  private Worker nearOf(List<Worker> candidates) {
    return near == null
        ? null
        : candidates.stream().filter(each -> each.id().equals(near)).findFirst().orElse(null);
  }

  private RagbusException noWorker() {
    return RagbusException.of(
        Kind.UNAVAILABLE,
        workers.serving().isEmpty()
            ? "no worker of the cluster is there"
            : "no worker of the cluster has the default model",
        true,
        RETRY_AFTER_MILLIS,
        null);
  }

  private static boolean full(Forwarded request, Worker worker) {
    return request.route().target().queued() && worker.full(request.tokens());
  }

  private static RagbusException full(int count) {
    return RagbusException.of(
        Kind.OVERLOADED,
        "the queues of all " + count + " workers are full",
        true,
        RETRY_AFTER_MILLIS,
        null);
  }

  private void send(Forwarded request, Worker worker, long millis) {
    boolean ofModel = request.route().target() != Route.Target.FUNCTION;
    String model = ofModel ? request.name() : null;
    workers.loads(worker, model);
    request.sentTo(worker);
    send(worker, request, request.message().body(), request.tokens(), millis)
        .onComplete(
            answer -> {
              workers.loaded(worker, model);
              if (answer.succeeded()) {
                answer(request, worker, answer.result());
              } else {
                failedThere(request, Headers.typed(answer.cause(), millis));
              }
            });
  }

  /** Sends a body to a worker; completes once, with its answer or that it is lost. */
  private Future<Message<Object>> send(
      Worker worker, Forwarded request, Object body, long tokens, long millis) {
    DeliveryOptions delivery =
        new DeliveryOptions()
            .setSendTimeout(millis + WORKER_GRACE_MILLIS)
            .setHeaders(Headers.forWorker(request.message().headers(), millis));
    addresses.prove(delivery.getHeaders(), worker.id());
    Worker.Sent sent = worker.sent(tokens, request.route().repeatable());
    vertx
        .eventBus()
        .request(request.route().address().apply(worker.addresses()), body, delivery)
        .onComplete(
            reply -> {
              if (reply.succeeded()) {
                sent.answer().tryComplete(reply.result());
              } else {
                sent.answer().tryFail(reply.cause());
              }
            });
    return sent.answer().future();
  }

  private void failedThere(Forwarded request, RagbusException failure) {
    boolean elsewhere =
        !closing
            && request.mayGoElsewhere(failure.kind())
            && request.millisLeft(nanoClock.getAsLong()) > 0
            && untried(request).stream().anyMatch(each -> !full(request, each));
    if (elsewhere) {
      meters.repeated(failure.kind());
      if (failure.kind() == Kind.LANE_LOST) {
        request.repeat();
      }
      forward(request);
    } else {
      fail(request, failure);
    }
  }

  private void answer(Forwarded request, Worker worker, Message<Object> answer) {
    String stream = request.streamAddress();
    if (stream != null) {
      // Its frames go straight to the caller; that the worker is lost is for the front to tell.
      worker.streams(
          new Worker.OpenStream(
              streamId(answer.body()),
              stream,
              request.route().repeatable(),
              request.deadlineNanos()),
          nanoClock.getAsLong());
    }
    answer(request, answer.body(), new DeliveryOptions().setHeaders(answer.headers()));
  }

  private static String streamId(Object accepted) {
    return accepted instanceof StreamControl control
        ? control.id()
        : accepted instanceof JsonObject json ? json.getString("id") : null;
  }

  private void answer(Forwarded request, Object body, DeliveryOptions delivery) {
    long nanos = nanoClock.getAsLong() - request.arrivedNanos();
    meters.operation(request.route().name()).answered(nanos);
    request.message().reply(body, delivery);
    ended();
  }

  private void fail(Forwarded request, RagbusException failure) {
    meters.operation(request.route().name()).failed(failure.kind());
    Headers.fail(request.message(), failure);
    ended();
  }

  private void ended() {
    underWay--;
    if (closing && underWay == 0) {
      drained.tryComplete();
    }
  }

  /** Answers with what a request comes to, or with why it comes to nothing. */
  private <Q extends Record, R extends Record> void carryOut(
      Forwarded request, Class<Q> type, Function<Q, Future<R>> work) {
    Object body = request.message().body();
    Future<R> done;
    try {
      if (closing) {
        throw RagbusException.of(Kind.UNAVAILABLE, "the service is shutting down");
      }
      done = work.apply(typed(body, type));
    } catch (RagbusException refused) {
      done = Future.failedFuture(refused);
    }
    done.onSuccess(
            reply ->
                answer(
                    request,
                    body instanceof JsonObject ? JsonBodies.format(reply) : reply,
                    new DeliveryOptions()))
        .onFailure(failure -> fail(request, Headers.typed(failure, 0)));
  }

  /**
   * Asks workers side by side.
   *
   * @param passedOver failures that do not matter as long as one answers
   * @return what they answer, by their ids
   */
  private <R extends Record> Future<Map<String, R>> askAll(
      Forwarded request, Record body, List<Worker> asked, Predicate<RagbusException> passedOver) {
    if (asked.isEmpty()) {
      return Future.failedFuture(noWorker());
    }
    long millis = Math.max(1, request.millisLeft(nanoClock.getAsLong()));
    List<Future<Message<Object>>> answers =
        asked.stream().map(worker -> send(worker, request, body, 1, millis)).toList();
    return Future.join(answers).transform(all -> replies(asked, answers, passedOver, millis));
  }

  private static <Q extends Record> Q typed(Object body, Class<Q> type) {
    if (type.isInstance(body)) {
      return type.cast(body);
    }
    if (body instanceof JsonObject json) {
      return JsonBodies.parse(json, type);
    }
    throw RagbusException.invalid("the body must be a JSON object or a " + type.getSimpleName());
  }

  private List<Worker> toChange(Record request) {
    return request instanceof ModelSpec spec
        ? toChange(spec.modelName(), spec.workers())
        : workers.staying();
  }

  /**
   * All, but for a model that is to be on fewer: those that have it, then those with least to do.
   *
   * @param count on how many; anything but a number is for a worker to refuse
   */
  private List<Worker> toChange(Object model, Object count) {
    if (!(count instanceof Integer most) || most < 1) {
      return workers.staying();
    }
    List<Worker> serving = workers.serving();
    if (most > serving.size()) {
      throw RagbusException.invalid(
          "workers must be at most " + serving.size() + ", which are there, not " + most);
    }
    return serving.stream()
        .sorted(
            Comparator.comparing((Worker each) -> !each.told().models().contains(model))
                .thenComparingDouble(Worker::waitSeconds))
        .limit(most)
        .toList();
  }

  @SuppressWarnings("unchecked")
  private static <R extends Record> Future<Map<String, R>> replies(
      List<Worker> asked,
      List<Future<Message<Object>>> answers,
      Predicate<RagbusException> passedOver,
      long millis) {
    Map<String, R> replies = new LinkedHashMap<>();
    List<RagbusException> failures = new ArrayList<>();
    for (int i = 0; i < asked.size(); i++) {
      if (answers.get(i).succeeded()) {
        replies.put(asked.get(i).id(), (R) answers.get(i).result().body());
      } else {
        failures.add(Headers.typed(answers.get(i).cause(), millis));
      }
    }
    Stream<RagbusException> telling =
        replies.isEmpty() ? failures.stream() : failures.stream().filter(passedOver.negate());
    return telling
        .findFirst()
        .<Future<Map<String, R>>>map(Future::failedFuture)
        .orElseGet(() -> Future.succeededFuture(replies));
  }

  private void told(JsonObject body) {
    Announcement told;
    try {
      told = JsonBodies.parse(body, Announcement.class);
    } catch (RagbusException unreadable) {
      LOG.log(System.Logger.Level.WARNING, "an announcement cannot be read: {0}", unreadable);
      return;
    }
    if (!cluster.getNodes().contains(told.node())) {
      // It is cut off, or has just joined: nothing can be sent to it before this node knows of it.
      return;
    }
    if (!addresses.trusted(told)) {
      LOG.log(
          System.Logger.Level.WARNING,
          "a worker of node {0} does not know the secret of the cluster; it gets no requests",
          told.node());
      return;
    }
    if (workers.told(told, nanoClock.getAsLong())) {
      giveFunctions(told);
    }
    if (told.state() == Announcement.State.SERVING) {
      firstWorker.tryComplete();
      if (processes != null) {
        processes.serving(told.worker());
      }
    }
  }

  private void giveFunctions(Announcement newcomer) {
    Addresses there = addresses.of(newcomer.worker());
    for (FunctionSpec spec : registered.values()) {
      if (spec.replace() || !newcomer.functions().contains(spec.name())) {
        DeliveryOptions delivery = new DeliveryOptions();
        addresses.prove(delivery.getHeaders(), newcomer.worker());
        vertx
            .eventBus()
            .request(there.registerFunction(), spec, delivery)
            .onFailure(
                failure ->
                    LOG.log(
                        System.Logger.Level.WARNING,
                        "worker {0} did not take function {1}: {2}",
                        newcomer.worker(),
                        spec.name(),
                        failure.getMessage()));
      }
    }
  }

  private void tick() {
    long now = nanoClock.getAsLong();
    long sinceTickNanos = now - tickNanos;
    tickNanos = now;
    if (sinceTickNanos > options.cluster().announceInterval().toNanos() + TICK_NANOS) {
      // This process was stopped: what workers told meanwhile is yet to be read.
      workers.nothingHeardFor(sinceTickNanos, now);
    }
    for (Worker lost : workers.takeLost(new HashSet<>(cluster.getNodes()), now)) {
      gone(lost);
      if (processes != null) {
        processes.kill(lost.id(), "it has told nothing for too long");
      }
    }
    int serving = workers.serving().size();
    meters.workers(serving, workers.all().size() - serving);
  }

  /** A worker's process has ended. */
  void lost(String worker) {
    Worker gone = workers.take(worker);
    if (gone != null) {
      gone(gone);
    }
  }

  private void gone(Worker worker) {
    for (Worker.OpenStream stream : worker.streams(nanoClock.getAsLong())) {
      vertx
          .eventBus()
          .send(stream.address(), StreamError.of(stream.id(), lost(stream.repeatable())).toJson());
    }
    worker.lost(Front::lost);
  }

  private static RagbusException lost(boolean repeatable) {
    return RagbusException.of(
        Kind.LANE_LOST,
        "the worker that had the request is gone; it may have been done",
        repeatable,
        0,
        null);
  }

  /** What the front itself knows: nobody is asked, so nothing that is stuck holds it up. */
  private void answerHealth(Message<Object> message) {
    List<Health.Check> checks = new ArrayList<>();
    int serving = 0;
    for (Worker worker : workers.all()) {
      boolean up = worker.serving() && worker.known();
      serving += up ? 1 : 0;
      checks.add(new Health.Check("worker " + worker.id(), up ? "UP" : "DOWN", worker.described()));
    }
    checks.add(
        0,
        new Health.Check(
            "workers", serving > 0 ? "UP" : "DOWN", serving + " of " + workers.all().size()));
    String failure = processes == null ? null : processes.failure().orElse(null);
    if (processes != null) {
      processes.workers().forEach(each -> checks.add(check(each)));
    }
    boolean up = !closing && serving > 0 && failure == null;
    Health health = new Health(up ? "UP" : "DOWN", firstWorker.future().isComplete(), checks);
    message.reply(message.body() instanceof JsonObject ? JsonBodies.format(health) : health);
  }

  private static Health.Check check(WorkerProcesses.Worker process) {
    boolean up = process.state() == WorkerProcesses.State.SERVING;
    return new Health.Check(
        "process " + process.id(),
        up ? "UP" : "DOWN",
        process.state().name().toLowerCase(Locale.ROOT)
            + "; pid "
            + process.pid()
            + "; restarted "
            + process.restarts()
            + " times"
            + (process.lastExit() == null ? "" : "; the last ended with " + process.lastExit()));
  }

  /**
   * Refuses new requests and completes when those that were accepted are answered. The caller
   * bounds the time.
   */
  public Future<Void> close() {
    closing = true;
    if (underWay == 0) {
      drained.tryComplete();
    }
    return drained.future();
  }

  /**
   * Serves no more: what is still under way is answered with a failure.
   *
   * @return completes when its processes have ended
   */
  public Future<Void> stop() {
    closing = true;
    vertx.cancelTimer(timer);
    ServedHere.end(vertx, at.prefix());
    changesSentHere.stop();
    workers
        .all()
        .forEach(
            each ->
                each.lost(
                    repeatable ->
                        RagbusException.of(
                            Kind.UNAVAILABLE,
                            "the service was shut down before the work had ended")));
    consumers.forEach(MessageConsumer::unregister);
    return processes == null ? Future.succeededFuture() : processes.stop();
  }
}
