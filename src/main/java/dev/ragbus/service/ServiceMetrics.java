// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import dev.ragbus.FunctionInfo;
import dev.ragbus.ModelInfo;
import dev.ragbus.RagbusException;
import dev.ragbus.RagbusException.Kind;
import dev.ragbus.Stats;
import dev.ragbus.cluster.FrontMeters;
import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.DistributionSummary;
import io.micrometer.core.instrument.FunctionCounter;
import io.micrometer.core.instrument.FunctionTimer;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.Meter;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.MultiGauge;
import io.micrometer.core.instrument.Tags;
import io.micrometer.core.instrument.Timer;
import io.micrometer.core.instrument.composite.CompositeMeterRegistry;
import io.micrometer.core.instrument.distribution.ValueAtPercentile;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.vertx.micrometer.backends.BackendRegistries;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.EnumSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.function.ToDoubleFunction;
import java.util.function.ToLongFunction;
import java.util.stream.LongStream;

/**
 * A deployment's meters: kept in a registry of its own, for {@code rag.stats}, and in the
 * application's where Vert.x has one. Belongs to the service's event loop; meters are read
 * anywhere.
 */
final class ServiceMetrics implements FrontMeters, AutoCloseable {
  private static final List<String> ROLES =
      List.of("inference", "control", "loader", "fetcher", "memory", "function");

  /** Failures that are counted from 0, so that a first one is seen as a change. */
  private static final Set<Kind> OF_INTEREST =
      EnumSet.of(Kind.OVERLOADED, Kind.TIMEOUT, Kind.CANCELLED);

  private static final Duration[] BUCKETS =
      LongStream.of(1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 5_000)
          .mapToObj(Duration::ofMillis)
          .toArray(Duration[]::new);

  private final CompositeMeterRegistry registry = new CompositeMeterRegistry();
  private final Tags tags;
  private final Map<String, Operation> operations = new LinkedHashMap<>();
  private final MultiGauge modelMemory;
  private final Map<String, Function> functions = new LinkedHashMap<>();
  private volatile Stats.Functions functionTotals = new Stats.Functions(0, 0, 0, 0, 0, 0, Map.of());
  private volatile List<Stats.Lane> lanes = List.of();
  private volatile int openStreams;
  private volatile int workersServing;
  private volatile int workersOthers;
  private final Timer pass;
  private final DistributionSummary passRows;
  private final DistributionSummary passTokens;
  private final DistributionSummary passPaddedTokens;
  private volatile Stats.Queue queue = new Stats.Queue(0, 0, 0, 0, 0, 0, 0, 0, 0);
  private volatile Stats.ModelCache modelCache = new Stats.ModelCache(0, 0, 0, 0, 0, 0, 0);

  ServiceMetrics(String addressPrefix) {
    tags = Tags.of("prefix", addressPrefix);
    registry.add(new SimpleMeterRegistry());
    MeterRegistry ofVertx = BackendRegistries.getDefaultNow();
    if (ofVertx != null) {
      registry.add(ofVertx);
    }
    gauge("ragbus.queue.items", of -> of.queue.items());
    gauge("ragbus.queue.tokens", of -> of.queue.tokens());
    counter("ragbus.rows.dropped", of -> of.queue.dropped());
    counter("ragbus.rows.coalesced", of -> of.queue.coalesced());
    counter("ragbus.rows.cached", of -> of.queue.cached());
    counter("ragbus.model.hits", of -> of.modelCache.hits());
    counter("ragbus.model.misses", of -> of.modelCache.misses());
    counter("ragbus.model.evictions", of -> of.modelCache.evictions());
    counter("ragbus.model.loads.failed", of -> of.modelCache.failedLoads());
    counter("ragbus.model.loads.cancelled", of -> of.modelCache.cancelledLoads());
    gauge("ragbus.function.waiting", of -> of.functionTotals.waiting());
    gauge("ragbus.function.running", of -> of.functionTotals.running());
    gauge("ragbus.streams.open", of -> of.openStreams);
    gauge("ragbus.cluster.workers.serving", of -> of.workersServing);
    gauge("ragbus.cluster.workers.other", of -> of.workersOthers);
    ROLES.forEach(this::lanesOf);
    counter("ragbus.function.dropped", of -> of.functionTotals.dropped());
    counter("ragbus.function.tainted", of -> of.functionTotals.tainted());
    counter("ragbus.function.cache.hits", of -> of.functionTotals.cacheHits());
    counter("ragbus.function.cache.misses", of -> of.functionTotals.cacheMisses());
    FunctionTimer.builder(
            "ragbus.model.load",
            this,
            of -> of.modelCache.loads(),
            of -> of.modelCache.loadMillis(),
            TimeUnit.MILLISECONDS)
        .tags(tags)
        .register(registry);
    pass =
        Timer.builder("ragbus.pass")
            .description("a batch, from its handing to a lane to its result")
            .tags(tags)
            .serviceLevelObjectives(BUCKETS)
            .register(registry);
    passRows = summary("ragbus.pass.rows", "rows", 1, 2, 4, 8, 16, 32, 64);
    passTokens = summary("ragbus.pass.tokens", "tokens", 16, 64, 128, 256, 512, 1024, 4096);
    passPaddedTokens =
        summary("ragbus.pass.padded.tokens", "tokens", 16, 64, 128, 256, 512, 1024, 4096);
    modelMemory = MultiGauge.builder("ragbus.model.memory").baseUnit("bytes").register(registry);
  }

