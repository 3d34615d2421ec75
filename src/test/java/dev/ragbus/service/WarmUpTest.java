// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import static org.assertj.core.api.Assertions.assertThat;

import dev.ragbus.RagbusException.Kind;
import dev.ragbus.python.Engine;
import io.vertx.core.Future;
import org.junit.jupiter.api.Test;

class WarmUpTest {
  private static final Integer[] SHAPES = {8, 16, 32, 64};

  private final FakeEngine engine = new FakeEngine(2);
  private final Engine.Model model = engine.add(false);

  @Test
  void everyShapeRunsAloneAndThenOnEveryLane() {
    Future<Void> done = WarmUp.run(engine, model);
    for (int shape = 0; shape < SHAPES.length; shape++) {
      assertThat(engine.running).extracting(FakeEngine.Running::lane).containsExactly(0);
      engine.finish();
    }
    assertThat(engine.running).extracting(FakeEngine.Running::lane).containsExactly(0, 1);
    while (!engine.running.isEmpty()) {
      assertThat(done.isComplete()).isFalse();
      engine.finish();
    }
    assertThat(done.succeeded()).isTrue();
    assertThat(shapes(true)).containsExactlyInAnyOrder(SHAPES);
    assertThat(shapes(false)).containsExactlyInAnyOrder(8, 8, 16, 16, 32, 32, 64, 64);
  }

  private Integer[] shapes(boolean alone) {
    return engine.forwarded.stream()
        .filter(call -> call.alone() == alone)
        .map(call -> call.rows().get(0).length())
        .toArray(Integer[]::new);
  }

  @Test
  void aFailureIsTold() {
    Future<Void> done = WarmUp.run(engine, model);
    engine.fail(0, Kind.PYTHON);
    engine.finishAll();
    assertThat(done.failed()).isTrue();
  }
}
