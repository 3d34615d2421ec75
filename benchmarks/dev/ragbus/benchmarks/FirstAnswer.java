// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.benchmarks;

import dev.ragbus.Ragbus;
import dev.ragbus.service.RagbusVerticle;
import io.vertx.core.Vertx;

/** Deploys the service, prints a line when the first embedding is there, and ends. */
final class FirstAnswer {
  private FirstAnswer() {}

  public static void main(String[] arguments) {
    Vertx vertx = Vertx.vertx();
    vertx
        .deployVerticle(new RagbusVerticle())
        .compose(id -> Ragbus.create(vertx).embed("How tall is Mont Blanc?"))
        .onSuccess(vectors -> System.out.println("answered " + vectors.dimensions()))
        .onFailure(Throwable::printStackTrace)
        .onComplete(done -> Runtime.getRuntime().halt(done.succeeded() ? 0 : 1));
  }
}
