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
import dev.ragbus.MessageCodecs;
import dev.ragbus.ModelQuery;
import dev.ragbus.ModelSpec;
import dev.ragbus.NoArguments;
import dev.ragbus.OptionsReader;
import dev.ragbus.PredictRequest;
import dev.ragbus.RagbusException;
import dev.ragbus.RagbusException.Kind;
import dev.ragbus.RagbusOptions;
import dev.ragbus.RequestIds;
import dev.ragbus.RerankRequest;
import dev.ragbus.ServedHere;
import dev.ragbus.Stats;
import dev.ragbus.TokenizeRequest;
import dev.ragbus.cluster.Announcement;
import dev.ragbus.cluster.Announcer;
import dev.ragbus.cluster.ClusterSecret;
import dev.ragbus.cluster.Front;
import dev.ragbus.cluster.FrontMeters;
import dev.ragbus.cluster.WorkerAddresses;
import dev.ragbus.python.Engine;
import dev.ragbus.python.JepEngine;
import dev.ragbus.python.environment.PackagedModels;
import dev.ragbus.python.environment.PythonEnvironment;
import io.vertx.core.Future;
import io.vertx.core.Handler;
import io.vertx.core.Promise;
import io.vertx.core.ThreadingModel;
import io.vertx.core.VerticleBase;
import io.vertx.core.eventbus.Message;
import io.vertx.core.json.JsonObject;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import java.util.stream.Collectors;

/**
 * Ragbus as an application deploys it: serves the addresses of {@link Addresses} from lanes of its
 * own.
 *
 * <p>Its {@code config()} is the JSON form of {@code conf/ragbus.toml}; environment variables and
 * system properties go before it. One instance a deployment, on an event loop; deploy it again,
 * under another prefix or the same, for more. {@code start()} completes when requests can be
 * served, which the first time on a machine includes making the Python environment; requests that
 * come earlier fail with {@code NOT_INITIALIZED}. {@code stop()} answers what was accepted, within
 * {@code lanes.drain_timeout}, and never waits for Python that is stuck.
 */
public final class RagbusVerticle extends VerticleBase {
  private static final System.Logger LOG = System.getLogger(RagbusVerticle.class.getName());

  /** With the second that lanes have to answer, one that is stuck is seen within 1.5 s. */
  private static final long PROBE_MILLIS = 500;

  private static final long LOCKED_RETRY_MILLIS = 1_000;

  private RagbusOptions options;
  private ServiceMetrics metrics;
  private LastRequests requests;
  private CrashFile crashFile;
  private JepEngine engine;
  private ModelRegistry models;
  private Batcher batcher;
  private GarbageCollection garbage;
  private BusStreams streams;
  private Operations operations;
  private Functions functions;

  /** Of a cluster; null elsewhere. */
  private WorkerAddresses cluster;

  /** What this one is called in a cluster; null for one that is no worker. */
  private String worker;

  private Front front;

  /** What a front counts beside a service in the same process; null elsewhere. */
  private ServiceMetrics frontMetrics;

  private Announcer announcer;
  private Announcement.State announced = Announcement.State.SERVING;
  private State state = State.STARTING;
  private Future<Void> drain;
  private boolean observing;
  private boolean locked;

  private enum State {
    STARTING,
    SERVING,
    DRAINING
  }

  /** Made by the application, or by name. */
  public RagbusVerticle() {}

  @Override
  public Future<?> start() {
    if (context.threadingModel() != ThreadingModel.EVENT_LOOP) {
      throw new IllegalStateException(
          "RagbusVerticle must be deployed on an event loop, not as "
              + context.threadingModel()
              + ": it never blocks, and its lanes have threads of their own");
    }
    if (context.getInstanceCount() > 1) {
      throw new IllegalStateException(
          "RagbusVerticle must be deployed with one instance; lanes.inference sets how much runs"
              + " side by side");
    }
    options = OptionsReader.read(config());
    MessageCodecs.register(vertx);
    metrics = new ServiceMetrics(options.bus().addressPrefix());
    return joinCluster().compose(joined -> startWork()).onFailure(failure -> leaveCluster());
  }

