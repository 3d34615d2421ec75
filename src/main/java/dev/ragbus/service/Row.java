// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import dev.ragbus.python.Engine.TokenRow;
import java.util.Comparator;

/**
 * One row of a job: what a batch is made of.
 *
 * @param job the job it is part of
 * @param text the index of the job's text that it is of
 * @param tokens its tokens
 * @param turn its place in the order of service, in tokens of virtual time
 * @param number its place among rows of the same turn
 */
record Row(Job job, int text, TokenRow tokens, long turn, long number) {
  /** The order of service. */
  static final Comparator<Row> BY_TURN =
      Comparator.comparingLong(Row::turn).thenComparingLong(Row::number);

  /** The same, so much later. */
  Row later(long turns) {
    return new Row(job, text, tokens, turn + turns, number);
  }

  /** The tokens it takes in a batch where no row is longer. */
  int space() {
    return job.spec().model().engineModel().space(tokens.length());
  }
}
