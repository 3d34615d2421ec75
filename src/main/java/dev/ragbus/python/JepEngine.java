// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.python;

import dev.ragbus.JsonBodies;
import dev.ragbus.RagbusOptions;
import dev.ragbus.Stats;
import dev.ragbus.python.InterpreterLane.Role;
import dev.ragbus.python.environment.PythonEnvironment;
import io.vertx.core.Context;
import io.vertx.core.DeploymentOptions;
import io.vertx.core.Future;
import io.vertx.core.ThreadingModel;
import io.vertx.core.VerticleBase;
import io.vertx.core.Vertx;
import io.vertx.core.internal.VertxInternal;
import io.vertx.core.json.JsonObject;
import io.vertx.core.spi.metrics.PoolMetrics;
import io.vertx.core.spi.metrics.VertxMetrics;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.BiFunction;
import java.util.function.Supplier;

/**
 * The {@link Engine} on CPython: lanes as worker verticles, each owning one interpreter's thread.
 *
 * <p>Lives on the event loop of the verticle that makes it.
 */
public final class JepEngine implements Engine {
  private static final System.Logger LOG = System.getLogger(JepEngine.class.getName());

  /** How long closing an idle interpreter may take; one that is stuck is not waited for. */
  private static final long CLOSE_MILLIS = 500;

  /** How long to wait before a run that had not got to Python yet is cancelled again. */
  private static final long CANCEL_RETRY_MILLIS = 20;

  /** Lanes of all deployments share Python, and with it the numbers of runs. */
  private static final AtomicLong RUNS = new AtomicLong();

  private final Vertx vertx;
  private final Context context;
  private final PythonRuntime runtime;
  private final int niceness;
  private final long stuckNanos;
  private final List<InterpreterLane> inference = new ArrayList<>();
  private final List<InterpreterLane> all = new ArrayList<>();

  /** The run that each inference lane is busy with; 0 for none. */
  private final long[] runs;

  private final InterpreterLane control;
  private final Map<Control.Place, List<InterpreterLane>> places =
      new EnumMap<>(Control.Place.class);
  private final FunctionLanes functions;
  private InterpreterWatch watch;
  private boolean locked;

  /** Whether the log is being given stacks, or the lane that was to do so was itself given up. */
  private boolean loggingStacks;

  private JepEngine(
      Vertx vertx, Context context, PythonRuntime runtime, RagbusOptions.Lanes lanes, String id) {
    this.vertx = vertx;
    this.context = context;
    this.runtime = runtime;
    this.niceness = lanes.niceness();
    this.stuckNanos = lanes.stuckTimeout().toNanos();
    this.runs = new long[lanes.inference()];
    for (int i = 0; i < lanes.inference(); i++) {
      inference.add(lane(runtime, Role.INFERENCE, id, i));
    }
    List<InterpreterLane> function = new ArrayList<>();
    for (int i = 0; i < lanes.function(); i++) {
      function.add(lane(runtime, Role.FUNCTION, id, i));
    }
    control = lane(runtime, Role.CONTROL, id, 0);
    places.put(Control.Place.CONTROL, List.of(control));
    places.put(Control.Place.LOADER, two(runtime, Role.LOADER, id));
    places.put(Control.Place.FETCHER, two(runtime, Role.FETCHER, id));
    places.put(Control.Place.MEMORY, List.of(lane(runtime, Role.MEMORY, id, 0)));
    places.values().forEach(all::addAll);
    all.addAll(inference);
    all.addAll(function);
    functions = new JepFunctionLanes(function, control, this::abandoned);
  }

  /**
   * Starts Python where it does not run yet, and the lanes.
   *
   * @param cacheFolder where engines keep what they make of models
   * @param id makes the names of this deployment's threads its own
   * @param drained called when a lane is undeployed: completes when the service has no more work
   *     for lanes; it must be bounded, since lanes wait for it before they close
   */
  public static Future<JepEngine> start(
      Vertx vertx,
      RagbusOptions options,
      PythonEnvironment environment,
      Path cacheFolder,
      String id,
      Supplier<Future<Void>> drained) {
    Context context = vertx.getOrCreateContext();
    List<String> modulePath = new ArrayList<>(modulePath(options.python()));
    modulePath.add(environment.packageFolder().toString());
    PythonRuntime.Settings settings =
        new PythonRuntime.Settings(
            environment.python(),
            environment.jepLibrary(),
            List.copyOf(modulePath),
            options.lanes().switchInterval().toNanos() / 1e9,
            options.models().offline(),
            cacheFolder,
            options.python().enableGpu(),
            options.python().enableGc());
    return context
        .executeBlocking(() -> PythonRuntime.start(settings), false)
        .map(runtime -> new JepEngine(vertx, context, runtime, options.lanes(), id))
        .compose(engine -> engine.deploy(drained).map(engine));
  }

