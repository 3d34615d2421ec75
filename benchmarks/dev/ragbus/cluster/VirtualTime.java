// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.cluster;

import java.util.Comparator;
import java.util.PriorityQueue;

/** A clock that goes from event to event; of two at once, the one planned first is first. */
final class VirtualTime {
  private static final Comparator<Event> IN_ORDER =
      Comparator.comparingDouble(Event::atSeconds).thenComparingLong(Event::number);

  private record Event(double atSeconds, long number, Runnable action) {}

  private final PriorityQueue<Event> events = new PriorityQueue<>(IN_ORDER);
  private long planned;
  private double nowSeconds;

  double nowSeconds() {
    return nowSeconds;
  }

  /** Plans what happens so many seconds from now. */
  void after(double seconds, Runnable action) {
    events.add(new Event(nowSeconds + seconds, planned++, action));
  }

  /** Goes to the next event, which there must be. */
  void step() {
    Event next = events.remove();
    nowSeconds = next.atSeconds;
    next.action.run();
  }
}
