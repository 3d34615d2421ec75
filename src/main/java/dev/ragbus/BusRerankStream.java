// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import io.vertx.core.Future;
import io.vertx.core.Handler;

/** {@link RerankStream} over the event bus. */
final class BusRerankStream implements RerankStream {
  private final FrameStream<RerankFrame> frames;
  private final String query;

  /** Of the first frame, which is read before the last. */
  private volatile RerankFrame.Start start;

  private volatile boolean hasHandler;

  BusRerankStream(FrameStream<RerankFrame> frames, String query) {
    this.frames = frames;
    this.query = query;
  }

  @Override
  public String id() {
    return frames.id();
  }

  @Override
  public Future<Ranking> ranking() {
    if (!hasHandler) {
      handler(frame -> {});
    }
    return frames.last().map(last -> ranking((RerankFrame.End) last));
  }

  private Ranking ranking(RerankFrame.End end) {
    return new Ranking(end.rankedResults(), start.model(), start.method(), query, end.usage());
  }

  @Override
  public Future<Void> cancel() {
    return frames.cancel();
  }

  @Override
  public RerankStream handler(Handler<RerankFrame> handler) {
    hasHandler = handler != null;
    frames.handler(
        handler == null
            ? null
            : frame -> {
              if (frame instanceof RerankFrame.Start first) {
                start = first;
              }
              handler.handle(frame);
            });
    return this;
  }

  @Override
  public RerankStream pause() {
    frames.pause();
    return this;
  }

  @Override
  public RerankStream resume() {
    frames.resume();
    return this;
  }

  @Override
  public RerankStream fetch(long amount) {
    frames.fetch(amount);
    return this;
  }

  @Override
  public RerankStream endHandler(Handler<Void> endHandler) {
    frames.endHandler(endHandler);
    return this;
  }

  @Override
  public RerankStream exceptionHandler(Handler<Throwable> exceptionHandler) {
    frames.exceptionHandler(exceptionHandler);
    return this;
  }
}
