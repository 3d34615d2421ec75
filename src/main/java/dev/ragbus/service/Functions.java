// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import dev.ragbus.FunctionCall;
import dev.ragbus.FunctionInfo;
import dev.ragbus.FunctionList;
import dev.ragbus.FunctionName;
import dev.ragbus.FunctionQuery;
import dev.ragbus.FunctionResult;
import dev.ragbus.FunctionSpec;
import dev.ragbus.NoArguments;
import dev.ragbus.RagbusException;
import dev.ragbus.RagbusException.Kind;
import dev.ragbus.RagbusOptions;
import dev.ragbus.Stats;
import dev.ragbus.StreamControl;
import dev.ragbus.python.FunctionLanes;
import dev.ragbus.service.FunctionQueue.Terms;
import dev.ragbus.service.FunctionRegistry.Registered;
import dev.ragbus.service.FunctionSchema.Violation;
import io.vertx.core.Future;
import io.vertx.core.Promise;
import io.vertx.core.Vertx;
import io.vertx.core.json.JsonObject;
import java.time.Duration;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.LongSupplier;

/** What the service does about functions. Belongs to the service's event loop. */
final class Functions {
  /** Calls have numbers of their own in the whole process, since Python is one. */
  private static final AtomicLong CALLS = new AtomicLong();

  private final FunctionLanes lanes;
  private final FunctionQueue queue;
  private final FunctionRegistry registry;
  private final Operations operations;
  private final BusStreams streams;
  private final Map<String, Set<ItemStream>> itemStreams = new HashMap<>();
  private final LongSupplier nanoClock;

  Functions(
      Vertx vertx,
      FunctionLanes lanes,
      Operations operations,
      BusStreams streams,
      FunctionSchema.Compiler schemas,
      RagbusOptions options,
      ServiceMetrics metrics,
      LastRequests requests,
      LongSupplier nanoClock) {
    this.lanes = lanes;
    this.queue = new FunctionQueue(vertx, lanes, options, requests, nanoClock);
    this.registry = new FunctionRegistry(lanes, queue, schemas, options, metrics, nanoClock);
    this.operations = operations;
    this.streams = streams;
    this.nanoClock = nanoClock;
  }

  /** Registers what is to be registered at start. */
  Future<Void> start() {
    return registry.start();
  }

  Future<FunctionInfo> register(FunctionSpec spec, Call call) {
    return registry.register(spec, call);
  }

  Future<FunctionName> unregister(FunctionName name, Call call) {
    return Future.succeededFuture(registry.unregister(name));
  }

  Future<FunctionInfo> get(FunctionQuery query, Call call) {
    return registry.describe(query);
  }

  Future<FunctionList> list(NoArguments none, Call call) {
    return Future.succeededFuture(registry.list());
  }

  /** The names of all functions. */
  List<String> names() {
    return registry.list().functions().stream().map(FunctionInfo::name).toList();
  }

  /** The time that a call has when it brings none, and the most it may bring. */
  Duration timeout(String function) {
    return registry.timeout(function);
  }

  Future<FunctionResult> call(FunctionCall request, Call call) {
    Registered function = registry.get(request.name());
    long arrivedNanos = nanoClock.getAsLong();
    function.meter().called();
    return result(function, request, call)
        .onSuccess(done -> function.meter().answered(nanoClock.getAsLong() - arrivedNanos))
        .onFailure(
            failure -> {
              if (failure instanceof RagbusException typed) {
                function.meter().failed(typed);
              }
            });
  }

  private Future<FunctionResult> result(Registered function, FunctionCall request, Call call) {
    try {
      return function.plain() == null
          ? ofPython(function, request, call)
          : ofRagbus(function, request, call);
    } catch (RagbusException refused) {
      return Future.failedFuture(refused);
    }
  }

  private Future<FunctionResult> ofRagbus(Registered function, FunctionCall request, Call call) {
    BoundArguments bound = BoundArguments.of(request.withoutTensors(), function.parameters(), true);
    bound.check(function.input());
    return function.plain().run(operations, new JsonObject(bound.values()), call);
  }

  private Future<FunctionResult> ofPython(Registered function, FunctionCall request, Call call) {
    if (function.input() != null) {
      BoundArguments.check(request, function.parameters(), function.input());
    }
    long number = CALLS.incrementAndGet();
    FunctionLanes.Run run = run(function, request, call, number);
    Terms terms = terms(function, call, number);
    function.acquire();
    return queue
        .submit(terms, lane -> lanes.run(lane, run))
        .map(value -> checked(function, new FunctionResult(value)))
        .onComplete(done -> function.release());
  }