  private void gauge(String name, ToDoubleFunction<ServiceMetrics> value) {
    Gauge.builder(name, this, value).tags(tags).register(registry);
  }

  private void counter(String name, ToDoubleFunction<ServiceMetrics> value) {
    FunctionCounter.builder(name, this, value).tags(tags).register(registry);
  }

  private DistributionSummary summary(String name, String unit, double... buckets) {
    return DistributionSummary.builder(name)
        .baseUnit(unit)
        .tags(tags)
        .serviceLevelObjectives(buckets)
        .register(registry);
  }

  private void lanesOf(String role) {
    lanes("ragbus.lanes", role, lane -> 1);
    lanes("ragbus.lanes.busy", role, lane -> lane.state().equals("busy") ? 1 : 0);
    lanes("ragbus.lanes.abandoned", role, Stats.Lane::abandoned);
    FunctionCounter.builder("ragbus.lanes.replaced", this, sum(role, Stats.Lane::replaced))
        .tags(tags.and("role", role))
        .register(registry);
  }

  private void lanes(String name, String role, ToLongFunction<Stats.Lane> value) {
    Gauge.builder(name, this, sum(role, value)).tags(tags.and("role", role)).register(registry);
  }

  private static ToDoubleFunction<ServiceMetrics> sum(
      String role, ToLongFunction<Stats.Lane> value) {
    return of -> of.lanes.stream().filter(lane -> lane.role().equals(role)).mapToLong(value).sum();
  }

  /**
   * Counts a pass.
   *
   * @param tokens without padding
   * @param paddedTokens with padding
   */
  void ran(int rows, long tokens, long paddedTokens, long nanos) {
    pass.record(nanos, TimeUnit.NANOSECONDS);
    passRows.record(rows);
    passTokens.record((double) tokens);
    passPaddedTokens.record((double) paddedTokens);
  }

  /** Takes the queue's state, on the event loop, for meters that other threads read. */
  void observe(Stats.Queue current) {
    queue = current;
  }

  /** Takes the models' state, on the event loop, for meters that other threads read. */
  void observe(Stats.ModelCache cache, List<ModelInfo> models) {
    modelCache = cache;
    List<MultiGauge.Row<?>> rows = new ArrayList<>();
    for (ModelInfo model : models) {
      rows.add(MultiGauge.Row.of(tags.and("model", model.cacheKey()), model.memoryBytes()));
    }
    modelMemory.register(rows, true);
  }

  /** Takes what there is to know of functions. */
  void observe(Stats.Functions current) {
    functionTotals = current;
  }

  /** Takes what lanes are doing, and how many streams are being written. */
  void observe(List<Stats.Lane> current, int streams) {
    lanes = current;
    openStreams = streams;
  }

  @Override
  public Operation operation(String name) {
    return operations.computeIfAbsent(name, Operation::new);
  }

  @Override
  public void repeated(Kind kind) {
    Counter.builder("ragbus.cluster.repeated")
        .description("requests sent to another worker after a failure of the first")
        .tags(tags.and("kind", kind.name()))
        .register(registry)
        .increment();
  }

  @Override
  public void workers(int serving, int others) {
    workersServing = serving;
    workersOthers = others;
  }

  @Override
  public Map<String, Stats.Operation> operations() {
    Map<String, Stats.Operation> stats = new LinkedHashMap<>();
    operations.forEach((name, operation) -> stats.put(name, operation.stats()));
    return stats;
  }

  /** The meters of a function. */
  Function function(String name) {
    return functions.computeIfAbsent(name, Function::new);
  }

  /** Forgets a function's meters. */
  void removeFunction(String name) {
    Function removed = functions.remove(name);
    if (removed != null) {
      removed.meters().forEach(registry::remove);
    }
  }

