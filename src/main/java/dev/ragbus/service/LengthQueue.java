// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import java.util.ArrayList;
import java.util.List;
import java.util.PriorityQueue;

/**
 * The rows of one model that wait to be run, by padded length and, within a length, by turn.
 *
 * <p>Rows whose request is over stay in the heaps until they are met, but are not counted. Belongs
 * to the event loop of its {@link Batcher}.
 */
final class LengthQueue {
  private final List<PriorityQueue<Row>> rows = new ArrayList<>();
  private int[] waiting = new int[0];
  private int count;

  /** Adds a row. */
  void add(Row row) {
    int length = row.paddedLength();
    grow(length);
    rows.get(length).add(row);
    waiting[length]++;
    count++;
  }

  private void grow(int length) {
    if (length >= waiting.length) {
      waiting = java.util.Arrays.copyOf(waiting, length + 1);
      while (rows.size() <= length) {
        rows.add(new PriorityQueue<>(Row.BY_TURN));
      }
    }
  }

  /** Stops counting a row that waits here, its request being over. */
  void forget(Row row) {
    int length = row.paddedLength();
    waiting[length]--;
    count--;
    if (waiting[length] == 0) {
      rows.get(length).clear();
    }
  }

  /** Takes out the rows of a job that is not over. */
  void remove(Job job) {
    for (int length = 0; length < waiting.length; length++) {
      PriorityQueue<Row> queue = rows.get(length);
      int before = queue.size();
      queue.removeIf(row -> row.job() == job);
      int removed = before - queue.size();
      waiting[length] -= removed;
      count -= removed;
      if (waiting[length] == 0) {
        queue.clear();
      }
    }
  }

  boolean isEmpty() {
    return count == 0;
  }

  /** The row whose turn it is; null when none waits. */
  Row first() {
    Row first = null;
    for (int length = 0; length < waiting.length; length++) {
      Row head = waiting[length] == 0 ? null : head(length);
      if (head != null && (first == null || Row.BY_TURN.compare(head, first) < 0)) {
        first = head;
      }
    }
    return first;
  }

  private Row head(int length) {
    PriorityQueue<Row> queue = rows.get(length);
    while (queue.peek().job().isOver()) {
      queue.poll();
    }
    return queue.peek();
  }

  /** Removes a batch around a row that waits here, the row included. */
  List<Row> take(BatchLimits limits, Row anchor) {
    int[] taken = limits.next(waiting, anchor.paddedLength());
    List<Row> batch = new ArrayList<>();
    batch.add(anchor);
    if (head(anchor.paddedLength()).equals(anchor)) {
      rows.get(anchor.paddedLength()).poll();
    } else {
      rows.get(anchor.paddedLength()).remove(anchor);
    }
    for (int length = 0; length < taken.length; length++) {
      int others = length == anchor.paddedLength() ? taken[length] - 1 : taken[length];
      for (int i = 0; i < others; i++) {
        batch.add(head(length));
        rows.get(length).poll();
      }
      waiting[length] -= taken[length];
      count -= taken[length];
      if (waiting[length] == 0) {
        rows.get(length).clear();
      }
    }
    return batch;
  }
}
