// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import dev.ragbus.RagbusException.Kind;
import io.vertx.core.Context;
import io.vertx.core.Future;
import io.vertx.core.Handler;
import io.vertx.core.Promise;
import io.vertx.core.Vertx;
import io.vertx.core.eventbus.Message;
import io.vertx.core.eventbus.MessageConsumer;
import io.vertx.core.json.JsonObject;
import io.vertx.core.streams.ReadStream;
import java.util.UUID;
import java.util.function.Function;

/**
 * The frames of one stream on the event bus, as its caller reads them.
 *
 * <p>It stands still until there is a handler. Every frame but the error is given to the handler;
 * after the frame {@code end} comes the end handler, or, for whatever reason the stream fails, the
 * exception handler alone. What is paused is not asked for: credit for more frames is sent as
 * frames are handed over.
 *
 * <p>Any thread may call it; handlers are called on the context it was made on.
 *
 * @param <F> the frames
 */
final class FrameStream<F> implements ReadStream<F> {
  private static final int CREDIT_STEP = StreamControl.INITIAL_CREDIT / 2;

  private final Vertx vertx;
  private final Context context;
  private final Function<JsonObject, F> reader;
  private final MessageConsumer<JsonObject> consumer;
  private final Promise<F> last;

  private volatile Handler<F> handler;
  private volatile Handler<Void> endHandler;
  private volatile Handler<Throwable> exceptionHandler;
  private volatile boolean paused;
  private volatile StreamControl accepted;

  // Of the context alone.
  private long timer;
  private int handedOver;
  private boolean over;

  /**
   * Listens on an address of its own.
   *
   * @param reader makes a frame of its JSON
   */
  FrameStream(Vertx vertx, Function<JsonObject, F> reader) {
    this.vertx = vertx;
    this.context = vertx.getOrCreateContext();
    this.reader = reader;
    this.last = Promise.promise();
    this.consumer = vertx.eventBus().consumer("ragbus.stream." + UUID.randomUUID());
    consumer.pause();
    consumer.handler(this::receive);
  }

  /** Completes when frames can be received. */
  Future<Void> listening() {
    return consumer.completion();
  }

  /** Where frames are to be sent. */
  String address() {
    return consumer.address();
  }

  /**
   * The request was accepted.
   *
   * @param millisLeft how long until the stream must have ended
   */
  FrameStream<F> accepted(StreamControl accepted, long millisLeft) {
    this.accepted = accepted;
    context.runOnContext(
        v ->
            timer =
                vertx.setTimer(
                    millisLeft,
                    id -> {
                      tellCancel();
                      fail(RagbusException.of(Kind.TIMEOUT, "the stream did not end in time"));
                    }));
    return this;
  }

  /** The request's id. */
  String id() {
    return accepted.id();
  }

  /** The request was refused. */
  void refused() {
    context.runOnContext(v -> close());
  }

  /** The frame {@code end}, or the failure. */
  Future<F> last() {
    return last.future();
  }

  /** Ends the stream here and its work there; completes when this end is closed. */
  Future<Void> cancel() {
    Promise<Void> done = Promise.promise();
    context.runOnContext(
        v -> {
          if (!over) {
            tellCancel();
            fail(RagbusException.of(Kind.CANCELLED, "the caller cancelled"));
          }
          done.complete();
        });
    return done.future();
  }

  private void tellCancel() {
    vertx.eventBus().send(accepted.control(), new JsonObject().put("cancel", true));
  }

  private void receive(Message<JsonObject> message) {
    if (over) {
      return;
    }
    JsonObject json = message.body();
    F frame;
    try {
      if (StreamError.TYPE.equals(json.getString("type"))) {
        fail(JsonBodies.parseFrame(json, StreamError.class).toException());
        return;
      }
      frame = reader.apply(json);
    } catch (RagbusException unreadable) {
      tellCancel();
      fail(
          RagbusException.of(Kind.SERIALIZATION, "a frame cannot be read: " + unreadable.detail()));
      return;
    }
    if ("end".equals(json.getString("type"))) {
      end(frame);
    } else {
      if (++handedOver % CREDIT_STEP == 0) {
        vertx.eventBus().send(accepted.control(), new JsonObject().put("credit", CREDIT_STEP));
      }
      handOver(frame);
    }
  }

  private void handOver(F frame) {
    Handler<F> to = handler;
    if (to != null) {
      to.handle(frame);
    }
  }

  private void end(F frame) {
    close();
    try {
      handOver(frame);
    } finally {
      last.complete(frame);
      if (endHandler != null) {
        endHandler.handle(null);
      }
    }
  }

  private void fail(RagbusException failure) {
    if (over) {
      return;
    }
    close();
    last.fail(failure);
    if (exceptionHandler != null) {
      exceptionHandler.handle(failure);
    }
  }

  private void close() {
    over = true;
    vertx.cancelTimer(timer);
    consumer.unregister();
  }

  @Override
  public FrameStream<F> handler(Handler<F> handler) {
    this.handler = handler;
    if (handler == null) {
      consumer.pause();
    } else if (!paused) {
      consumer.resume();
    }
    return this;
  }

  @Override
  public FrameStream<F> pause() {
    paused = true;
    consumer.pause();
    return this;
  }

  @Override
  public FrameStream<F> resume() {
    paused = false;
    if (handler != null) {
      consumer.resume();
    }
    return this;
  }

  @Override
  public FrameStream<F> fetch(long amount) {
    if (handler != null) {
      consumer.fetch(amount);
    }
    return this;
  }

  @Override
  public FrameStream<F> endHandler(Handler<Void> endHandler) {
    this.endHandler = endHandler;
    return this;
  }

  @Override
  public FrameStream<F> exceptionHandler(Handler<Throwable> exceptionHandler) {
    this.exceptionHandler = exceptionHandler;
    return this;
  }
}