  @Override
  public void close() {
    for (Meter meter : registry.getMeters()) {
      registry.getRegistries().forEach(each -> each.remove(meter.getId()));
    }
    registry.close();
  }

  final class Operation implements FrontMeters.Operation {
    private final Timer timer;
    private final Timer waiting;
    private final Timer tokenizing;
    private final Timer inference;
    private final Counter tokens;
    private final Counter accepted;
    private final String name;
    private final Map<Kind, Counter> failed = new EnumMap<>(Kind.class);

    String name() {
      return name;
    }

    private Operation(String name) {
      this.name = name;
      Tags own = tags.and("operation", name);
      accepted = Counter.builder("ragbus.requests").tags(own).register(registry);
      timer =
          Timer.builder("ragbus.request")
              .description("from arrival to answer")
              .tags(own)
              .publishPercentiles(0.5, 0.99)
              .register(registry);
      waiting = phase("ragbus.queue.time", "waiting for the tokenizer or for a lane");
      tokenizing = phase("ragbus.tokenize.time", "being tokenised, nothing being on a lane");
      inference = phase("ragbus.inference.time", "on at least one lane");
      tokens = Counter.builder("ragbus.tokens").tags(own).register(registry);
      OF_INTEREST.forEach(this::failures);
    }

    private Timer phase(String phase, String description) {
      return Timer.builder(phase)
          .description("of a request: " + description)
          .tags(tags.and("operation", name))
          .serviceLevelObjectives(BUCKETS)
          .register(registry);
    }

    private Counter failures(Kind kind) {
      return failed.computeIfAbsent(
          kind,
          each ->
              Counter.builder("ragbus.failures")
                  .tags(tags.and("operation", name, "kind", each.name()))
                  .register(registry));
    }

    /** A request's texts have run, or will not. */
    void ran(Phases phases, int promptTokens) {
      waiting.record(phases.waitingNanos(), TimeUnit.NANOSECONDS);
      tokenizing.record(phases.tokenizingNanos(), TimeUnit.NANOSECONDS);
      inference.record(phases.inferenceNanos(), TimeUnit.NANOSECONDS);
      tokens.increment(promptTokens);
    }

    @Override
    public void accepted() {
      accepted.increment();
    }

    @Override
    public void answered(long nanos) {
      timer.record(nanos, TimeUnit.NANOSECONDS);
    }

    @Override
    public void failed(Kind kind) {
      failures(kind).increment();
    }

    private Stats.Operation stats() {
      Map<String, Long> failures = new LinkedHashMap<>();
      failed.forEach(
          (kind, counter) -> {
            if (counter.count() > 0) {
              failures.put(kind.name(), (long) counter.count());
            }
          });
      return new Stats.Operation(
          (long) accepted.count(),
          timer.count(),
          failures,
          quantileMillis(timer, 0.5),
          quantileMillis(timer, 0.99));
    }
  }

  private static double quantileMillis(Timer timer, double quantile) {
    for (ValueAtPercentile value : timer.takeSnapshot().percentileValues()) {
      if (value.percentile() == quantile) {
        return value.value(TimeUnit.MILLISECONDS);
      }
    }
    return 0;
  }

  /** A function's meters. */
  final class Function {
    private final Tags own;
    private final Counter calls;
    private final Timer timer;
    private final Map<Kind, Counter> errors = new EnumMap<>(Kind.class);
    private FunctionInfo.LastError lastError;

    private Function(String name) {
      own = tags.and("function", name);
      calls = Counter.builder("ragbus.function.calls").tags(own).register(registry);
      timer =
          Timer.builder("ragbus.function.call")
              .description("from arrival to result")
              .tags(own)
              .publishPercentiles(0.5, 0.99)
              .register(registry);
    }

    void called() {
      calls.increment();
    }

    void answered(long nanos) {
      timer.record(nanos, TimeUnit.NANOSECONDS);
    }

    void failed(RagbusException failure) {
      errors
          .computeIfAbsent(
              failure.kind(),
              kind ->
                  Counter.builder("ragbus.function.errors")
                      .tags(own.and("kind", kind.name()))
                      .register(registry))
          .increment();
      lastError = new FunctionInfo.LastError(failure.kind(), failure.detail(), Instant.now());
    }

    FunctionInfo.Usage usage() {
      double failures = errors.values().stream().mapToDouble(Counter::count).sum();
      return new FunctionInfo.Usage(
          (long) calls.count(),
          (long) failures,
          quantileMillis(timer, 0.5),
          quantileMillis(timer, 0.99),
          lastError);
    }

    private List<Meter> meters() {
      List<Meter> meters = new ArrayList<>(errors.values());
      meters.add(calls);
      meters.add(timer);
      return meters;
    }
  }
}
