// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import dev.ragbus.FunctionCall;
import dev.ragbus.Health;
import dev.ragbus.RagbusException;
import dev.ragbus.RagbusException.Kind;
import dev.ragbus.RagbusOptions;
import dev.ragbus.Stats;
import dev.ragbus.cluster.Announcement;
import dev.ragbus.python.Engine;
import dev.ragbus.python.JepEngine;
import dev.ragbus.python.environment.PackagedModels;
import dev.ragbus.python.environment.PythonEnvironment;
import io.vertx.core.Context;
import io.vertx.core.Future;
import io.vertx.core.Promise;
import io.vertx.core.Vertx;
import io.vertx.core.json.JsonObject;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import java.util.stream.Collectors;

/**
 * A deployment's lanes and all that works with them, from its start to its end. Belongs to the
 * deployment's event loop.
 */
final class LaneService implements Endpoints.Service {
  private static final System.Logger LOG = System.getLogger(LaneService.class.getName());

  /** With the second that lanes have to answer, one that is stuck is seen within 1.5 s. */
  private static final long PROBE_MILLIS = 500;

  private static final long OBSERVE_MILLIS = 1_000;
  private static final long LOCKED_RETRY_MILLIS = 1_000;

  private enum State {
    STARTING,
    SERVING,
    DRAINING
  }

  private final Vertx vertx;
  private final Context context;
  private final RagbusOptions options;
  private final ServiceMetrics metrics;
  private final LastRequests requests;
  private final BusStreams streams;
  private State state = State.STARTING;
  private Future<Void> drain;
  private boolean observing;
  private boolean locked;

  // What follows is there as far as the start has come.

  private JepEngine engine;
  private ModelRegistry models;
  private Batcher batcher;
  private GarbageCollection garbage;
  private Operations operations;
  private Functions functions;
  private CrashFile crashFile;

  LaneService(
      Vertx vertx,
      Context context,
      RagbusOptions options,
      ServiceMetrics metrics,
      LastRequests requests) {
    this.vertx = vertx;
    this.context = context;
    this.options = options;
    this.metrics = metrics;
    this.requests = requests;
    this.streams = new BusStreams(vertx, System::nanoTime);
  }

  /**
   * Starts Python, the lanes, the models and the functions.
   *
   * @param deployment what tells the deployment's lanes from those of others
   * @param drained asked when the first lane is undeployed; the lanes are closed once it completes
   */
  Future<Void> start(String deployment, Supplier<Future<Void>> drained) {
    vertx.setPeriodic(OBSERVE_MILLIS, timer -> observe());
    vertx.setPeriodic(PROBE_MILLIS, timer -> probe());
    Path cacheFolder = PythonEnvironment.Settings.defaultCacheFolder();
    return context
        .executeBlocking(() -> environment(cacheFolder), false)
        .compose(
            python ->
                JepEngine.start(vertx, options, python, cacheFolder, "-" + deployment, drained))
        .onSuccess(started -> engine = started)
        .compose(started -> context.executeBlocking(() -> packaged(cacheFolder), false))
        .compose(this::startModels)
        .compose(done -> startFunctions())
        .compose(done -> context.executeBlocking(() -> openCrashFile(cacheFolder), false))
        .onSuccess(this::keepIn)
        .onSuccess(done -> state = state == State.STARTING ? State.SERVING : state)
        .mapEmpty();
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
    return PackagedModels.of(cacheFolder, LaneService.class.getClassLoader());
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
    operations = new Operations(options, engine, models, batcher, streams, System::nanoTime);
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
    if (!models.defaults().containsKey("embedding")) {
      return Future.succeededFuture();
    }
    return models.forEmbedding(null, null).compose(this::warmUp);
  }

  private Future<Void> warmUp(LoadedModel model) {
    models.acquire(model);
    return WarmUp.run(engine, model.engineModel()).onComplete(done -> models.release(model));
  }

  @Override
  public Operations ready() {
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

  @Override
  public Operations serving() {
    return switch (state) {
      case SERVING -> operations;
      case STARTING -> throw RagbusException.of(Kind.NOT_INITIALIZED, "the service is starting");
      case DRAINING -> throw RagbusException.of(Kind.UNAVAILABLE, "the service is shutting down");
    };
  }

  @Override
  public Functions readyFunctions() {
    ready();
    return functions;
  }

  @Override
  public Functions servingFunctions() {
    serving();
    return functions;
  }

  @Override
  public Duration timeout(FunctionCall call) {
    return functions == null ? options.python().defaultTimeout() : functions.timeout(call.name());
  }

  @Override
  public void cancel(String requestId) {
    if (operations != null) {
      operations.cancel(requestId);
    }
    if (functions != null) {
      functions.cancel(requestId);
    }
  }

  private void probe() {
    if (engine != null) {
      engine.probe();
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
  @Override
  public Health health() {
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

  /** What the fronts of a cluster are told. */
  Announcement announcement(String worker, String node, String proof) {
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

  Announcement.State announcedState() {
    if (state != State.SERVING) {
      return Announcement.State.DRAINING;
    }
    return health().up() ? Announcement.State.SERVING : Announcement.State.DOWN;
  }

  @Override
  public Future<Stats> stats() {
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
   * Refuses new requests, waits for the accepted ones and unloads the models; bounded, and begun
   * once.
   *
   * @param alongside begun when requests are refused; what it completes is waited for as well
   */
  Future<Void> drain(Supplier<Future<Void>> alongside) {
    if (drain == null) {
      state = State.DRAINING;
      Promise<Void> done = Promise.promise();
      drain = done.future();
      long millis = options.lanes().drainTimeout().toMillis();
      long timer = vertx.setTimer(millis, id -> giveUp(done));
      Future<Void> idle =
          functions == null
              ? Future.succeededFuture()
              : Future.all(batcher.drained(), functions.drained()).mapEmpty();
      Future.all(alongside.get(), idle)
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
    if (functions != null) {
      batcher.failAll(failure);
      functions.failAll(failure);
    }
    done.tryComplete();
  }

  /** Refuses what still comes, and deletes what a crash would have left. */
  Future<Void> stop() {
    state = State.DRAINING;
    return crashFile == null
        ? Future.succeededFuture()
        : context.executeBlocking(
            () -> {
              crashFile.close();
              return null;
            },
            false);
  }
}
