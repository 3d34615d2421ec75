// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import static org.assertj.core.api.Assertions.assertThat;

import dev.ragbus.RagbusException;
import dev.ragbus.RagbusException.Kind;
import dev.ragbus.python.Engine.Control;
import dev.ragbus.service.FakeEngine.Held;
import java.time.Duration;
import org.junit.jupiter.api.Test;

class GarbageCollectionTest {
  private final ManualTime time = new ManualTime();
  private final FakeEngine engine = new FakeEngine(1);
  private final GarbageCollection garbage =
      new GarbageCollection(engine, Duration.ofSeconds(60), time::nanos);

  private int collectionsAfter(long millis, boolean idle) {
    time.advanceMillis(millis);
    garbage.tick(idle);
    return engine.controls(Control.COLLECT).size();
  }

  @Test
  void collectsEveryIntervalWhenIdle() {
    assertThat(collectionsAfter(59_999, true)).isZero();
    assertThat(collectionsAfter(1, true)).isOne();
    assertThat(collectionsAfter(59_999, true)).isOne();
    assertThat(collectionsAfter(1, true)).isEqualTo(2);
  }

  @Test
  void waitsForAnIdleMomentNoLongerThanAnotherInterval() {
    assertThat(collectionsAfter(60_000, false)).isZero();
    assertThat(collectionsAfter(30_000, true)).isOne();
    assertThat(collectionsAfter(119_999, false)).isOne();
    assertThat(collectionsAfter(1, false)).isEqualTo(2);
  }

  @Test
  void oneCollectionAtATimeAndAFailedOneIsTriedAgainNextTime() {
    engine.held.add(Held.CONTROL);
    assertThat(collectionsAfter(60_000, true)).isOne();
    assertThat(collectionsAfter(60_000, true)).isOne();
    engine.controls.get(0).promise().fail(RagbusException.of(Kind.LANE_LOST, "gone"));
    assertThat(collectionsAfter(59_999, true)).isOne();
    assertThat(collectionsAfter(1, true)).isEqualTo(2);
  }
}