  private Future<Void> startWork() {
    if (options.cluster().hasLanes()) {
      return startLanes();
    }
    return options.cluster().isolation() == RagbusOptions.Cluster.Isolation.PROCESS
        ? front.startProcesses(
            config(), CrashFile.folder(PythonEnvironment.Settings.defaultCacheFolder()))
        : Future.succeededFuture();
  }

  /** Begins to pass requests on to the workers of the cluster, where this one does that. */
  private Future<Void> joinCluster() {
    RagbusOptions.Cluster settings = options.cluster();
    if (!settings.clustered()) {
      ServedHere.begin(vertx, options.bus().addressPrefix());
      return Future.succeededFuture();
    }
    if (!vertx.isClustered()) {
      throw new IllegalStateException(
          "cluster.enabled and cluster.isolation need a clustered Vert.x:"
              + " Vertx.builder().withClusterManager(…).buildClustered()");
    }
    cluster = new WorkerAddresses(options.bus().addressPrefix(), ClusterSecret.of(settings));
    if (settings.hasLanes()) {
      worker = WorkerAddresses.id();
    }
    if (settings.role() == RagbusOptions.Cluster.Role.WORKER) {
      return Future.succeededFuture();
    }
    if (worker != null) {
      frontMetrics = new ServiceMetrics(cluster.prefix() + ".front");
    }
    FrontMeters meters = worker == null ? metrics : frontMetrics;
    front = new Front(vertx, options, cluster, worker, meters, System::nanoTime);
    return front.start();
  }

  private Future<Void> startLanes() {
    requests =
        new LastRequests(options.lanes().inference(), options.lanes().function(), System::nanoTime);
    streams = new BusStreams(vertx, System::nanoTime);
    serve();
    vertx.setPeriodic(1_000, timer -> observe());
    vertx.setPeriodic(PROBE_MILLIS, timer -> probe());
    String id = "-" + deploymentID();
    Path cacheFolder = PythonEnvironment.Settings.defaultCacheFolder();
    return context
        .executeBlocking(() -> environment(cacheFolder), false)
        .compose(python -> JepEngine.start(vertx, options, python, cacheFolder, id, this::drain))
        .onSuccess(started -> engine = started)
        .compose(started -> context.executeBlocking(() -> packaged(cacheFolder), false))
        .compose(this::startModels)
        .compose(done -> startFunctions())
        .compose(done -> context.executeBlocking(() -> openCrashFile(cacheFolder), false))
        .onSuccess(this::keepIn)
        .onSuccess(done -> state = state == State.STARTING ? State.SERVING : state)
        .compose(done -> announce());
  }

  private Future<Void> announce() {
    if (worker == null) {
      return Future.succeededFuture();
    }
    announcer =
        new Announcer(
            vertx, cluster, worker, options.cluster().announceInterval(), this::announcement);
    return announcer.start();
  }

  private Announcement announcement(String node, String proof) {
    Stats.Queue queue = batcher.stats();
    return new Announcement(
        worker,
        node,
        announcedState(),
        options.lanes().inference(),
        queue.items(),
        options.batching().maxQueueItems(),
        queue.tokens(),
        options.batching().maxQueueTokens(),
        batcher.tokensPerSecond(),
        models.defaults(),
        models.names(),
        functions.names(),
        metrics.operations().values().stream().mapToLong(Stats.Operation::accepted).sum(),
        proof);
  }

  private Announcement.State announcedState() {
    if (state != State.SERVING) {
      return Announcement.State.DRAINING;
    }
    return health().up() ? Announcement.State.SERVING : Announcement.State.DOWN;
  }

  private PythonEnvironment environment(Path cacheFolder) {
    return PythonEnvironment.prepare(
        new PythonEnvironment.Settings(
            options.python().pythonPath(),
            Optional.ofNullable(options.python().environment()).map(Path::of),
            cacheFolder,
            options.python().extras()),
        line -> LOG.log(System.Logger.Level.INFO, line));
  }

  private static PackagedModels packaged(Path cacheFolder) {
    return PackagedModels.of(cacheFolder, RagbusVerticle.class.getClassLoader());
  }

  /** Null where there can be none; then the last requests are told in the log alone. */
  private CrashFile openCrashFile(Path cacheFolder) {
    Path folder = CrashFile.folder(cacheFolder);
    try {
      return CrashFile.open(folder, requests.bytes());
    } catch (IOException e) {
      LOG.log(
          System.Logger.Level.WARNING,
          "a crash would leave no list of the last requests: {0} cannot be written ({1})",
          folder,
          e);
      return null;
    }
  }

