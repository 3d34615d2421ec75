// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import dev.ragbus.Addresses;
import dev.ragbus.RagbusException;
import dev.ragbus.RagbusException.Kind;
import dev.ragbus.StreamControl;
import dev.ragbus.StreamError;
import io.vertx.core.Future;
import io.vertx.core.Handler;
import io.vertx.core.Vertx;
import io.vertx.core.eventbus.Message;
import io.vertx.core.eventbus.MessageConsumer;
import io.vertx.core.eventbus.MessageProducer;
import io.vertx.core.json.JsonObject;
import io.vertx.core.streams.WriteStream;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.UUID;
import java.util.function.Consumer;
import java.util.function.LongSupplier;
import java.util.regex.Pattern;

/**
 * One stream to a caller on the event bus: frames go out as far as there is credit and wait here
 * otherwise.
 *
 * <p>Its owner writes frames, minds {@link #writeQueueFull}, and ends it with a last frame, {@code
 * end} or {@code error}. The exception handler is called, once and before that, when nobody wants
 * the frames any more: the caller cancelled or is gone ({@code CANCELLED}), the deadline passed
 * ({@code TIMEOUT}), or the service shuts down. Then the caller has been told, nothing is written
 * any more, and all there is left to do is to stop the work. However it ends, its consumer and its
 * timer are gone. Belongs to the service's event loop.
 */
final class BusStream implements WriteStream<JsonObject> {
  private static final Pattern ADDRESS = Pattern.compile("[A-Za-z0-9._:/-]{1,255}");

  /** The answer of the work itself to a missed deadline says more, so it goes first. */
  private static final long DEADLINE_GRACE_MILLIS = 20;

  private static final int BUFFERED_FRAMES = 16;

  private final Vertx vertx;
  private final String id;
  private final MessageProducer<JsonObject> producer;
  private final MessageConsumer<JsonObject> control;
  private final Consumer<BusStream> onClosed;
  private final long timer;
  private final Deque<JsonObject> waiting = new ArrayDeque<>();
  private int maxWaiting = BUFFERED_FRAMES;
  private long credit;
  private boolean wasFull;
  private boolean ending;
  private boolean closed;
  private Runnable onFull = () -> {};
  private Handler<Void> drainHandler;
  private Handler<Throwable> exceptionHandler;

  /**
   * Checks a stream address.
   *
   * @throws RagbusException {@code INVALID}
   */
  static void checkAddress(String address) {
    if (address == null || !ADDRESS.matcher(address).matches()) {
      throw RagbusException.invalid(
          "header "
              + Addresses.STREAM_ADDRESS_HEADER
              + " must be an address of the caller that matches "
              + ADDRESS);
    }
  }

  BusStream(Vertx vertx, Call call, LongSupplier nanoClock, Consumer<BusStream> onClosed) {
    this.vertx = vertx;
    this.id = call.requestId();
    this.onClosed = onClosed;
    this.producer = vertx.eventBus().sender(call.streamAddress());
    this.control = vertx.eventBus().consumer("ragbus.control." + UUID.randomUUID());
    control.handler(this::control);
    long millisLeft = Math.max(0, (call.deadlineNanos() - nanoClock.getAsLong()) / 1_000_000);
    this.timer =
        vertx.setTimer(
            millisLeft + DEADLINE_GRACE_MILLIS,
            fired ->
                breakOff(
                    RagbusException.of(
                        Kind.TIMEOUT, "the deadline passed before the stream had been read")));
    // The caller learns first that the request was accepted.
    vertx.runOnContext(v -> grant(StreamControl.INITIAL_CREDIT));
  }

  /** What the request is answered with, once the control address is known to the whole cluster. */
  Future<StreamControl> control() {
    return control.completion().map(v -> new StreamControl(id, control.address()));
  }

  private void control(Message<JsonObject> message) {
    Object credit = message.body().getValue("credit");
    if (Boolean.TRUE.equals(message.body().getValue("cancel"))) {
      breakOff(RagbusException.of(Kind.CANCELLED, "the caller cancelled " + id));
    } else if (credit instanceof Number frames && frames.longValue() > 0) {
      grant(Math.min(frames.longValue(), Integer.MAX_VALUE));
    }
  }

  private void grant(long frames) {
    credit += frames;
    flush();
  }

  @Override
  public Future<Void> write(JsonObject frame) {
    if (!closed) {
      waiting.add(frame);
      flush();
      if (!closed && !wasFull && writeQueueFull()) {
        wasFull = true;
        onFull.run();
      }
    }
    return Future.succeededFuture();
  }

  /** Ends the stream when the frames written are sent. */
  @Override
  public Future<Void> end() {
    ending = true;
    flush();
    return Future.succeededFuture();
  }

  /** Ends the stream with the frame {@code error}, after the frames written. */
  void fail(RagbusException failure) {
    write(StreamError.of(id, failure).toJson());
    end();
  }

  /** Drops the stream: the request is refused after all. */
  void discard() {
    close();
  }

  /** Ends the stream at once, with the frame {@code error} if it can still be had. */
  void breakOff(RagbusException failure) {
    if (closed) {
      return;
    }
    producer.write(StreamError.of(id, failure).toJson());
    breakOffSilently(failure);
  }

  private void breakOffSilently(RagbusException failure) {
    if (closed) {
      return;
    }
    boolean wanted = !ending;
    close();
    if (wanted && exceptionHandler != null) {
      exceptionHandler.handle(failure);
    }
  }

  private void flush() {
    while (!closed && credit > 0 && !waiting.isEmpty()) {
      credit--;
      producer
          .write(waiting.poll())
          .onFailure(
              nobody ->
                  breakOffSilently(
                      RagbusException.of(Kind.CANCELLED, "nobody reads the stream of " + id)));
    }
    if (closed) {
      return;
    }
    if (ending && waiting.isEmpty()) {
      close();
    } else if (wasFull && waiting.size() <= maxWaiting / 2) {
      wasFull = false;
      if (drainHandler != null) {
        drainHandler.handle(null);
      }
    }
  }

  private void close() {
    closed = true;
    waiting.clear();
    vertx.cancelTimer(timer);
    control.unregister();
    producer.close();
    onClosed.accept(this);
  }

  @Override
  public boolean writeQueueFull() {
    return waiting.size() >= maxWaiting;
  }

  @Override
  public BusStream setWriteQueueMaxSize(int maxSize) {
    maxWaiting = maxSize;
    return this;
  }

  /** What to do when {@link #writeQueueFull} begins to hold. */
  BusStream onFull(Runnable action) {
    onFull = action;
    return this;
  }

  @Override
  public BusStream drainHandler(Handler<Void> handler) {
    drainHandler = handler;
    return this;
  }

  @Override
  public BusStream exceptionHandler(Handler<Throwable> handler) {
    exceptionHandler = handler;
    return this;
  }
}
