// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import dev.ragbus.python.Engine;
import dev.ragbus.python.Lines;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.PriorityQueue;
import java.util.TreeSet;

/**
 * The rows of one model that wait to be run, by what they take and, within a length, by turn.
 * Belongs to the event loop of its {@link Batcher}.
 */
final class LengthQueue {
  private static final Comparator<Row> WIDE_FIRST =
      Comparator.<Row, Boolean>comparing(row -> row.space() <= Lines.COMMON_WIDTH)
          .thenComparing(Row.BY_TURN);

  private final List<TreeSet<Row>> rows = new ArrayList<>();

  /** How many of each length. */
  private int[] waiting = new int[0];

  private int count;

  /** Adds a row. */
  void add(Row row) {
    int length = row.space();
    if (length >= waiting.length) {
      waiting = Arrays.copyOf(waiting, length + 1);
      while (rows.size() <= length) {
        rows.add(new TreeSet<>(Row.BY_TURN));
      }
    }
    rows.get(length).add(row);
    waiting[length]++;
    count++;
  }

  /** Takes a row out; returns whether it waited here. */
  boolean remove(Row row) {
    int length = row.space();
    boolean waited = length < waiting.length && rows.get(length).remove(row);
    if (waited) {
      waiting[length]--;
      count--;
    }
    return waited;
  }

  /** Whether a row waits here. */
  boolean contains(Row row) {
    return row.space() < waiting.length && rows.get(row.space()).contains(row);
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
    return rows.get(length).first();
  }

  /** Removes a batch around a row that waits here, the row included. */
  List<Row> take(BatchLimits limits, Row anchor) {
    Engine.Model model = anchor.job().spec().model().engineModel();
    List<Row> batch = new ArrayList<>();
    batch.add(anchor);
    if (model.packs()) {
      remove(anchor);
      pack(limits, limits.lines(model, anchor.space()), batch);
    } else {
      int[] taken = limits.next(waiting, anchor.space());
      remove(anchor);
      taken[anchor.space()]--;
      for (int length = 0; length < taken.length; length++) {
        for (int i = 0; i < taken[length]; i++) {
          batch.add(poll(length));
        }
      }
    }
    return batch;
  }

  /** Fills lines with the rows whose turn comes next, then what is left with any that fit. */
  private void pack(BatchLimits limits, Lines lines, List<Row> batch) {
    lines.put(batch.get(0).space());
    List<Row> next = next(lines, limits.maxRows() - 1);
    next.sort(Comparator.comparingInt(Row::space).reversed());
    for (Row row : next) {
      if (lines.put(row.space()) < 0) {
        add(row);
      } else {
        batch.add(row);
      }
    }
    int length = longest(lines.room());
    while (length >= 0 && batch.size() < limits.maxRows()) {
      lines.put(length);
      batch.add(poll(length));
      length = longest(lines.room());
    }
  }

  /**
   * Removes rows by turn, as many as all lines have room for; into wide lines first those that need
   * them, since attention costs more there.
   */
  private List<Row> next(Lines lines, int mostRows) {
    PriorityQueue<Row> heads =
        new PriorityQueue<>(lines.room() > Lines.COMMON_WIDTH ? WIDE_FIRST : Row.BY_TURN);
    for (int length = Math.min(lines.room(), waiting.length - 1); length >= 0; length--) {
      if (waiting[length] > 0) {
        heads.add(head(length));
      }
    }
    List<Row> next = new ArrayList<>();
    int room = lines.free();
    while (next.size() < mostRows && !heads.isEmpty() && heads.peek().space() <= room) {
      int length = heads.poll().space();
      Row row = poll(length);
      next.add(row);
      room -= length;
      if (waiting[length] > 0) {
        heads.add(head(length));
      }
    }
    return next;
  }

  /** The most that a row that waits takes, of those that take so much at most; -1 for none. */
  private int longest(int most) {
    int length = Math.min(most, waiting.length - 1);
    while (length >= 0 && waiting[length] == 0) {
      length--;
    }
    return length;
  }

  private Row poll(int length) {
    Row row = head(length);
    remove(row);
    return row;
  }
}
