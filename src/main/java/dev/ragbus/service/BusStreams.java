// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import dev.ragbus.RagbusException;
import io.vertx.core.Future;
import io.vertx.core.Promise;
import io.vertx.core.Vertx;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.function.LongSupplier;

/** The streams that a deployment is writing. Belongs to the service's event loop. */
final class BusStreams {
  private final Vertx vertx;
  private final LongSupplier nanoClock;
  private final Set<BusStream> open = new HashSet<>();
  private final List<Promise<Void>> closedWaiters = new ArrayList<>();

  BusStreams(Vertx vertx, LongSupplier nanoClock) {
    this.vertx = vertx;
    this.nanoClock = nanoClock;
  }

  /**
   * Opens the stream that a request asked for; the request is then to be answered with {@link
   * BusStream#control}. Its address is checked before, by {@link BusStream#checkAddress}.
   */
  BusStream open(Call call) {
    BusStream stream = new BusStream(vertx, call, nanoClock, this::closed);
    open.add(stream);
    return stream;
  }

  private void closed(BusStream stream) {
    open.remove(stream);
    if (open.isEmpty()) {
      List<Promise<Void>> waiters = List.copyOf(closedWaiters);
      closedWaiters.clear();
      waiters.forEach(Promise::complete);
    }
  }

  int count() {
    return open.size();
  }

  /** Completes when no stream is open. */
  Future<Void> closed() {
    if (open.isEmpty()) {
      return Future.succeededFuture();
    }
    Promise<Void> promise = Promise.promise();
    closedWaiters.add(promise);
    return promise.future();
  }

  /** Fails every stream that is open. */
  void failAll(RagbusException failure) {
    List.copyOf(open).forEach(stream -> stream.breakOff(failure));
  }
}
