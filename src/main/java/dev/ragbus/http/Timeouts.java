// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

import dev.ragbus.Addresses;
import dev.ragbus.RagbusException;
import dev.ragbus.RagbusOptions;
import io.vertx.core.http.HttpServerRequest;
import java.time.Duration;
import java.util.List;
import java.util.regex.Pattern;

/**
 * How long requests may take: as long as their client says that it waits, at most what the options
 * say.
 *
 * @param limits the options
 * @param asked what the client says; null where it does not
 */
record Timeouts(RagbusOptions.Python limits, Duration asked) {
  private static final List<String> HEADERS = List.of("X-Timeout-Ms", Addresses.TIMEOUT_HEADER);
  private static final Pattern MILLIS = Pattern.compile("0*[1-9][0-9]{0,14}");
  private static final Duration LONGEST_CALL = Duration.ofDays(1);

  /** Reads the headers; throws {@code INVALID} for one that is malformed. */
  static Timeouts of(HttpServerRequest request, RagbusOptions.Python limits) {
    for (String header : HEADERS) {
      String given = request.getHeader(header);
      if (given != null) {
        if (!MILLIS.matcher(given).matches()) {
          throw RagbusException.invalid(header + " must be a number of milliseconds, at least 1");
        }
        return new Timeouts(limits, Duration.ofMillis(Long.parseLong(given)));
      }
    }
    return new Timeouts(limits, null);
  }

  /** The headers that say it. */
  static List<String> headers() {
    return HEADERS;
  }

  /**
   * For an operation.
   *
   * @param function whose {@code [python.functions]} timeout it has; null for {@code
   *     python.default_timeout}
   */
  Duration of(String function) {
    return asked(function == null ? limits.defaultTimeout() : limits.timeout(function));
  }

  /** For a call of a function, which may have a longer time of its own: the service knows it. */
  Duration ofCall(String function) {
    return asked == null ? limits.timeout(function) : asked(LONGEST_CALL);
  }

  private Duration asked(Duration most) {
    return asked == null || asked.compareTo(most) > 0 ? most : asked;
  }
}
