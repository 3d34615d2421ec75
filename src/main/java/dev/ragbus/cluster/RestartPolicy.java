// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.cluster;

import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;

/**
 * What follows when a worker process has died: it is started again after a while, each time after
 * twice as long, until it has served for a minute; and no more once it has died five times in a
 * minute, which no further start would mend. Of one place among the workers, whichever process has
 * it. Knows no clock: it is told the time, in nanoseconds.
 */
final class RestartPolicy {
  /**
   * How patient it is.
   *
   * @param first how long the first start after a death waits
   * @param longest how long any waits
   * @param minute how long a process serves to be taken for healthy, and the time that deaths are
   *     counted over
   * @param deaths how many in that time are too many
   */
  record Pace(Duration first, Duration longest, Duration minute, int deaths) {
    static final Pace DEFAULT =
        new Pace(Duration.ofMillis(500), Duration.ofSeconds(30), Duration.ofMinutes(1), 5);
  }

  /** What follows. */
  sealed interface Decision permits Restart, GiveUp {}

  /** It is started again, so much later. */
  record Restart(Duration after) implements Decision {}

  /** It is not started again, for a reason. */
  record GiveUp(String reason) implements Decision {}

  private final Pace pace;
  private final Deque<Long> deaths = new ArrayDeque<>();
  private Duration backOff;

  RestartPolicy(Pace pace) {
    this.pace = pace;
    this.backOff = pace.first;
  }

  /**
   * A process has died.
   *
   * @param nowNanos when
   * @param served for how long it had served; zero where it never did
   * @param how what is known of it, for the reason
   */
  Decision died(long nowNanos, Duration served, String how) {
    while (!deaths.isEmpty() && nowNanos - deaths.getFirst() > pace.minute.toNanos()) {
      deaths.removeFirst();
    }
    deaths.addLast(nowNanos);
    if (deaths.size() >= pace.deaths) {
      return new GiveUp(
          "died "
              + deaths.size()
              + " times within "
              + pace.minute.toSeconds()
              + " s, the last time with "
              + how);
    }
    if (served.compareTo(pace.minute) >= 0) {
      backOff = pace.first;
    }
    Restart restart = new Restart(backOff);
    Duration twice = backOff.multipliedBy(2);
    backOff = twice.compareTo(pace.longest) < 0 ? twice : pace.longest;
    return restart;
  }
}
