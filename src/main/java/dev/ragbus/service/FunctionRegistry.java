// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import dev.ragbus.FunctionInfo;
import dev.ragbus.FunctionList;
import dev.ragbus.FunctionName;
import dev.ragbus.FunctionQuery;
import dev.ragbus.FunctionSpec;
import dev.ragbus.RagbusException;
import dev.ragbus.RagbusException.Kind;
import dev.ragbus.RagbusOptions;
import dev.ragbus.python.FunctionLanes;
import dev.ragbus.python.FunctionLanes.Definition;
import dev.ragbus.service.FunctionQueue.Terms;
import io.vertx.core.Future;
import io.vertx.core.Promise;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.LongSupplier;

/**
 * The functions that can be called, by name: Ragbus's own, those of the configuration, those of the
 * functions folder, and those registered by message. Belongs to the service's event loop.
 */
final class FunctionRegistry {
  private static final System.Logger LOG = System.getLogger(FunctionRegistry.class.getName());

  private final FunctionLanes lanes;
  private final FunctionQueue queue;
  private final FunctionSchema.Compiler schemas;
  private final RagbusOptions options;
  private final ServiceMetrics metrics;
  private final LongSupplier nanoClock;
  private final Map<String, Registered> functions = new TreeMap<>();
  private final Set<String> underWay = new HashSet<>();

  /** A function that can be called. */
  final class Registered {
    private final FunctionInfo info;
    private final int id;
    private final PlainFunction plain;
    private final FunctionSchema input;
    private final FunctionSchema output;
    private final List<String> parameters;
    private final ServiceMetrics.Function meter;
    private int users = 1;

    private Registered(PlainFunction plain) {
      this.info =
          new FunctionInfo(
              plain.name(),
              "ragbus",
              plain.description(),
              plain.inputSchema(),
              plain.outputSchema(),
              timeout(plain.name(), null),
              false,
              "operation",
              null,
              null,
              null);
      this.id = 0;
      this.plain = plain;
      this.input = schemas.compile("input_schema", plain.inputSchema());
      this.output = null;
      this.parameters = input.properties();
      this.meter = metrics.function(plain.name());
    }

    /** As Python describes it. */
    private Registered(JsonObject described, Duration asked) {
      String name = described.getString("name");
      JsonObject inputSchema = described.getJsonObject("input_schema");
      JsonObject outputSchema = described.getJsonObject("output_schema");
      Double seconds = described.getDouble("timeout_seconds");
      Duration declared = seconds == null ? null : Duration.ofNanos((long) (seconds * 1e9));
      this.info =
          new FunctionInfo(
              name,
              described.getString("module"),
              described.getString("description"),
              inputSchema,
              outputSchema,
              timeout(name, asked == null ? declared : asked),
              described.getBoolean("hard_cancel"),
              described.getString("kind"),
              described.getString("source_sha256"),
              null,
              null);
      this.id = described.getInteger("id");
      this.plain = null;
      this.input = schemas.compile("input_schema", inputSchema);
      this.output = schemas.compile("output_schema", outputSchema);
      this.parameters =
          described.getJsonArray("positional", new JsonArray()).stream()
              .map(String.class::cast)
              .toList();
      this.meter = metrics.function(name);
    }

    String name() {
      return info.name();
    }

    /** Its number in Python. */
    int id() {
      return id;
    }

    /** What it does instead of Python; null for a function of Python's. */
    PlainFunction plain() {
      return plain;
    }

    /** What arguments must fit; null for no matter. */
    FunctionSchema input() {
      return input;
    }

    /** What results must fit; null for no matter. */
    FunctionSchema output() {
      return output;
    }

    /** The names that arguments by position take, in order. */
    List<String> parameters() {
      return parameters;
    }

    boolean hardCancel() {
      return info.hardCancel();
    }

    ServiceMetrics.Function meter() {
      return meter;
    }

    /** Keeps Python from forgetting it while a call is under way. */
    void acquire() {
      users++;
    }

    void release() {
      if (--users == 0) {
        lanes.forget(id);
      }
    }

    private FunctionInfo described(String code) {
      return new FunctionInfo(
          info.name(),
          info.module(),
          info.description(),
          info.inputSchema(),
          info.outputSchema(),
          info.timeout(),
          info.hardCancel(),
          info.kind(),
          info.sourceSha256(),
          code,
          meter.usage());
    }
  }

