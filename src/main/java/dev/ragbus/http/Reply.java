// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.StreamWriteFeature;
import com.fasterxml.jackson.core.util.ByteArrayBuilder;
import dev.ragbus.JsonBodies;
import io.vertx.core.Future;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpHeaders;
import io.vertx.core.http.HttpMethod;
import io.vertx.ext.web.RoutingContext;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;

/**
 * What an operation answers.
 *
 * @param status the HTTP status
 * @param numbers about how many numbers the content has; many are written off the event loop
 * @param content writes the body, on any thread
 */
record Reply(int status, int numbers, Content content) {
  private static final JsonFactory JSON =
      JsonFactory.builder().enable(StreamWriteFeature.USE_FAST_DOUBLE_WRITER).build();

  /** Writes one JSON value. */
  interface Content {
    void writeTo(JsonGenerator json) throws IOException;
  }

  static Reply ok(Content content) {
    return new Reply(200, 0, content);
  }

  /** 200 without a body. */
  static Reply empty() {
    return ok(json -> {});
  }

  static Reply of(int status, Record body) {
    return new Reply(
        status,
        0,
        json -> json.writeRawValue(new String(JsonBodies.bytes(body), StandardCharsets.UTF_8)));
  }

  /** The JSON of a content, in UTF-8. */
  static Buffer bytes(Content content) {
    ByteArrayBuilder bytes = new ByteArrayBuilder();
    try (JsonGenerator json = JSON.createGenerator(bytes)) {
      content.writeTo(json);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return Buffer.buffer(bytes.toByteArray());
  }

  /** Ends a reply with its body, or with that one's length alone where no more was asked for. */
  static Future<Void> send(RoutingContext ctx, Buffer body) {
    if (!ctx.request().method().equals(HttpMethod.HEAD)) {
      return ctx.response().end(body);
    }
    String length = Integer.toString(body.length());
    return ctx.response().putHeader(HttpHeaders.CONTENT_LENGTH, length).end();
  }
}
