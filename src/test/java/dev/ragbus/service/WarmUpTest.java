// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import static org.assertj.core.api.Assertions.assertThat;

import dev.ragbus.RagbusException.Kind;
import dev.ragbus.python.Engine;
import io.vertx.core.Future;
import org.junit.jupiter.api.Test;

class WarmUpTest {
  private final FakeEngine engine = new FakeEngine(2);
  private final Engine.Model model = engine.add(false);

  @Test
  void everyLaneRunsEveryShapeOneAfterAnother() {
    Future<Void> done = WarmUp.run(engine, model);
    assertThat(engine.running).extracting(FakeEngine.Running::lane).containsExactly(0, 1);
    while (!engine.running.isEmpty()) {
      assertThat(done.isComplete()).isFalse();
      engine.finish();
    }
    assertThat(done.succeeded()).isTrue();
    assertThat(engine.forwarded)
        .extracting(call -> call.rows().get(0).length())
        .containsExactlyInAnyOrder(8, 8, 16, 16, 32, 32, 64, 64);
  }

  @Test
  void aFailureIsTold() {
    Future<Void> done = WarmUp.run(engine, model);
    engine.fail(0, Kind.PYTHON);
    engine.finishAll();
    assertThat(done.failed()).isTrue();
  }
}
