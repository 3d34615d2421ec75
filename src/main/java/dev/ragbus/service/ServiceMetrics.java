package dev.ragbus.service;

import dev.ragbus.FunctionInfo;
import dev.ragbus.ModelInfo;
import dev.ragbus.RagbusException;
import dev.ragbus.RagbusException.Kind;
import dev.ragbus.Stats;
import io.micrometer.core.instrument.Counter;
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
import java.time.Instant;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.function.ToDoubleFunction;

/**
 * A deployment's meters: kept in a registry of its own, for {@code rag.stats}, and in the
 * application's where Vert.x has one. Belongs to the service's event loop; meters are read
 * anywhere.
 */
final class ServiceMetrics implements AutoCloseable {
  private final CompositeMeterRegistry registry = new CompositeMeterRegistry();
  private final Tags tags;
  private final Map<String, Operation> operations = new LinkedHashMap<>();
  private final MultiGauge modelMemory;
  private final Map<String, Function> functions = new LinkedHashMap<>();
  private volatile Stats.Functions functionTotals = new Stats.Functions(0, 0, 0, 0, 0, 0, Map.of());
  private volatile int abandonedLanes;
  private volatile Stats.Queue queue = new Stats.Queue(0, 0, 0, 0, 0, 0, 0);
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
    counter("ragbus.batches", of -> of.queue.batches());
    counter("ragbus.batch.rows", of -> of.queue.rows());
    counter("ragbus.batch.tokens.real", of -> of.queue.realTokens());
    counter("ragbus.batch.tokens.padded", of -> of.queue.paddedTokens());
    counter("ragbus.rows.dropped", of -> of.queue.dropped());
    counter("ragbus.model.hits", of -> of.modelCache.hits());
    counter("ragbus.model.misses", of -> of.modelCache.misses());
    counter("ragbus.model.evictions", of -> of.modelCache.evictions());
    counter("ragbus.model.loads.failed", of -> of.modelCache.failedLoads());
    counter("ragbus.model.loads.cancelled", of -> of.modelCache.cancelledLoads());
    gauge("ragbus.function.waiting", of -> of.functionTotals.waiting());
    gauge("ragbus.function.running", of -> of.functionTotals.running());
    gauge("ragbus.lanes.abandoned", of -> of.abandonedLanes);
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
    modelMemory = MultiGauge.builder("ragbus.model.memory").baseUnit("bytes").register(registry);
  }

  private void gauge(String name, ToDoubleFunction<ServiceMetrics> value) {
    Gauge.builder(name, this, value).tags(tags).register(registry);
  }

  private void counter(String name, ToDoubleFunction<ServiceMetrics> value) {
    FunctionCounter.builder(name, this, value).tags(tags).register(registry);
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

  /** Takes what there is to know of functions, and how many threads are lost. */
  void observe(Stats.Functions current, int abandoned) {
    functionTotals = current;
    abandonedLanes = abandoned;
  }

  /** The meters of an operation. */
  Operation operation(String name) {
    return operations.computeIfAbsent(name, Operation::new);
  }

  Map<String, Stats.Operation> stats() {
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

  /** An operation's meters. */
  final class Operation {
    private final Timer timer;
    private final Counter accepted;
    private final String name;
    private final Map<Kind, Counter> failed = new EnumMap<>(Kind.class);

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
    }

    void accepted() {
      accepted.increment();
    }

    void answered(long nanos) {
      timer.record(nanos, TimeUnit.NANOSECONDS);
    }

    void failed(Kind kind) {
      failed
          .computeIfAbsent(
              kind,
              each ->
                  Counter.builder("ragbus.failures")
                      .tags(tags.and("operation", name, "kind", each.name()))
                      .register(registry))
          .increment();
    }

    private Stats.Operation stats() {
      Map<String, Long> failures = new LinkedHashMap<>();
      failed.forEach((kind, counter) -> failures.put(kind.name(), (long) counter.count()));
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
