// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

import dev.ragbus.RagbusException;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A failure on its way to an HTTP client.
 *
 * @param status the HTTP status
 * @param code what went wrong, in {@code snake_case}
 * @param message what a person reads; never a stack trace
 * @param field the field at fault; null where there is none
 * @param retryAfterSeconds when trying again may help; 0 when it won't
 */
record HttpFailure(int status, String code, String message, String field, long retryAfterSeconds) {
  /** {@link RagbusException#invalid} messages begin with the field's name. */
  private static final Pattern FIELD =
      Pattern.compile("^([a-z][a-z0-9_]*(?:[.\\[]\\S*)?) (?:is|must|cannot|and|has)\\b");

  static HttpFailure of(int status, String code, String message) {
    return new HttpFailure(status, code, message, null, 0);
  }

  /** A failure of the facade or of reading the request. */
  static HttpFailure of(RagbusException failure) {
    Matcher field = FIELD.matcher(failure.detail());
    boolean comeBack = failure.retryable() && (failure.code() == 429 || failure.code() == 503);
    long seconds = (failure.retryAfterMillis() + 999) / 1000;
    return new HttpFailure(
        failure.code(),
        failure.kind().name().toLowerCase(Locale.ROOT),
        failure.detail(),
        failure.code() == 400 && field.find() ? field.group(1) : null,
        comeBack ? Math.max(1, seconds) : 0);
  }

  /** A failure that HTTP itself knows, by its status. */
  static HttpFailure of(int status) {
    return switch (status) {
      case 400 -> of(400, "invalid", "the request is malformed");
      case 403 -> of(403, "forbidden", "this may not be done");
      case 404 -> of(404, "not_found", "there is nothing at this path");
      case 405 -> of(405, "method_not_allowed", "this path does not take this method");
      case 408 -> of(408, "timeout", "the body took longer than http.body_timeout");
      case 413 -> of(413, "body_too_large", "the body is longer than limits.max_body_bytes");
      case 414 -> of(414, "too_large", "the request line is too long");
      case 415 ->
          of(415, "unsupported_media_type", "send the body with Content-Type: application/json");
      case 426 -> of(426, "upgrade_required", "this path is for WebSockets");
      case 431 -> of(431, "too_large", "the headers are too long");
      default -> of(500, "runtime", "internal error; the log has more under this request's id");
    };
  }
}
