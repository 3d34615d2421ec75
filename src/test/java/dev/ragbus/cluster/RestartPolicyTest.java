// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.cluster;

import static org.assertj.core.api.Assertions.assertThat;

import dev.ragbus.cluster.RestartPolicy.GiveUp;
import dev.ragbus.cluster.RestartPolicy.Pace;
import dev.ragbus.cluster.RestartPolicy.Restart;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class RestartPolicyTest {
  private final RestartPolicy policy = new RestartPolicy(Pace.DEFAULT);

  /** Near the end of the clock's range, which it passes like any other time. */
  private long nanos = Long.MAX_VALUE - Duration.ofSeconds(100).toNanos();

  private RestartPolicy.Decision diesAfter(Duration time, Duration served) {
    nanos += time.toNanos();
    return policy.died(nanos, served, "exit code 139");
  }

  private static Duration seconds(double seconds) {
    return Duration.ofMillis((long) (seconds * 1_000));
  }

  @Test
  void eachStartWaitsTwiceAsLongUpToHalfAMinute() {
    List<Duration> waits = new ArrayList<>();
    for (int i = 0; i < 9; i++) {
      RestartPolicy.Decision decision = diesAfter(seconds(20), seconds(10));
      assertThat(decision).isInstanceOf(Restart.class);
      waits.add(((Restart) decision).after());
    }

    assertThat(waits)
        .containsExactly(
            seconds(0.5),
            seconds(1),
            seconds(2),
            seconds(4),
            seconds(8),
            seconds(16),
            seconds(30),
            seconds(30),
            seconds(30));
  }

  @Test
  void aMinuteOfServingMakesTheNextWaitTheFirst() {
    diesAfter(seconds(1), seconds(1));
    diesAfter(seconds(1), seconds(1));
    assertThat(diesAfter(seconds(59.9), seconds(59.9))).isEqualTo(new Restart(seconds(2)));
    assertThat(diesAfter(seconds(60), seconds(60))).isEqualTo(new Restart(seconds(0.5)));
    assertThat(diesAfter(seconds(1), seconds(0))).isEqualTo(new Restart(seconds(1)));
  }

  @Test
  void theFifthDeathInAMinuteIsTheLast() {
    for (int i = 0; i < 4; i++) {
      assertThat(diesAfter(seconds(15), seconds(0))).isInstanceOf(Restart.class);
    }
    assertThat(diesAfter(seconds(15), seconds(0)))
        .isEqualTo(new GiveUp("died 5 times within 60 s, the last time with exit code 139"));
  }

  @Test
  void fiveDeathsInALittleMoreAreNot() {
    for (int i = 0; i < 20; i++) {
      assertThat(diesAfter(seconds(15.1), seconds(0))).isInstanceOf(Restart.class);
    }
  }
}
