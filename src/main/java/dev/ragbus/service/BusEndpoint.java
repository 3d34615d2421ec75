// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import dev.ragbus.Addresses;
import dev.ragbus.Embeddings;
import dev.ragbus.FunctionResult;
import dev.ragbus.JsonBodies;
import dev.ragbus.RagbusException;
import dev.ragbus.RagbusException.Kind;
import dev.ragbus.RequestIds;
import dev.ragbus.SparseEmbeddings;
import io.vertx.core.Future;
import io.vertx.core.Promise;
import io.vertx.core.Vertx;
import io.vertx.core.eventbus.DeliveryOptions;
import io.vertx.core.eventbus.Message;
import io.vertx.core.json.JsonObject;
import java.time.Duration;
import java.util.function.Function;
import java.util.function.LongSupplier;

/**
 * One address: reads a request's body, typed or JSON, runs the operation within its deadline, and
 * answers in kind, exactly once. Belongs to the service's event loop.
 *
 * @param <Q> the request
 * @param <R> the reply
 */
final class BusEndpoint<Q extends Record, R extends Record> {
  private static final System.Logger LOG = System.getLogger(BusEndpoint.class.getName());

  /** The queue's own answer to a missed deadline says more, so it goes first. */
  private static final long DEADLINE_GRACE_MILLIS = 10;

  /** What an address does. */
  @FunctionalInterface
  interface Operation<Q, R> {
    Future<R> run(Q request, Call call);
  }

  private final Vertx vertx;
  private final Class<Q> type;
  private final Function<Q, Duration> maxTimeout;
  private final Operation<Q, R> operation;
  private final ServiceMetrics.Operation metrics;
  private final LastRequests requests;
  private final LongSupplier nanoClock;

  BusEndpoint(
      Vertx vertx,
      Class<Q> type,
      Function<Q, Duration> maxTimeout,
      Operation<Q, R> operation,
      ServiceMetrics.Operation metrics,
      LastRequests requests,
      LongSupplier nanoClock) {
    this.vertx = vertx;
    this.type = type;
    this.maxTimeout = maxTimeout;
    this.operation = operation;
    this.metrics = metrics;
    this.requests = requests;
    this.nanoClock = nanoClock;
  }

  /** Serves a message. */
  void handle(Message<Object> message) {
    long arrivedNanos = nanoClock.getAsLong();
    metrics.accepted();
    Phases phases = new Phases(metrics);
    run(message, arrivedNanos, phases)
        .<Object>map(result -> isJson(message) ? json(result) : result)
        .onComplete(
            reply -> {
              if (reply.succeeded()) {
                long nanos = nanoClock.getAsLong() - arrivedNanos;
                metrics.answered(nanos);
                message.reply(reply.result(), timings(phases, nanos));
              } else {
                fail(message, typed(reply.cause()));
              }
            });
  }

  /** With the header that says where the time went, if texts were run and the request is over. */
  private static DeliveryOptions timings(Phases phases, long nanos) {
    DeliveryOptions options = new DeliveryOptions();
    return phases.isOver()
        ? options.addHeader(Addresses.TIMINGS_HEADER, phases.timings(nanos).header())
        : options;
  }

  private Future<R> run(Message<Object> message, long arrivedNanos, Phases phases) {
    try {
      String requestId = requestId(message.headers().get(Addresses.REQUEST_ID_HEADER));
      long number = requests.begun(metrics.name(), requestId);
      return operation(message, requestId, arrivedNanos, phases)
          .onComplete(
              ended -> requests.ended(number, ended.succeeded() ? null : kind(ended.cause())));
    } catch (RuntimeException failure) {
      return Future.failedFuture(failure);
    }
  }

