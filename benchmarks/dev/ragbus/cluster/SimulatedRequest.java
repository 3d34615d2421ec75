// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.cluster;

/** A request on its way through some {@link SimulatedLanes}, which own its fields. */
final class SimulatedRequest {
  final int number;
  final Arrivals.Arrival arrival;
  final Runnable answer;

  /** When its first text began to run. */
  double startedAtSeconds = Double.NaN;

  /** The turn of its next text, in tokens. */
  double turn;

  int textsToBegin;
  int textsToEnd;

  /** On how many lanes it is. */
  int lanes;

  /**
   * One that has not come yet.
   *
   * @param answer what happens when its last text has run
   */
  SimulatedRequest(int number, Arrivals.Arrival arrival, Runnable answer) {
    this.number = number;
    this.arrival = arrival;
    this.answer = answer;
    this.textsToBegin = arrival.texts();
    this.textsToEnd = arrival.texts();
  }
}
