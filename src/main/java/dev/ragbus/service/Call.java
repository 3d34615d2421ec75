// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

/**
 * What comes with a request besides its body.
 *
 * @param requestId the caller's name for it, or one made
 * @param caller who asks; null where that is not said
 * @param deadlineNanos when its time is over, by {@link System#nanoTime}
 * @param streamAddress where the caller reads frames; null where none was given
 * @param phases takes the times of its work
 * @param trace makes spans of its work; null where nobody traces
 */
record Call(
    String requestId,
    String caller,
    long deadlineNanos,
    String streamAddress,
    Phases phases,
    PassTrace trace) {
  /** One whose times nobody asks for. */
  Call(String requestId, long deadlineNanos, String streamAddress) {
    this(requestId, null, deadlineNanos, streamAddress, new Phases(null), null);
  }
}