  private void keepIn(CrashFile file) {
    if (file != null) {
      crashFile = file;
      requests.moveTo(file.buffer());
      Path report = CrashFile.errorFile();
      LOG.log(
          System.Logger.Level.INFO,
          "a crash of this process leaves the last requests in {0} and the JVM''s report in {1}",
          file.path(),
          report == null ? "the working directory (hs_err_pid*.log; -XX:ErrorFile)" : report);
    }
  }

  private Future<Void> startModels(PackagedModels packaged) {
    models = new ModelRegistry(engine, options, packaged, context, System::nanoTime);
    batcher = new Batcher(vertx, engine, options, metrics, requests, System::nanoTime);
    garbage = new GarbageCollection(engine, options.python().gcInterval(), System::nanoTime);
    operations = new Operations(options, engine, models, batcher, streams);
    return models.start().compose(done -> warmUp());
  }

  private Future<Void> startFunctions() {
    return context
        .executeBlocking(() -> new FunctionSchema.Compiler(vertx), false)
        .compose(
            schemas -> {
              functions =
                  new Functions(
                      vertx,
                      engine.functions(),
                      operations,
                      streams,
                      schemas,
                      options,
                      metrics,
                      requests,
                      System::nanoTime);
              return functions.start();
            });
  }

  /** The first pass over a new shape is slow, on every lane; the first callers should not pay. */
  private Future<Void> warmUp() {
    if (models.defaultEmbedding() == null) {
      return Future.succeededFuture();
    }
    return models.forEmbedding(null, null).compose(this::warmUp);
  }

  private Future<Void> warmUp(LoadedModel model) {
    models.acquire(model);
    return WarmUp.run(engine, model.engineModel()).onComplete(done -> models.release(model));
  }

  private void serve() {
    Addresses at = worker == null ? options.bus().addresses() : cluster.of(worker);
    Duration embedding = options.python().timeout("embed_texts");
    Duration ranking = options.python().timeout("rerank_texts");
    Duration loading = options.python().timeout("load_model");
    Duration clearing = options.python().timeout("clear_cache");
    Duration other = options.python().defaultTimeout();
    serve(at.embed(), "embed", EmbedRequest.class, embedding, (q, c) -> ready().embed(q, c));
    serve(
        at.embedSparse(),
        "embed_sparse",
        EmbedSparseRequest.class,
        embedding,
        (q, c) -> ready().embedSparse(q, c));
    serve(
        at.predict(), "predict", PredictRequest.class, embedding, (q, c) -> ready().predict(q, c));
    serve(at.rerank(), "rerank", RerankRequest.class, ranking, (q, c) -> ready().rerank(q, c));
    serve(
        at.rerankStream(),
        "rerank.stream",
        RerankRequest.class,
        ranking,
        (q, c) -> ready().rerankStream(q, c));
    serve(
        at.tokenize(), "tokenize", TokenizeRequest.class, other, (q, c) -> ready().tokenize(q, c));
    serve(at.decode(), "decode", DecodeRequest.class, other, (q, c) -> ready().decode(q, c));
    serve(at.loadModel(), "models.load", ModelSpec.class, loading, (q, c) -> ready().load(q, c));
    serve(at.listModels(), "models.list", NoArguments.class, other, (q, c) -> serving().list(q, c));
    serve(at.getModel(), "models.get", ModelQuery.class, other, (q, c) -> serving().get(q, c));
    serve(
        at.clearModels(),
        "models.clear",
        ModelQuery.class,
        clearing,
        (q, c) -> serving().clear(q, c));
    serve(
        at.registerFunction(),
        "functions.register",
        FunctionSpec.class,
        other,
        (q, c) -> readyFunctions().register(q, c));
    serve(
        at.unregisterFunction(),
        "functions.unregister",
        FunctionName.class,
        other,
        (q, c) -> servingFunctions().unregister(q, c));
    serve(
        at.getFunction(),
        "functions.get",
        FunctionQuery.class,
        other,
        (q, c) -> readyFunctions().get(q, c));
    serve(
        at.listFunctions(),
        "functions.list",
        NoArguments.class,
        other,
        (q, c) -> servingFunctions().list(q, c));
    serve(
        at.callFunction(),
        "functions.call",
        FunctionCall.class,
        call -> functions == null ? other : functions.timeout(call.name()),
        (q, c) -> readyFunctions().call(q, c));
    serve(
        at.streamFunction(),
        "functions.stream",
        FunctionCall.class,
        call -> functions == null ? other : functions.timeout(call.name()),
        (q, c) -> readyFunctions().stream(q, c));
    serve(
        at.cleanup(),
        "memory.cleanup",
        NoArguments.class,
        clearing,
        (q, c) -> ready().cleanup(q, c));
    serve(
        at.health(),
        "health",
        NoArguments.class,
        other,
        (q, c) -> Future.succeededFuture(health()));
    serve(at.stats(), "stats", NoArguments.class, other, (q, c) -> stats());
    String cancel = options.bus().addresses().cancel();
    Handler<Message<JsonObject>> cancelled = message -> cancel(message.body());
    if (worker == null) {
      vertx.eventBus().localConsumer(cancel, cancelled);
    } else {
      vertx.eventBus().consumer(cancel, cancelled);
    }
  }

