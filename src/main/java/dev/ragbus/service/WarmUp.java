// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import dev.ragbus.python.Engine;
import dev.ragbus.python.Engine.ForwardCall;
import dev.ragbus.python.Engine.TokenRow;
import io.vertx.core.Future;
import java.util.ArrayList;
import java.util.List;

/**
 * Runs common shapes once, on one lane alone and then on every lane, so that the first callers find
 * them ready.
 */
final class WarmUp {
  private static final int[] WIDTHS = {8, 16, 32, 64};

  private WarmUp() {}

  static Future<Void> run(Engine engine, Engine.Model model) {
    return passes(engine, model, 0, true)
        .compose(
            alone -> {
              List<Future<?>> lanes = new ArrayList<>();
              for (int lane = 0; lane < engine.inferenceLanes(); lane++) {
                lanes.add(passes(engine, model, lane, false));
              }
              return Future.all(lanes).mapEmpty();
            });
  }

  private static Future<?> passes(Engine engine, Engine.Model model, int lane, boolean alone) {
    Future<?> last = Future.succeededFuture();
    for (int width : WIDTHS) {
      int own = Math.min(width, model.maxTokens());
      last = last.compose(v -> engine.forward(lane, call(model, own, alone), Long.MAX_VALUE));
    }
    return last;
  }

  private static ForwardCall call(Engine.Model model, int width, boolean alone) {
    int[] ids = new int[width];
    java.util.Arrays.fill(ids, model.padId());
    return ForwardCall.of(model, List.of(new TokenRow(ids, 0, width, width, 0, true)), alone);
  }
}