  private static Terms terms(Registered function, Call call, long number) {
    return new Terms(
        call.requestId(), call.deadlineNanos(), number, function.hardCancel(), Terms.ANY_LANE);
  }

  /** Starts a generator, whose items go to the call's stream address. */
  Future<StreamControl> stream(FunctionCall request, Call call) {
    BusStream.checkAddress(call.streamAddress());
    Registered function = registry.get(request.name());
    if (function.plain() != null) {
      throw RagbusException.invalid("'" + function.name() + "' makes no items to stream");
    }
    if (function.input() != null) {
      BoundArguments.check(request, function.parameters(), function.input());
    }
    long arrivedNanos = nanoClock.getAsLong();
    long number = CALLS.incrementAndGet();
    FunctionLanes.Run run = run(function, request, call, number);
    Terms terms = terms(function, call, number);
    function.acquire();
    function.meter().called();
    Promise<Integer> opened = Promise.promise();
    queue
        .submit(
            terms,
            lane ->
                lanes
                    .open(lane, run)
                    .map(lane)
                    .onSuccess(
                        open -> {
                          if (opened.future().isComplete()) {
                            queue.submitLast(terms.onLane(lane), own -> lanes.close(own, run));
                          }
                        }))
        .onComplete(opened);
    return opened
        .future()
        .onFailure(refused -> streamEnded(function, arrivedNanos, BusEndpoint.typed(refused)))
        .compose(lane -> items(function, run, terms.onLane(lane), call, arrivedNanos));
  }

  private Future<StreamControl> items(
      Registered function, FunctionLanes.Run run, Terms terms, Call call, long arrivedNanos) {
    BusStream stream = streams.open(call);
    AtomicReference<ItemStream> items = new AtomicReference<>();
    items.set(
        new ItemStream(
            queue,
            lanes,
            run,
            terms,
            stream,
            item -> checked(function, new FunctionResult(item)).result(),
            failure -> {
              itemStreams.get(call.requestId()).remove(items.get());
              itemStreams.computeIfPresent(
                  call.requestId(), (id, left) -> left.isEmpty() ? null : left);
              streamEnded(function, arrivedNanos, failure);
            }));
    itemStreams.computeIfAbsent(call.requestId(), id -> new HashSet<>()).add(items.get());
    items.get().start(function.name());
    return stream.control();
  }

  private void streamEnded(Registered function, long arrivedNanos, RagbusException failure) {
    function.release();
    if (failure == null) {
      function.meter().answered(nanoClock.getAsLong() - arrivedNanos);
    } else {
      function.meter().failed(failure);
    }
  }

  private static FunctionLanes.Run run(
      Registered function, FunctionCall request, Call call, long number) {
    return new FunctionLanes.Run(
        function.id(),
        number,
        call.deadlineNanos(),
        call.requestId(),
        Map.of("args", request.positional(), "kwargs", request.kwargs()));
  }

  private static FunctionResult checked(Registered function, FunctionResult result) {
    if (function.output() != null) {
      Violation violation = function.output().violation(result.withoutTensors().result());
      if (violation != null) {
        throw RagbusException.of(
            Kind.TYPE_CONVERSION,
            "result"
                + FunctionSchema.written(violation.path())
                + " breaks the output schema: "
                + violation.problem());
      }
    }
    return result;
  }

  /** Drops the calls of a request id. */
  void cancel(String requestId) {
    queue.cancel(requestId);
    for (ItemStream items : List.copyOf(itemStreams.getOrDefault(requestId, Set.of()))) {
      items.cancel(RagbusException.of(Kind.CANCELLED, "the caller cancelled " + requestId));
    }
  }

  /** Completes when nobody is left to be answered. */
  Future<Void> drained() {
    return queue.drained();
  }

  /** Fails every call at once. */
  void failAll(RagbusException failure) {
    queue.failAll(failure);
  }

  /** Has Python forget them all. */
  void close() {
    registry.close();
  }

  /** Counters; those of Python's cache are asked for. */
  Future<Stats.Functions> stats() {
    return lanes
        .cache()
        .map(
            cache ->
                new Stats.Functions(
                    queue.waiting(),
                    queue.running(),
                    queue.dropped(),
                    lanes.hardCancelled(),
                    cache.getLong("cache_hits"),
                    cache.getLong("cache_misses"),
                    registry.usage()));
  }
}
