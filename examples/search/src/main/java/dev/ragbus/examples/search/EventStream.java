package dev.ragbus.examples.search;

import io.vertx.core.http.HttpHeaders;
import io.vertx.core.http.HttpServerResponse;
import io.vertx.core.json.JsonObject;

/** A response that is a stream of server-sent events. */
final class EventStream {
  private final HttpServerResponse response;

  EventStream(HttpServerResponse response) {
    this.response = response;
    response
        .setChunked(true)
        .putHeader(HttpHeaders.CONTENT_TYPE, "text/event-stream")
        .putHeader(HttpHeaders.CACHE_CONTROL, "no-store");
  }

  /** Sends an event, unless nobody reads any more. */
  void send(String event, JsonObject data) {
    if (!closed()) {
      response.write("event: " + event + "\ndata: " + data.encode() + "\n\n");
    }
  }

  /** Sends the last event. */
  void end(String event, JsonObject data) {
    if (!closed()) {
      send(event, data);
      response.end();
    }
  }

  /** Whether the stream has ended or the reader has gone. */
  boolean closed() {
    return response.closed() || response.ended();
  }

  /** Whether the reader lags behind. */
  boolean full() {
    return !closed() && response.writeQueueFull();
  }

  /** Called once the reader has caught up. */
  void onDrain(Runnable action) {
    response.drainHandler(drained -> action.run());
  }

  /** Called when the connection is closed, by whomever, or the stream has ended. */
  void onClose(Runnable action) {
    response.closeHandler(closed -> action.run());
    response.endHandler(ended -> action.run());
  }
}