  FunctionRegistry(
      FunctionLanes lanes,
      FunctionQueue queue,
      FunctionSchema.Compiler schemas,
      RagbusOptions options,
      ServiceMetrics metrics,
      LongSupplier nanoClock) {
    this.lanes = lanes;
    this.queue = queue;
    this.schemas = schemas;
    this.options = options;
    this.metrics = metrics;
    this.nanoClock = nanoClock;
    for (PlainFunction plain : PlainFunction.ALL) {
      functions.put(plain.name(), new Registered(plain));
    }
  }

  /**
   * Registers the functions of the configuration, any of which can fail the start, and of the
   * folder, none of which can.
   */
  Future<Void> start() {
    Future<?> configured = Future.succeededFuture();
    for (FunctionSpec spec : options.functions().preload()) {
      configured = configured.compose(v -> add(spec, atStart()));
    }
    return configured.compose(v -> scan());
  }

  private Call atStart() {
    long nanos = options.python().defaultTimeout().toNanos();
    return new Call("start", nanoClock.getAsLong() + nanos, null);
  }

  private Future<Void> scan() {
    String folder = Path.of(options.functions().dir()).toAbsolutePath().toString();
    JsonObject body = new JsonObject().put("dir", folder);
    return define(Definition.SCAN, body, atStart())
        .map(
            found -> {
              for (Object each : found.getJsonArray("functions")) {
                addFromFolder((JsonObject) each);
              }
              return (Void) null;
            })
        .recover(
            failure -> {
              LOG.log(
                  System.Logger.Level.ERROR,
                  "the functions in {0} are not registered: {1}",
                  folder,
                  failure.getMessage());
              return Future.succeededFuture();
            });
  }

  private void addFromFolder(JsonObject described) {
    String file = described.getString("file");
    JsonObject error = described.getJsonObject("error");
    if (error != null) {
      LOG.log(
          System.Logger.Level.ERROR,
          "{0} is left out: {1}",
          file,
          error.getString("traceback", error.getString("message")));
      return;
    }
    String name = described.getString("name");
    try {
      if (!name.matches(FunctionSpec.NAME_PATTERN)) {
        throw RagbusException.invalid("name must match " + FunctionSpec.NAME_PATTERN);
      }
      if (functions.containsKey(name)) {
        throw RagbusException.of(Kind.CONFLICT, "a function of that name is registered");
      }
      functions.put(name, new Registered(described, null));
    } catch (RagbusException e) {
      LOG.log(
          System.Logger.Level.ERROR,
          "function {0} of {1} is left out: {2}",
          name,
          file,
          e.getMessage());
      lanes.forget(described.getInteger("id"));
    }
  }

  /** Registers a function by message, if that is allowed. */
  Future<FunctionInfo> register(FunctionSpec spec, Call call) {
    if (isPlain(spec.name())) {
      throw RagbusException.of(
          Kind.CONFLICT, "'" + spec.name() + "' is Ragbus's own and cannot be replaced");
    }
    if (!isAllowed(spec)) {
      throw RagbusException.of(
          Kind.FORBIDDEN,
          spec.code() == null
              ? "module '" + spec.module() + "' is not among functions.allow_modules"
              : "source may be registered with functions.allow_source = true only");
    }
    return add(spec, call)
        .onSuccess(
            info ->
                LOG.log(
                    System.Logger.Level.INFO,
                    "request {0} registered function {1} of {2}, sha256 {3}",
                    call.requestId(),
                    info.name(),
                    spec.code() == null ? spec.module() : "source",
                    info.sourceSha256()));
  }

  private static boolean isPlain(String name) {
    return PlainFunction.ALL.stream().anyMatch(plain -> plain.name().equals(name));
  }

  private boolean isAllowed(FunctionSpec spec) {
    if (options.functions().allowSource()) {
      return true;
    }
    if (spec.code() != null) {
      return false;
    }
    String module = spec.module().substring(0, spec.module().indexOf(':'));
    return options.functions().allowModules().stream()
        .anyMatch(allowed -> module.equals(allowed) || module.startsWith(allowed + "."));
  }

