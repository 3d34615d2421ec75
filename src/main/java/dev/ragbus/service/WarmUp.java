// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import dev.ragbus.python.Engine;
import dev.ragbus.python.Engine.ForwardCall;
import dev.ragbus.python.Engine.TokenRow;
import io.vertx.core.Future;
import java.util.ArrayList;
import java.util.List;

/** Runs common shapes once on every lane, so that the first callers find them ready. */
final class WarmUp {
  private static final int[] WIDTHS = {8, 16, 32, 64};

  private WarmUp() {}

  static Future<Void> run(Engine engine, Engine.Model model) {
    List<Future<?>> lanes = new ArrayList<>();
    for (int lane = 0; lane < engine.inferenceLanes(); lane++) {
      int own = lane;
      Future<?> last = Future.succeededFuture();
      for (int width : WIDTHS) {
        last = last.compose(v -> pass(engine, model, own, Math.min(width, model.maxTokens())));
      }
      lanes.add(last);
    }
    return Future.all(lanes).mapEmpty();
  }

  private static Future<?> pass(Engine engine, Engine.Model model, int lane, int width) {
    int[] ids = new int[width];
    java.util.Arrays.fill(ids, model.padId());
    TokenRow row = new TokenRow(ids, 0, width, width, 0, true);
    ForwardCall call = new ForwardCall(model, List.of(row));
    return engine.forward(lane, call, Long.MAX_VALUE);
  }
}
