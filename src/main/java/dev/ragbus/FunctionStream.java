// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import io.vertx.core.Future;
import io.vertx.core.Handler;
import io.vertx.core.streams.ReadStream;

/**
 * The items that a generator makes, as it makes them, as JSON shapes; a NumPy array is lists.
 *
 * <p>It stands still until {@link #handler} is called. After the last item comes the end handler; a
 * stream that fails calls the exception handler instead, with a {@link RagbusException}. Pausing it
 * makes the generator wait, a few items ahead of what is read. The call's time goes on, though, and
 * a stream that has not ended by then fails with {@code TIMEOUT}.
 */
public interface FunctionStream extends ReadStream<Object> {
  /** The request's id. */
  String id();

  /** Completes when the last item has been given to the handler, or fails as the stream does. */
  Future<Void> ended();

  /** Ends the stream and its generator; it fails with {@code CANCELLED} unless it has ended. */
  Future<Void> cancel();

  @Override
  FunctionStream handler(Handler<Object> handler);

  @Override
  FunctionStream pause();

  @Override
  FunctionStream resume();

  @Override
  FunctionStream fetch(long amount);

  @Override
  FunctionStream endHandler(Handler<Void> endHandler);

  @Override
  FunctionStream exceptionHandler(Handler<Throwable> exceptionHandler);
}
