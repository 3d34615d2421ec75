// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.langchain4j;

import dev.langchain4j.exception.LangChain4jException;
import io.vertx.core.Context;
import io.vertx.core.Future;
import io.vertx.core.ThreadingModel;
import io.vertx.core.Vertx;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;
import java.util.function.Supplier;

/** Waits for what is asynchronous, where a thread may be made to wait. */
final class Blocking {
  private Blocking() {}

  /**
   * The result of a call that is started here; an interrupt cancels it.
   *
   * @param instead what to use on an event loop
   * @throws IllegalStateException on an event loop thread, before anything is started
   */
  static <T> T await(Supplier<CompletableFuture<T>> call, String instead) {
    if (Context.isOnEventLoopThread()) {
      throw new IllegalStateException(
          "this call waits, and "
              + Thread.currentThread().getName()
              + " is an event loop: use "
              + instead
              + " there, or call from a worker or virtual thread");
    }
    Context context = Vertx.currentContext();
    ThreadingModel threading = context == null ? null : context.threadingModel();
    CompletableFuture<T> answer =
        threading == ThreadingModel.WORKER ? offContext(call) : call.get();
    try {
      if (threading == ThreadingModel.VIRTUAL_THREAD && !Context.isOnWorkerThread()) {
        // Lets the verticle's other events run meanwhile, the replies among them.
        Future.fromCompletionStage(answer, context).otherwiseEmpty().await();
      }
      return answer.get();
    } catch (ExecutionException e) {
      throw Failures.of(e.getCause());
    } catch (InterruptedException e) {
      answer.cancel(true);
      Thread.currentThread().interrupt();
      throw new LangChain4jException("interrupted while waiting for Ragbus", e);
    }
  }

  /** A worker's own context would hold replies back until the task that waits for them ends. */
  @SuppressWarnings("FutureReturnValueIgnored") // The one inside is what is returned.
  private static <T> CompletableFuture<T> offContext(Supplier<CompletableFuture<T>> call) {
    try {
      return CompletableFuture.supplyAsync(call, task -> new Thread(task).start()).join();
    } catch (CompletionException e) {
      throw Failures.of(e.getCause());
    }
  }
}
