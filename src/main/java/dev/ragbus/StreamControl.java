// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

/**
 * The answer to a request for a stream: it was accepted, and its frames follow.
 *
 * @param id the request's id, which every frame carries
 * @param control the address, private to this stream, that takes {@code {"credit": n}} for so many
 *     more frames, and {@code {"cancel": true}}
 */
public record StreamControl(String id, String control) {
  /** How many frames may be sent before the first credit. */
  public static final int INITIAL_CREDIT = 16;
}