  private Future<R> operation(
      Message<Object> message, String requestId, long arrivedNanos, Phases phases) {
    try {
      String caller = caller(message.headers().get(Addresses.CALLER_HEADER));
      Q request = request(message.body());
      long millis =
          timeoutMillis(message.headers().get(Addresses.TIMEOUT_HEADER), maxTimeout.apply(request));
      String streamAddress = message.headers().get(Addresses.STREAM_ADDRESS_HEADER);
      Call call =
          new Call(
              requestId,
              caller,
              arrivedNanos + millis * 1_000_000,
              streamAddress,
              phases,
              PassTrace.ofMessage(vertx));
      return within(millis, operation.run(request, call));
    } catch (RuntimeException failure) {
      return Future.failedFuture(failure);
    }
  }

  private Q request(Object body) {
    if (type.isInstance(body)) {
      return type.cast(body);
    }
    if (body instanceof JsonObject json) {
      return JsonBodies.parse(json, type);
    }
    throw RagbusException.invalid("the body must be a JSON object or a " + type.getSimpleName());
  }

  private static long timeoutMillis(String header, Duration maxTimeout) {
    if (header == null) {
      return maxTimeout.toMillis();
    }
    try {
      long millis = Long.parseLong(header);
      if (millis > 0) {
        return Math.min(millis, maxTimeout.toMillis());
      }
    } catch (NumberFormatException notANumber) {
      // Refused below, like zero.
    }
    throw RagbusException.invalid(
        "header " + Addresses.TIMEOUT_HEADER + " must be a number of milliseconds above 0");
  }

  private static String caller(String header) {
    if (header != null && header.length() > Addresses.MAX_CALLER_CHARS) {
      throw RagbusException.invalid(
          "header "
              + Addresses.CALLER_HEADER
              + " must have at most "
              + Addresses.MAX_CALLER_CHARS
              + " characters");
    }
    return header;
  }

  private static String requestId(String header) {
    if (header != null && !RequestIds.valid(header)) {
      throw RagbusException.invalid(
          "header " + Addresses.REQUEST_ID_HEADER + " must match " + RequestIds.PATTERN);
    }
    return RequestIds.validOrNew(header);
  }

  /** The result, or TIMEOUT when it is late; late work goes on, its result is dropped. */
  private Future<R> within(long millis, Future<R> work) {
    if (work.isComplete()) {
      return work;
    }
    Promise<R> promise = Promise.promise();
    long timer =
        vertx.setTimer(
            millis + DEADLINE_GRACE_MILLIS,
            id ->
                promise.tryFail(
                    RagbusException.of(
                        Kind.TIMEOUT, "no answer within " + millis + " ms; the work had started")));
    work.onComplete(
        result -> {
          vertx.cancelTimer(timer);
          if (result.succeeded()) {
            promise.tryComplete(result.result());
          } else {
            promise.tryFail(result.cause());
          }
        });
    return promise.future();
  }

  private static boolean isJson(Message<Object> message) {
    return message.body() instanceof JsonObject;
  }

  private static JsonObject json(Record reply) {
    if (reply instanceof Embeddings embeddings) {
      return embeddings.toJson();
    }
    if (reply instanceof SparseEmbeddings embeddings) {
      return embeddings.toJson();
    }
    return reply instanceof FunctionResult result ? result.toJson() : JsonBodies.format(reply);
  }

  /** A failure as ours; one that nobody expected is logged. */
  static RagbusException typed(Throwable failure) {
    if (failure instanceof RagbusException typed) {
      return typed;
    }
    LOG.log(System.Logger.Level.ERROR, "an operation failed unexpectedly", failure);
    return RagbusException.of(Kind.RUNTIME, failure.getClass().getSimpleName());
  }

  private static Kind kind(Throwable failure) {
    return failure instanceof RagbusException typed ? typed.kind() : Kind.RUNTIME;
  }

  private void fail(Message<Object> message, RagbusException failure) {
    metrics.failed(failure.kind());
    if (type.isInstance(message.body())) {
      message.reply(failure);
    } else {
      message.fail(failure.code(), failure.getMessage());
    }
  }
}
