// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

import dev.ragbus.RagbusException;
import dev.ragbus.RagbusException.Kind;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpHeaders;
import io.vertx.core.http.HttpServerRequest;
import io.vertx.core.http.HttpVersion;
import io.vertx.ext.web.RoutingContext;
import java.util.Collections;
import java.util.Comparator;
import java.util.IdentityHashMap;
import java.util.Set;
import java.util.function.Consumer;
import java.util.regex.Pattern;

/**
 * Holds what is still coming, bodies of requests and messages of sockets, to a bound: one by one,
 * and all together. Where they are too much together the longest gives way, so that who fills the
 * memory on purpose loses first. Belongs to one verticle's event loop.
 */
final class Bodies {
  private static final Pattern LENGTH = Pattern.compile("[0-9]{1,18}");
  private static final int CONTENT_TOO_LARGE = 413;
  private static final int EXPECTATION_FAILED = 417;
  private static final int MALFORMED = 400;
  private static final long RETRY_AFTER_MILLIS = 1_000;

  private final int maxBytesOfOne;
  private final long maxBytes;
  private final Set<Coming> coming = Collections.newSetFromMap(new IdentityHashMap<>());
  private long bytes;

  /**
   * Makes a bound.
   *
   * @param maxBytesOfOne the most that one may have
   * @param maxBytes the most that all may have together; one alone may have {@code maxBytesOfOne}
   *     in any case
   */
  Bodies(int maxBytesOfOne, long maxBytes) {
    this.maxBytesOfOne = maxBytesOfOne;
    this.maxBytes = Math.max(maxBytesOfOne, maxBytes);
  }

  /** The bytes of one body or message, as far as they are there. */
  final class Coming {
    private final Consumer<RagbusException> refuse;
    private Buffer buffer = Buffer.buffer();

    private Coming(Consumer<RagbusException> refuse) {
      this.refuse = refuse;
    }

    private int length() {
      return buffer.length();
    }

    /** Whether so many more would be too many. */
    boolean hasNoRoomFor(int more) {
      return more > maxBytesOfOne - buffer.length();
    }

    /** Takes more; it may be refused for that, or another one. */
    void add(Buffer more) {
      if (!coming.contains(this)) {
        return;
      }
      buffer.appendBuffer(more);
      bytes += more.length();
      if (bytes > maxBytes) {
        Collections.max(coming, Comparator.comparingInt(Coming::length)).giveWay();
      }
    }

    private void giveWay() {
      end();
      refuse.accept(
          RagbusException.of(
              Kind.OVERLOADED,
              "the bodies that are being sent have more than "
                  + maxBytes
                  + " bytes together, which is http.max_pending_body_bytes",
              true,
              RETRY_AFTER_MILLIS,
              null));
    }

    /** No more will come: gives all of it, and back what it held. */
    Buffer end() {
      Buffer whole = buffer;
      if (coming.remove(this)) {
        bytes -= whole.length();
        buffer = Buffer.buffer();
      }
      return whole;
    }
  }

  /** One that begins to come; {@code refuse} is run where it has to give way. */
  Coming begin(Consumer<RagbusException> refuse) {
    Coming one = new Coming(refuse);
    coming.add(one);
    return one;
  }

  /** Reads the body of a request, gives it to {@code whole} if there is one, and goes on. */
  void read(RoutingContext ctx, Consumer<Buffer> whole) {
    HttpServerRequest request = ctx.request();
    boolean hasBody =
        request.version() == HttpVersion.HTTP_2
            || request.headers().contains(HttpHeaders.CONTENT_LENGTH)
            || request.headers().contains(HttpHeaders.TRANSFER_ENCODING);
    if (!hasBody || request.isEnded()) {
      ctx.next();
    } else if (isTooLong(request.getHeader(HttpHeaders.CONTENT_LENGTH))) {
      ctx.fail(CONTENT_TOO_LARGE);
    } else if (isExpected(ctx)) {
      receive(ctx, whole);
    }
  }

  /** What is announced; where it is no number, what comes is counted. */
  private boolean isTooLong(String contentLength) {
    return contentLength != null
        && LENGTH.matcher(contentLength).matches()
        && Long.parseLong(contentLength) > maxBytesOfOne;
  }

  private static boolean isExpected(RoutingContext ctx) {
    String expected = ctx.request().getHeader(HttpHeaders.EXPECT);
    if (expected == null) {
      return true;
    }
    if (!expected.equalsIgnoreCase("100-continue")) {
      ctx.fail(EXPECTATION_FAILED);
      return false;
    }
    if (ctx.request().version() != HttpVersion.HTTP_1_0) {
      ctx.response().writeContinue();
    }
    return true;
  }

  private void receive(RoutingContext ctx, Consumer<Buffer> whole) {
    Coming body = begin(ctx::fail);
    ctx.addEndHandler(ended -> body.end());
    ctx.request()
        .exceptionHandler(
            broken -> {
              body.end();
              ctx.fail(MALFORMED);
            })
        .handler(
            chunk -> {
              if (ctx.failed()) {
                return;
              }
              if (body.hasNoRoomFor(chunk.length())) {
                body.end();
                ctx.fail(CONTENT_TOO_LARGE);
              } else {
                body.add(chunk);
              }
            })
        .endHandler(
            end -> {
              if (!ctx.failed()) {
                whole.accept(body.end());
                ctx.next();
              }
            })
        .resume();
  }
}