  private <Q extends Record, R extends Record> void serve(
      String address,
      String name,
      Class<Q> type,
      Duration maxTimeout,
      BusEndpoint.Operation<Q, R> operation) {
    serve(address, name, type, request -> maxTimeout, operation);
  }

  private <Q extends Record, R extends Record> void serve(
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
    if (worker == null) {
      // On a clustered bus too, other nodes are served only where the options say so.
      vertx.eventBus().localConsumer(address, endpoint::handle);
    } else {
      Handler<Message<Object>> guarded = cluster.guarded(worker, endpoint::handle);
      vertx.eventBus().consumer(address, guarded);
    }
  }

  /** The operations, if requests that need Python can be served now. */
  private Operations ready() {
    Operations serving = serving();
    Duration wait = engine.interpreterWait();
    if (wait.compareTo(options.lanes().stuckTimeout()) >= 0) {
      throw RagbusException.of(
          Kind.INTERPRETER_LOCKED,
          "the interpreter lock could not be had for " + wait.toMillis() + " ms",
          true,
          LOCKED_RETRY_MILLIS,
          null);
    }
    return serving;
  }

  /** The operations, if requests can be served now. */
  private Operations serving() {
    return switch (state) {
      case SERVING -> operations;
      case STARTING -> throw RagbusException.of(Kind.NOT_INITIALIZED, "the service is starting");
      case DRAINING -> throw RagbusException.of(Kind.UNAVAILABLE, "the service is shutting down");
    };
  }

  private Functions readyFunctions() {
    ready();
    return functions;
  }

  private Functions servingFunctions() {
    serving();
    return functions;
  }

  private void cancel(JsonObject body) {
    String requestId = body == null ? null : body.getString("request_id");
    if (RequestIds.valid(requestId) && operations != null) {
      operations.cancel(requestId);
    }
    if (RequestIds.valid(requestId) && functions != null) {
      functions.cancel(requestId);
    }
  }

  private void probe() {
    if (engine != null) {
      engine.probe();
    }
    if (announcer != null && announcedState() != announced) {
      tell();
    }
  }

  /** Tells the fronts at once what has changed. */
  private void tell() {
    if (announcer != null) {
      announced = announcedState();
      announcer.tell();
    }
  }

  private void observe() {
    if (engine != null) {
      boolean before = locked;
      locked = engine.interpreterLocked();
      if (locked && !before) {
        requests.log("the interpreter lock cannot be had");
      }
      engine.check(System.nanoTime());
      metrics.observe(engine.lanes(), streams.count());
    }
    if (batcher != null) {
      metrics.observe(batcher.stats());
      models.tick();
      if (options.python().enableGc()) {
        garbage.tick(batcher.stats().items() == 0);
      }
      metrics.observe(models.stats(), models.list().cachedModels());
    }
    if (functions != null && !observing) {
      observing = true;
      functions.stats().onSuccess(metrics::observe).onComplete(done -> observing = false);
    }
  }