  private static List<String> modulePath(RagbusOptions.Python python) {
    if (python.modulePath() != null) {
      return python.modulePath();
    }
    Path project = Path.of("python").toAbsolutePath();
    return Files.isDirectory(project) ? List.of(project.toString()) : List.of();
  }

  private InterpreterLane lane(PythonRuntime runtime, Role role, String id, int index) {
    String name =
        "ragbus-lane-" + role.name().toLowerCase(java.util.Locale.ROOT) + "-" + index + id;
    return new InterpreterLane(
        name,
        role,
        runtime,
        niceness,
        context,
        poolMetrics(name),
        this::logStacks,
        this::noInferenceRuns);
  }

  private boolean noInferenceRuns() {
    for (long run : runs) {
      if (run != 0) {
        return false;
      }
    }
    return true;
  }

  /** Lanes for work that takes long, so that one piece of it does not hold up the next. */
  private List<InterpreterLane> two(PythonRuntime runtime, Role role, String id) {
    return List.of(lane(runtime, role, id, 0), lane(runtime, role, id, 1));
  }

  @SuppressWarnings("unchecked")
  private PoolMetrics<Object, Object> poolMetrics(String name) {
    VertxMetrics metrics = ((VertxInternal) vertx).metrics();
    return metrics == null
        ? null
        : (PoolMetrics<Object, Object>) metrics.createPoolMetrics("ragbus", name, 1);
  }

  private Future<Void> deploy(Supplier<Future<Void>> drained) {
    DeploymentOptions worker = new DeploymentOptions().setThreadingModel(ThreadingModel.WORKER);
    // The first lane sets Python up for all of them.
    Future<String> first = vertx.deployVerticle(new LaneVerticle(control, drained), worker);
    return first
        .onSuccess(v -> watch = runtime.watch())
        .compose(
            v ->
                Future.all(
                        all.stream()
                            .filter(lane -> lane != control)
                            .map(
                                lane ->
                                    vertx.deployVerticle(new LaneVerticle(lane, drained), worker))
                            .toList())
                    .mapEmpty());
  }

  @Override
  public int inferenceLanes() {
    return inference.size();
  }

  @Override
  public Future<TokenizedTexts> tokenize(TokenizeCall call, long giveUpNanos) {
    return control.call(bridge -> bridge.tokenize(call), giveUpNanos);
  }

  @Override
  public Future<List<RowValues>> forward(int lane, ForwardCall call, long giveUpNanos) {
    return run(lane, (bridge, run) -> bridge.forward(call, run), giveUpNanos);
  }

  @Override
  public Future<DirectResult> tokenizeAndForward(int lane, DirectCall call, long giveUpNanos) {
    return run(
        lane,
        (bridge, run) -> {
          long startedNanos = System.nanoTime();
          TokenizedTexts tokens = bridge.tokenize(call.texts());
          long tokenizeNanos = System.nanoTime() - startedNanos;
          ForwardCall batch = call.batch(tokens);
          return new DirectResult(
              tokens, call.suits().test(batch) ? bridge.forward(batch, run) : null, tokenizeNanos);
        },
        giveUpNanos);
  }

  private <T> Future<T> run(int lane, BiFunction<Bridge, Long, T> work, long giveUpNanos) {
    long run = RUNS.incrementAndGet();
    runs[lane] = run;
    return inference
        .get(lane)
        .call(bridge -> work.apply(bridge, run), giveUpNanos)
        .onComplete(ended -> runs[lane] = runs[lane] == run ? 0 : runs[lane]);
  }

  @Override
  public void cancel(int lane) {
    if (runs[lane] != 0) {
      cancel(lane, runs[lane]);
    }
  }

