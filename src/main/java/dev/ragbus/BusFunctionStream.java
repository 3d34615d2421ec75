// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import io.vertx.core.Future;
import io.vertx.core.Handler;
import io.vertx.core.json.JsonObject;

/** {@link FunctionStream} over the event bus. */
final class BusFunctionStream implements FunctionStream {
  private final FrameStream<JsonObject> frames;

  BusFunctionStream(FrameStream<JsonObject> frames) {
    this.frames = frames;
  }

  @Override
  public String id() {
    return frames.id();
  }

  @Override
  public Future<Void> ended() {
    return frames.last().mapEmpty();
  }

  @Override
  public Future<Void> cancel() {
    return frames.cancel();
  }

  @Override
  public FunctionStream handler(Handler<Object> handler) {
    frames.handler(
        handler == null
            ? null
            : frame -> {
              if ("item".equals(frame.getString("type"))) {
                handler.handle(FunctionValues.copy("value", frame.getValue("value")));
              }
            });
    return this;
  }

  @Override
  public FunctionStream pause() {
    frames.pause();
    return this;
  }

  @Override
  public FunctionStream resume() {
    frames.resume();
    return this;
  }

  @Override
  public FunctionStream fetch(long amount) {
    frames.fetch(amount);
    return this;
  }

  @Override
  public FunctionStream endHandler(Handler<Void> endHandler) {
    frames.endHandler(endHandler);
    return this;
  }

  @Override
  public FunctionStream exceptionHandler(Handler<Throwable> exceptionHandler) {
    frames.exceptionHandler(exceptionHandler);
    return this;
  }
}