  /** What the lanes' signs of life tell; it asks nobody, so nothing that is stuck holds it up. */
  private Health health() {
    if (engine == null || state != State.SERVING) {
      Health.Check check = new Health.Check("service", "DOWN", state.name());
      return new Health("DOWN", false, List.of(check));
    }
    List<Health.Check> checks = new ArrayList<>();
    boolean locked = engine.interpreterLocked();
    checks.add(
        new Health.Check(
            "interpreter",
            up(!locked),
            locked
                ? "its lock could not be had for " + engine.interpreterWait().toMillis() + " ms"
                : "answers"));
    int abandoned = engine.abandoned();
    boolean lanesOpen = abandoned < FunctionQueue.MAX_ABANDONED;
    checks.add(
        new Health.Check("lanes", up(lanesOpen), abandoned + " threads are stuck in Python"));
    boolean up = !locked && lanesOpen;
    for (Stats.Lane lane : engine.lanes()) {
      boolean open = lane.state().equals("idle") || lane.state().equals("busy");
      up &= open;
      checks.add(new Health.Check(lane.name(), up(open), lane.state()));
    }
    String defaults =
        models.defaults().entrySet().stream()
            .map(each -> each.getKey() + " " + each.getValue())
            .collect(Collectors.joining(", "));
    checks.add(new Health.Check("models", "UP", defaults));
    return new Health(up(up), true, checks);
  }

  private static String up(boolean good) {
    return good ? "UP" : "DOWN";
  }

  private Future<Stats> stats() {
    Operations serving = ready();
    return Future.all(
            engine.control(Engine.Control.STATS, new JsonObject()), readyFunctions().stats())
        .map(
            both ->
                new Stats(
                    metrics.operations(),
                    batcher.stats(),
                    engine.lanes(),
                    serving.models(),
                    models.stats(),
                    both.<Stats.Functions>resultAt(1),
                    both.<JsonObject>resultAt(0).getLong("resident_bytes")));
  }

  /**
   * Refuses new requests, waits for the accepted ones and unloads the models; bounded. Called when
   * the first lane is undeployed, which Vert.x does before it stops this verticle.
   */
  private Future<Void> drain() {
    if (drain == null) {
      state = State.DRAINING;
      tell();
      Promise<Void> done = Promise.promise();
      drain = done.future();
      long millis = options.lanes().drainTimeout().toMillis();
      long timer = vertx.setTimer(millis, id -> giveUp(done));
      Future<Void> passedOn = front == null ? Future.succeededFuture() : front.close();
      Future<Void> idle =
          functions == null
              ? Future.succeededFuture()
              : Future.all(batcher.drained(), functions.drained()).mapEmpty();
      Future.all(passedOn, idle)
          .compose(v -> streams.closed())
          .onComplete(
              result -> {
                vertx.cancelTimer(timer);
                if (models != null) {
                  models.close();
                }
                if (functions != null) {
                  functions.close();
                }
                done.tryComplete();
              });
    }
    return drain;
  }

  private void giveUp(Promise<Void> done) {
    RagbusException failure =
        RagbusException.of(
            Kind.UNAVAILABLE,
            "the service was shut down before the work had ended, after "
                + TimeUnit.MILLISECONDS.toSeconds(options.lanes().drainTimeout().toMillis())
                + " s");
    streams.failAll(failure);
    batcher.failAll(failure);
    functions.failAll(failure);
    done.tryComplete();
  }

  @Override
  public Future<?> stop() {
    state = State.DRAINING;
    return leaveCluster()
        .compose(
            left -> {
              metrics.close();
              if (frontMetrics != null) {
                frontMetrics.close();
              }
              return crashFile == null
                  ? Future.succeededFuture()
                  : context.executeBlocking(
                      () -> {
                        crashFile.close();
                        return null;
                      },
                      false);
            });
  }

  /** A front without lanes has yet to drain; one with lanes has done so with them. */
  private Future<Void> leaveCluster() {
    if (announcer != null) {
      announcer.stop();
    }
    if (front == null) {
      if (cluster == null && options != null) {
        ServedHere.end(vertx, options.bus().addressPrefix());
      }
      return Future.succeededFuture();
    }
    Future<Void> drained = options.cluster().hasLanes() ? Future.succeededFuture() : front.close();
    long millis = options.lanes().drainTimeout().toMillis();
    return drained.timeout(millis, TimeUnit.MILLISECONDS).transform(ended -> front.stop());
  }
}
