// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import io.vertx.core.json.JsonObject;

/**
 * The last frame of a stream that failed.
 *
 * @param type always {@code error}
 * @param id the request's id
 * @param kind what went wrong
 * @param code the failure code, an HTTP status
 * @param message what happened, without the kind in front
 * @param retryable whether the same request may succeed later
 */
public record StreamError(
    String type,
    String id,
    RagbusException.Kind kind,
    int code,
    String message,
    boolean retryable) {
  /** The value of {@code type}. */
  public static final String TYPE = "error";

  /** A failure as a frame. */
  public static StreamError of(String id, RagbusException failure) {
    return new StreamError(
        TYPE, id, failure.kind(), failure.code(), failure.detail(), failure.retryable());
  }

  /** The failure that a frame tells of. */
  public RagbusException toException() {
    return RagbusException.of(kind, message, retryable, 0, null);
  }

  /** The frame's JSON. */
  public JsonObject toJson() {
    return JsonBodies.format(this);
  }
}
