// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.cluster;

import dev.ragbus.Addresses;
import dev.ragbus.RagbusException;
import dev.ragbus.RagbusException.Kind;
import io.vertx.core.MultiMap;
import io.vertx.core.eventbus.Message;
import io.vertx.core.eventbus.ReplyException;
import io.vertx.core.json.JsonObject;
import java.time.Duration;
import java.util.Arrays;
import java.util.regex.Pattern;

/** What a front reads and writes beside the bodies that it passes on. */
final class Headers {
  private static final Pattern MILLIS = Pattern.compile("[1-9]\\d{0,17}");

  private Headers() {}

  /** The time that a request has; a header that is malformed is left for the worker to refuse. */
  static long timeoutMillis(MultiMap headers, Duration timeout, Duration maxTimeout) {
    String header = headers.get(Addresses.TIMEOUT_HEADER);
    try {
      long millis = header == null ? 0 : Long.parseLong(header);
      return millis > 0 ? Math.min(millis, maxTimeout.toMillis()) : timeout.toMillis();
    } catch (NumberFormatException malformed) {
      return timeout.toMillis();
    }
  }

  /** The headers of a request for a worker, with the time that is left. */
  static MultiMap forWorker(MultiMap headers, long millis) {
    MultiMap copy = MultiMap.caseInsensitiveMultiMap().addAll(headers);
    String given = headers.get(Addresses.TIMEOUT_HEADER);
    if (given == null || MILLIS.matcher(given).matches()) {
      copy.set(Addresses.TIMEOUT_HEADER, Long.toString(millis));
    }
    return copy;
  }

  /** Answers with a failure, in the form that the request came in. */
  static void fail(Message<Object> message, RagbusException failure) {
    if (message.body() instanceof JsonObject) {
      message.fail(failure.code(), failure.getMessage());
    } else {
      message.reply(failure);
    }
  }

  /** A failed reply of a worker in our terms; its message begins with the kind. */
  static RagbusException typed(Throwable failure, long millis) {
    if (failure instanceof RagbusException typed) {
      return typed;
    }
    if (failure instanceof ReplyException reply) {
      return switch (reply.failureType()) {
        case TIMEOUT ->
            RagbusException.of(Kind.TIMEOUT, "no answer of the worker within " + millis + " ms");
        case NO_HANDLERS -> RagbusException.of(Kind.UNAVAILABLE, "the worker is not there");
        case RECIPIENT_FAILURE, ERROR -> ofMessage(String.valueOf(reply.getMessage()));
      };
    }
    return RagbusException.of(Kind.RUNTIME, String.valueOf(failure.getMessage()));
  }

  private static RagbusException ofMessage(String message) {
    int end = message.indexOf(": ");
    return Arrays.stream(Kind.values())
        .filter(kind -> end > 0 && kind.name().equals(message.substring(0, end)))
        .findFirst()
        .map(kind -> RagbusException.of(kind, message.substring(end + 2)))
        .orElseGet(() -> RagbusException.of(Kind.RUNTIME, message));
  }
}
