// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.benchmarks;

import dev.ragbus.EmbedRequest;
import dev.ragbus.FunctionSpec;
import dev.ragbus.Ragbus;
import dev.ragbus.service.RagbusVerticle;
import io.vertx.core.Future;
import io.vertx.core.Promise;
import io.vertx.core.VerticleBase;
import io.vertx.core.Vertx;
import io.vertx.core.json.JsonObject;
import java.util.Arrays;
import java.util.function.Supplier;

/**
 * Functions on the event bus: how long {@code 2 + 2} takes, and an embedding beside a function that
 * spins.
 *
 * <p>{@code benchmarks/functions.sh [CALLS]}
 */
final class FunctionBenchmark extends VerticleBase {
  private static final String SPIN =
      "import ragbus\ndef spin():\n    while not ragbus.cancelled():\n        pass\n";

  private final int calls;
  private Ragbus ragbus;

  private FunctionBenchmark(int calls) {
    this.calls = calls;
  }

  public static void main(String[] arguments) throws Exception {
    int calls = arguments.length == 0 ? 20_000 : Integer.parseInt(arguments[0]);
    JsonObject config =
        new JsonObject().put("functions", new JsonObject().put("allow_source", true));
    Vertx vertx = Vertx.vertx();
    int exit = 1;
    try {
      vertx
          .deployVerticle(
              new RagbusVerticle(), new io.vertx.core.DeploymentOptions().setConfig(config))
          .compose(id -> vertx.deployVerticle(new FunctionBenchmark(calls)))
          .toCompletionStage()
          .toCompletableFuture()
          .get();
      exit = 0;
    } finally {
      Runtime.getRuntime().halt(exit);
    }
  }

  @Override
  public Future<?> start() {
    ragbus = Ragbus.create(vertx);
    EmbedRequest query = EmbedRequest.of("How tall is Mont Blanc?");
    Supplier<Future<?>> sum = () -> ragbus.call("sum");
    Supplier<Future<?>> embed = () -> ragbus.embed(query);
    return ragbus
        .register(FunctionSpec.ofCode("sum", "2 + 2"))
        .compose(done -> ragbus.register(FunctionSpec.ofCode("spin", SPIN)))
        .compose(done -> measure("warming up", calls, sum))
        .compose(done -> measure("2 + 2", calls, sum))
        .compose(done -> measure("embed, warming up", calls / 20, embed))
        .compose(done -> measure("embed alone", calls / 20, embed))
        .compose(
            done -> {
              ragbus.withRequestId("spinning").call("spin");
              return measure("embed beside a function that spins", calls / 20, embed);
            })
        .onSuccess(done -> ragbus.cancel("spinning"));
  }

  private Future<Void> measure(String what, int count, Supplier<Future<?>> request) {
    Promise<Void> done = Promise.promise();
    next(what, request, new long[count], 0, done);
    return done.future();
  }

  private void next(
      String what, Supplier<Future<?>> request, long[] nanos, int call, Promise<Void> done) {
    if (call == nanos.length) {
      Arrays.sort(nanos);
      System.out.printf(
          "%s: p50 %.3f ms, p99 %.3f ms, %d calls%n",
          what,
          nanos[nanos.length / 2] / 1e6,
          nanos[(int) (nanos.length * 0.99)] / 1e6,
          nanos.length);
      done.complete();
      return;
    }
    long started = System.nanoTime();
    request
        .get()
        .onSuccess(
            answer -> {
              nanos[call] = System.nanoTime() - started;
              // Not in the reply's own stack, which would grow with every call.
              context.runOnContext(v -> next(what, request, nanos, call + 1, done));
            })
        .onFailure(done::fail);
  }
}
