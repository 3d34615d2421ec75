// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import dev.ragbus.python.Engine;
import io.vertx.core.json.JsonObject;
import java.time.Duration;
import java.util.function.LongSupplier;

/**
 * When Python's garbage is collected: every interval, as soon as no text waits; where that does not
 * happen, another interval later all the same, since collecting holds the interpreter lock. Belongs
 * to the service's event loop.
 */
final class GarbageCollection {
  private static final System.Logger LOG = System.getLogger(GarbageCollection.class.getName());

  private final Engine engine;
  private final long intervalNanos;
  private final LongSupplier nanoClock;
  private long lastNanos;
  private boolean running;

  GarbageCollection(Engine engine, Duration interval, LongSupplier nanoClock) {
    this.engine = engine;
    this.intervalNanos = interval.toNanos();
    this.nanoClock = nanoClock;
    this.lastNanos = nanoClock.getAsLong();
  }

  /** Collects if it is time; to be called about once a second. */
  void tick(boolean idle) {
    if (running || !due(nanoClock.getAsLong() - lastNanos, intervalNanos, idle)) {
      return;
    }
    running = true;
    engine
        .control(Engine.Control.COLLECT, new JsonObject())
        .onComplete(
            collected -> {
              running = false;
              lastNanos = nanoClock.getAsLong();
              if (collected.failed()) {
                LOG.log(
                    System.Logger.Level.WARNING, "collecting: {0}", collected.cause().getMessage());
              }
            });
  }

  static boolean due(long sinceNanos, long intervalNanos, boolean idle) {
    return sinceNanos >= intervalNanos && (idle || sinceNanos - intervalNanos >= intervalNanos);
  }
}
