// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

import io.vertx.core.http.HttpServerRequest;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.util.Locale;

/**
 * A line for each request, to the logger {@code dev.ragbus.http.access}: what was asked for, by
 * whom, and what came of it; no query, no body, no key. What a client chose is escaped and cut.
 */
final class AccessLog {
  static final String LOGGER = "dev.ragbus.http.access";

  /** The status of a request whose client went before it was answered. */
  private static final int CLIENT_CLOSED = 499;

  private static final int MAX_CHARS = 200;
  private static final Logger LOG = System.getLogger(LOGGER);

  private AccessLog() {}

  /**
   * Logs a request that is over.
   *
   * @param answered whether the whole reply was sent
   * @param id the request's id
   * @param caller the name of who asked
   * @param nanos from arrival
   */
  static void write(
      HttpServerRequest request, boolean answered, String id, String caller, long nanos) {
    int status = answered ? request.response().getStatusCode() : CLIENT_CLOSED;
    LOG.log(
        Level.INFO,
        line(
            request.method().name(),
            request.uri(),
            status,
            request.response().bytesWritten(),
            nanos,
            id,
            caller));
  }

  static String line(
      String method, String uri, int status, long bytes, long nanos, String id, String caller) {
    return "method="
        + escaped(method)
        + " path="
        + escaped(uri.split("[?#]", 2)[0])
        + " status="
        + status
        + " bytes="
        + bytes
        + " millis="
        + String.format(Locale.ROOT, "%.1f", nanos / 1e6)
        + " id="
        + escaped(id)
        + " caller=\""
        + escaped(caller).replace("\\u0020", " ")
        + '"';
  }

  /** Without what could end the line or a field of it. */
  private static String escaped(String text) {
    StringBuilder safe = new StringBuilder();
    String kept = text.length() > MAX_CHARS ? text.substring(0, MAX_CHARS) : text;
    for (int i = 0; i < kept.length(); i++) {
      char c = kept.charAt(i);
      if (c > ' ' && c < 0x7f && c != '"' && c != '\\') {
        safe.append(c);
      } else {
        safe.append(String.format("\\u%04x", (int) c));
      }
    }
    return kept.length() == text.length() ? safe.toString() : safe + "...";
  }
}