  private Future<FunctionInfo> add(FunctionSpec spec, Call call) {
    String name = spec.name();
    if (!spec.replace() && functions.containsKey(name)) {
      throw RagbusException.of(
          Kind.CONFLICT, "function '" + name + "' is registered; replace was not asked for");
    }
    schemas.compile("input_schema", spec.inputSchema());
    schemas.compile("output_schema", spec.outputSchema());
    if (!underWay.add(name)) {
      throw RagbusException.of(Kind.CONFLICT, "function '" + name + "' is being registered");
    }
    JsonObject body = new JsonObject().put("name", name).put("hard_cancel", spec.hardCancel());
    putIfPresent(body, "module", spec.module());
    putIfPresent(body, "code", spec.code());
    putIfPresent(body, "input_schema", spec.inputSchema());
    putIfPresent(body, "output_schema", spec.outputSchema());
    return define(Definition.REGISTER, body, call)
        .map(
            described -> {
              try {
                return put(new Registered(described, spec.timeout()));
              } catch (RagbusException badHints) {
                lanes.forget(described.getInteger("id"));
                throw badHints;
              }
            })
        .onComplete(done -> underWay.remove(name));
  }

  private static void putIfPresent(JsonObject body, String field, Object value) {
    if (value != null) {
      body.put(field, value);
    }
  }

  private FunctionInfo put(Registered registered) {
    Registered before = functions.put(registered.name(), registered);
    if (before != null) {
      before.release();
    }
    return registered.described(null);
  }

  /** An operation on functions, in its turn on a lane; one that nobody waits for is undone. */
  private Future<JsonObject> define(Definition operation, JsonObject body, Call call) {
    Terms terms = new Terms(call.requestId(), call.deadlineNanos(), 0, false, Terms.ANY_LANE);
    Promise<JsonObject> answer = Promise.promise();
    queue
        .submit(
            terms,
            lane ->
                lanes
                    .define(lane, operation, body)
                    .onSuccess(
                        defined -> {
                          if (answer.future().isComplete()) {
                            undo(defined);
                          }
                        }))
        .onComplete(answer);
    return answer.future();
  }

  private void undo(JsonObject defined) {
    for (Object each : defined.getJsonArray("functions", new JsonArray().add(defined))) {
      Integer id = ((JsonObject) each).getInteger("id");
      if (id != null) {
        lanes.forget(id);
      }
    }
  }

  /** Unregisters a function; calls under way go on. */
  FunctionName unregister(FunctionName name) {
    if (isPlain(name.name())) {
      throw RagbusException.of(
          Kind.FORBIDDEN, "'" + name.name() + "' is Ragbus's own and cannot be unregistered");
    }
    Registered registered = get(name.name());
    functions.remove(registered.name());
    metrics.removeFunction(registered.name());
    registered.release();
    return name;
  }

  /** Has Python, which outlives this deployment, forget all functions. */
  void close() {
    functions.values().stream().filter(each -> each.plain() == null).forEach(Registered::release);
    functions.clear();
  }

  /** A function by its name; throws {@code FUNCTION_NOT_FOUND}. */
  Registered get(String name) {
    Registered registered = functions.get(name);
    if (registered == null) {
      throw RagbusException.of(Kind.FUNCTION_NOT_FOUND, "no function '" + name + "'");
    }
    return registered;
  }

  /** Describes a function, with its source if that is asked for. */
  Future<FunctionInfo> describe(FunctionQuery query) {
    Registered registered = get(query.name());
    if (!query.code() || registered.plain() != null) {
      return Future.succeededFuture(registered.described(null));
    }
    registered.acquire();
    return lanes
        .source(registered.id())
        .map(registered::described)
        .onComplete(done -> registered.release());
  }

  /** Describes all functions. */
  FunctionList list() {
    List<FunctionInfo> all = functions.values().stream().map(f -> f.described(null)).toList();
    return new FunctionList(all, all.size());
  }

  /** How each function has been used. */
  Map<String, FunctionInfo.Usage> usage() {
    Map<String, FunctionInfo.Usage> usage = new TreeMap<>();
    functions.forEach((name, registered) -> usage.put(name, registered.meter().usage()));
    return usage;
  }

  /** The time that calls of a function have, and the most they may bring. */
  Duration timeout(String name) {
    Registered registered = functions.get(name);
    return registered == null ? options.python().defaultTimeout() : registered.info.timeout();
  }

  private Duration timeout(String name, Duration own) {
    Duration configured =
        options.python().functions().containsKey(name) ? options.python().timeout(name) : null;
    if (configured != null) {
      return configured;
    }
    return own == null ? options.python().defaultTimeout() : own;
  }
}
