package dev.ragbus.http;

import dev.ragbus.JsonBodies;
import dev.ragbus.Ragbus;
import dev.ragbus.RagbusException;
import dev.ragbus.RagbusException.Kind;
import dev.ragbus.RequestIds;
import dev.ragbus.RerankRequest;
import dev.ragbus.RerankStream;
import io.vertx.core.Vertx;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.ServerWebSocket;
import io.vertx.core.json.DecodeException;
import io.vertx.core.json.JsonObject;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import java.util.function.Supplier;

/**
 * A WebSocket on which a client has texts ranked: any number of requests, told apart by the ids the
 * client gives them.
 *
 * <p>The client sends {@code {"type":"rerank","id",…}} with the fields of {@link RerankRequest} and
 * {@code {"type":"cancel","id"}}; it gets the frames of {@link dev.ragbus.RerankFrame} and {@link
 * dev.ragbus.StreamError}. A client that does not read makes its streams wait; one that answers no
 * ping within the idle timeout is cut; when the socket closes, all its streams end.
 */
final class RerankSocket {
  /** Longer messages are read off the event loop. */
  private static final int LARGE_MESSAGE_CHARS = 256 * 1024;

  private static final short POLICY_VIOLATION = 1008;
  private static final short TOO_BIG = 1009;

  /**
   * What the socket needs of its server.
   *
   * @param ragbus the facade, with the time that requests have
   * @param idleTimeout how long a client may be silent
   * @param enter counts a request; whether it may be
   * @param leave a request that was counted is over
   */
  record Server(
      Vertx vertx, Ragbus ragbus, Duration idleTimeout, BooleanSupplier enter, Runnable leave) {}

  private static final class Request {
    private final String travelId = UUID.randomUUID().toString();
    private RerankStream stream;
    private boolean cancelled;
  }

  private final Server server;
  private final ServerWebSocket socket;
  private final Map<String, Request> requests = new HashMap<>();
  private final long pingTimer;
  private boolean heard = true;

  RerankSocket(Server server, ServerWebSocket socket) {
    this.server = server;
    this.socket = socket;
    socket.textMessageHandler(this::received);
    socket.binaryMessageHandler(
        bytes -> refuse(null, RagbusException.invalid("the message must be text")));
    socket.pongHandler(pong -> heard = true);
    socket.drainHandler(v -> eachStream(RerankStream::resume));
    socket.exceptionHandler(failure -> socket.close(TOO_BIG, "too long, or no WebSocket frame"));
    socket.closeHandler(v -> closed());
    pingTimer =
        server.vertx.setPeriodic(Math.max(1, server.idleTimeout.toMillis() / 2), id -> ping());
  }

  private void ping() {
    if (heard) {
      heard = false;
      socket.writePing(Buffer.buffer());
    } else {
      socket.close(POLICY_VIOLATION, "no answer to a ping");
    }
  }

  private void closed() {
    server.vertx.cancelTimer(pingTimer);
    List.copyOf(requests.values()).forEach(RerankSocket::cancel);
  }

  private void received(String text) {
    heard = true;
    if (text.length() <= LARGE_MESSAGE_CHARS) {
      read(() -> new JsonObject(text));
      return;
    }
    socket.pause();
    server
        .vertx
        .executeBlocking(() -> new JsonObject(text))
        .onComplete(
            json -> {
              socket.resume();
              read(
                  () -> {
                    if (json.failed()) {
                      throw new DecodeException();
                    }
                    return json.result();
                  });
            });
  }

  private void read(Supplier<JsonObject> message) {
    String id = null;
    try {
      JsonObject json = message.get();
      id = json.getValue("id") instanceof String given ? given : null;
      if (!RequestIds.valid(id)) {
        throw RagbusException.invalid("id must match " + RequestIds.PATTERN);
      }
      Object type = json.getValue("type");
      if ("rerank".equals(type)) {
        json.remove("type");
        json.remove("id");
        rerank(id, json);
      } else if ("cancel".equals(type)) {
        if (requests.containsKey(id)) {
          cancel(requests.get(id));
        }
      } else {
        throw RagbusException.invalid("type must be rerank or cancel");
      }
    } catch (DecodeException notJson) {
      refuse(id, RagbusException.invalid("the message must be a JSON object"));
    } catch (RagbusException refused) {
      refuse(id, refused);
    }
  }

  private void rerank(String id, JsonObject body) {
    if (requests.containsKey(id)) {
      throw RagbusException.of(Kind.CONFLICT, "id " + id + " is in use on this socket");
    }
    if (body.containsKey("documents") && !body.containsKey("texts")) {
      body.put("texts", body.remove("documents"));
    }
    RerankRequest ranking = JsonBodies.parse(body, RerankRequest.class);
    if (!server.enter.getAsBoolean()) {
      throw RagbusException.of(
          Kind.OVERLOADED, "you have http.max_requests_per_client requests under way");
    }
    Request request = new Request();
    requests.put(id, request);
    server
        .ragbus
        .withRequestId(request.travelId)
        .rerankStream(ranking)
        .onComplete(
            accepted -> {
              if (accepted.failed()) {
                end(id, FrameFormat.error(id, accepted.cause()));
              } else {
                accepted(id, request, accepted.result());
              }
            });
  }

  private void accepted(String id, Request request, RerankStream stream) {
    request.stream = stream;
    stream
        .exceptionHandler(failure -> end(id, FrameFormat.error(id, failure)))
        .endHandler(ended -> end(id, null));
    if (socket.writeQueueFull()) {
      stream.pause();
    }
    stream.handler(frame -> write(FrameFormat.json((Record) frame, id)));
    if (request.cancelled) {
      stream.cancel();
    }
  }

  private static void cancel(Request request) {
    request.cancelled = true;
    if (request.stream != null) {
      request.stream.cancel();
    }
  }

  private void end(String id, JsonObject lastFrame) {
    if (requests.remove(id) != null) {
      server.leave.run();
    }
    if (lastFrame != null) {
      write(lastFrame);
    }
  }

  private void refuse(String id, RagbusException failure) {
    if (socket.writeQueueFull()) {
      socket.close(POLICY_VIOLATION, "what is sent must be read");
    } else {
      write(FrameFormat.error(id, failure));
    }
  }

  private void write(JsonObject frame) {
    if (socket.isClosed()) {
      return;
    }
    socket.writeTextMessage(frame.encode());
    if (socket.writeQueueFull()) {
      eachStream(RerankStream::pause);
    }
  }

  private void eachStream(Consumer<RerankStream> action) {
    requests.values().stream()
        .map(request -> request.stream)
        .filter(stream -> stream != null)
        .forEach(action);
  }
}
