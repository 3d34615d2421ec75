// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import io.vertx.core.Future;
import io.vertx.core.Handler;
import io.vertx.core.streams.ReadStream;

/**
 * A ranking as it is made.
 *
 * <p>It stands still until {@link #handler} or {@link #ranking} is called; set the handler first.
 * After the frame {@link RerankFrame.End} comes the end handler; a stream that fails calls the
 * exception handler instead, with a {@link RagbusException}. Pausing it makes the service wait:
 * what nobody reads is not computed far ahead. The request's time goes on, though, and a stream
 * that has not ended by then fails with {@code TIMEOUT}.
 */
public interface RerankStream extends ReadStream<RerankFrame> {
  /** The request's id. */
  String id();

  /** The ranking when it is complete; without a handler, frames are read and dropped. */
  Future<Ranking> ranking();

  /** Ends the stream and what runs for it; it fails with {@code CANCELLED} unless it has ended. */
  Future<Void> cancel();

  @Override
  RerankStream handler(Handler<RerankFrame> handler);

  @Override
  RerankStream pause();

  @Override
  RerankStream resume();

  @Override
  RerankStream fetch(long amount);

  @Override
  RerankStream endHandler(Handler<Void> endHandler);

  @Override
  RerankStream exceptionHandler(Handler<Throwable> exceptionHandler);
}
