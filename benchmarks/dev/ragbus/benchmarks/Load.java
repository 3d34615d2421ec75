// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.benchmarks;

import io.vertx.core.Future;
import io.vertx.core.Promise;
import io.vertx.core.json.JsonObject;
import java.util.Arrays;
import java.util.function.IntFunction;

/**
 * Requests, by number, that callers take one after another until none is left. Runs on one context.
 */
final class Load {
  private final IntFunction<Future<?>> send;
  private final long[] nanos;
  private final Promise<Load> done = Promise.promise();
  private int next;
  private int answered;
  private long startedNanos;
  private long startedCpuNanos;
  private double seconds;
  private double cpuSeconds;

  private Load(int requests, IntFunction<Future<?>> send) {
    this.send = send;
    this.nanos = new long[requests];
  }

  /** Sends so many requests, at most {@code callers} of them under way at once; fails with one. */
  static Future<Load> run(int requests, int callers, IntFunction<Future<?>> send) {
    Load load = new Load(requests, send);
    load.startedCpuNanos = cpuNanos();
    load.startedNanos = System.nanoTime();
    for (int caller = 0; caller < callers; caller++) {
      load.sendNext();
    }
    return load.done.future();
  }

  private void sendNext() {
    if (next == nanos.length) {
      return;
    }
    int request = next++;
    long sentNanos = System.nanoTime();
    send.apply(request)
        .onSuccess(
            reply -> {
              nanos[request] = System.nanoTime() - sentNanos;
              if (++answered == nanos.length) {
                seconds = (System.nanoTime() - startedNanos) / 1e9;
                cpuSeconds = (cpuNanos() - startedCpuNanos) / 1e9;
                Arrays.sort(nanos);
                done.complete(this);
              }
              sendNext();
            })
        .onFailure(done::tryFail);
  }

  double slowestMillis() {
    return nanos[nanos.length - 1] / 1e6;
  }

  /** Texts a second, times, and the processor time of this process. */
  JsonObject report(int texts) {
    return new JsonObject()
        .put("texts_s", texts / seconds)
        .put("seconds", seconds)
        .put("cpu_seconds", cpuSeconds)
        .put("p50_ms", nanos[nanos.length / 2] / 1e6)
        .put("p99_ms", nanos[(int) (nanos.length * 0.99)] / 1e6)
        .put("requests", nanos.length);
  }

  /** What all threads of this process have run. */
  static long cpuNanos() {
    return ProcessHandle.current().info().totalCpuDuration().orElseThrow().toNanos();
  }
}