  private void cancel(int lane, long run) {
    control(Control.CANCEL_RUN, new JsonObject().put("run", run))
        .onSuccess(
            reply -> {
              if (!reply.getBoolean("found") && runs[lane] == run) {
                vertx.setTimer(CANCEL_RETRY_MILLIS, retry -> cancelIfGoingOn(lane, run));
              }
            });
  }

  private void cancelIfGoingOn(int lane, long run) {
    if (runs[lane] == run) {
      cancel(lane, run);
    }
  }

  @Override
  public Future<JsonObject> control(Control operation, JsonObject body) {
    InterpreterLane lane =
        Collections.min(
            places.get(operation.place()), Comparator.comparingInt(InterpreterLane::pending));
    return lane.call(bridge -> bridge.call(operation.operation(), body), Long.MAX_VALUE);
  }

  @Override
  public Future<Model> load(JsonObject body) {
    return control(Control.LOAD, body)
        .map(
            described -> {
              JsonObject known = new JsonObject();
              for (var component : Model.class.getRecordComponents()) {
                String key = snakeCase(component.getName());
                known.put(key, described.getValue(key));
              }
              return JsonBodies.parse(known, Model.class);
            });
  }

  private static String snakeCase(String name) {
    return name.replaceAll("([A-Z])", "_$1").toLowerCase(java.util.Locale.ROOT);
  }

  /**
   * Gives up the lanes whose running call is overdue; to be called every now and then. While one
   * thread keeps the interpreter lock, the others are not to blame.
   */
  public void check(long nowNanos) {
    boolean before = locked;
    locked = interpreterLocked();
    if (!locked) {
      all.forEach(lane -> lane.check(nowNanos));
    } else if (!before) {
      LOG.log(
          System.Logger.Level.ERROR,
          "the interpreter lock cannot be had; Python stands still, its stacks are in the log");
    }
  }

  /**
   * Where Python is, all of it, goes to the log; also what a thread that was given up is doing.
   * Once a lane was stuck in that, it is not tried again: each time would cost a thread.
   */
  private void logStacks() {
    if (loggingStacks) {
      return;
    }
    loggingStacks = true;
    control
        .call(bridge -> bridge.call("log_stacks", new JsonObject()), System.nanoTime() + stuckNanos)
        .onSuccess(logged -> loggingStacks = false);
  }

  /** For how long the interpreter lock has been asked for in vain. Python is not needed to tell. */
  public Duration interpreterWait() {
    return Duration.ofNanos(watch.waitedNanos());
  }

  /** Whether that is so long that something keeps the lock. */
  public boolean interpreterLocked() {
    return watch.waitedNanos() >= InterpreterWatch.LOCKED_NANOS;
  }

  /** Asks every idle lane for a sign of life; to be called often. */
  public void probe() {
    all.forEach(InterpreterLane::probe);
  }

  /** The lanes that run registered functions. */
  public FunctionLanes functions() {
    return functions;
  }

  /** Threads of all lanes that were given up and still live. */
  public int abandoned() {
    return all.stream().mapToInt(InterpreterLane::abandoned).sum();
  }

  @Override
  public List<Stats.Lane> lanes() {
    return all.stream().map(InterpreterLane::stats).toList();
  }

  /** The deployment of one lane: Vert.x opens it, and closes it when its parent is undeployed. */
  private final class LaneVerticle extends VerticleBase {
    private final InterpreterLane lane;
    private final Supplier<Future<Void>> drained;

    LaneVerticle(InterpreterLane lane, Supplier<Future<Void>> drained) {
      this.lane = lane;
      this.drained = drained;
    }

    @Override
    public Future<?> start() {
      return onService(lane::open);
    }

    @Override
    public Future<?> stop() {
      return onService(
          () ->
              drained
                  .get()
                  .eventually(
                      () -> {
                        vertx.setTimer(CLOSE_MILLIS, timer -> lane.abandonIfOpen());
                        return lane.close();
                      }));
    }

    /** A lane's state belongs to the service's event loop, not to this worker. */
    private Future<Void> onService(Supplier<Future<Void>> action) {
      return Future.future(
          promise -> JepEngine.this.context.runOnContext(v -> action.get().onComplete(promise)));
    }
  }
}
