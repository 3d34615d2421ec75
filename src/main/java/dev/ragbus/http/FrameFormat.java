// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

import dev.ragbus.JsonBodies;
import dev.ragbus.RagbusException;
import dev.ragbus.StreamError;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpHeaders;
import io.vertx.core.http.HttpServerRequest;
import io.vertx.core.json.JsonObject;
import java.util.Locale;

/** How a stream's frames are written into the body of a reply. */
enum FrameFormat {
  /** A frame a line. */
  NDJSON("application/x-ndjson") {
    @Override
    Buffer bytes(JsonObject frame) {
      return frame.toBuffer().appendByte((byte) '\n');
    }
  },

  /** Server-sent events, named by the frame's type. */
  SSE("text/event-stream") {
    @Override
    Buffer bytes(JsonObject frame) {
      return Buffer.buffer("event: " + frame.getString("type") + "\ndata: ")
          .appendBuffer(frame.toBuffer())
          .appendString("\n\n");
    }
  };

  private final String contentType;

  FrameFormat(String contentType) {
    this.contentType = contentType;
  }

  /** The format that a request asks for before any other; null where it asks for plain JSON. */
  static FrameFormat askedFor(HttpServerRequest request) {
    String accepted = request.getHeader(HttpHeaders.ACCEPT);
    if (accepted == null) {
      return null;
    }
    for (String type : accepted.toLowerCase(Locale.ROOT).split(",")) {
      String name = type.split(";", 2)[0].trim();
      for (FrameFormat format : values()) {
        if (name.equals(format.contentType)) {
          return format;
        }
      }
      if (name.equals("application/json")) {
        return null;
      }
    }
    return null;
  }

  String contentType() {
    return contentType;
  }

  abstract Buffer bytes(JsonObject frame);

  /** A frame under the client's own name for the request. */
  static JsonObject json(Record frame, String id) {
    return JsonBodies.format(frame).put("id", id);
  }

  /** The frame that ends a stream which failed. */
  static JsonObject error(String id, Throwable failure) {
    RagbusException typed =
        failure instanceof RagbusException known
            ? known
            : RagbusException.of(RagbusException.Kind.RUNTIME, "internal error");
    return StreamError.of(id, typed).toJson();
  }
}
