// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

import dev.ragbus.FunctionCall;
import dev.ragbus.FunctionStream;
import dev.ragbus.JsonBodies;
import dev.ragbus.Ragbus;
import dev.ragbus.RagbusException;
import dev.ragbus.RagbusException.Kind;
import dev.ragbus.RequestIds;
import dev.ragbus.RerankRequest;
import io.netty.handler.codec.http.websocketx.CorruptedWebSocketFrameException;
import io.vertx.core.Handler;
import io.vertx.core.Vertx;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.ServerWebSocket;
import io.vertx.core.json.DecodeException;
import io.vertx.core.json.JsonObject;
import io.vertx.core.streams.ReadStream;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import java.util.function.Consumer;

/**
 * A WebSocket on which a client has texts ranked and generators run: any number of requests, told
 * apart by the ids the client gives them.
 *
 * <p>The client sends {@code {"type":"rerank","id",…}} with the fields of {@link RerankRequest},
 * {@code {"type":"call","id",…}} with those of {@link FunctionCall}, and {@code
 * {"type":"cancel","id"}}. It gets the frames of {@link dev.ragbus.RerankFrame}, or {@code start},
 * {@code item} and {@code end} as on the event bus, and {@link dev.ragbus.StreamError}. A client
 * that does not read makes its streams wait; one that answers no ping within the idle timeout is
 * cut; when the socket closes, all its streams end.
 */
final class StreamSocket {
  /** Longer messages are read off the event loop. */
  private static final int LARGE_MESSAGE_CHARS = 256 * 1024;

  private static final short GOING_AWAY = 1001;
  private static final short PROTOCOL_ERROR = 1002;
  private static final short POLICY_VIOLATION = 1008;

  /**
   * What the socket needs of its server.
   *
   * @param ragbus the facade, as the client's
   * @param timeouts what the client says that it waits
   * @param client the client's name
   * @param access what the client may do
   * @param idleTimeout how long a client may be silent
   * @param bodies bounds messages
   * @param connections counts requests
   */
  record Server(
      Vertx vertx,
      Ragbus ragbus,
      Timeouts timeouts,
      String client,
      Access access,
      Duration idleTimeout,
      Bodies bodies,
      Connections connections) {}

  private static final class Request {
    private final String travelId = UUID.randomUUID().toString();
    private ReadStream<?> stream;
    private Runnable ending;
    private boolean cancelled;
  }

  private final Server server;
  private final ServerWebSocket socket;
  private final Map<String, Request> requests = new HashMap<>();
  private final TextMessages messages;
  private final long pingTimer;
  private boolean heard = true;

  StreamSocket(Server server, ServerWebSocket socket) {
    this.server = server;
    this.socket = socket;
    messages =
        new TextMessages(
            socket,
            server.bodies,
            this::received,
            () -> refuse(null, RagbusException.invalid("the message must be text")));
    socket.frameHandler(messages);
    socket.pongHandler(pong -> heard = true);
    socket.drainHandler(v -> eachStream(ReadStream::resume));
    socket.exceptionHandler(failure -> socket.close(closeCode(failure), "no WebSocket frame"));
    socket.closeHandler(v -> closed());
    socket.shutdownHandler(v -> socket.close(GOING_AWAY, "the server is shutting down"));
    pingTimer =
        server.vertx.setPeriodic(Math.max(1, server.idleTimeout.toMillis() / 2), id -> ping());
  }

  private static short closeCode(Throwable failure) {
    return failure instanceof CorruptedWebSocketFrameException broken
        ? (short) broken.closeStatus().code()
        : PROTOCOL_ERROR;
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
    messages.closed();
    List.copyOf(requests.values()).forEach(StreamSocket::cancel);
    server.connections.leaveSocket(server.client);
  }

  private void received(String text) {
    heard = true;
    if (text.length() <= LARGE_MESSAGE_CHARS) {
      read(json(text));
      return;
    }
    socket.pause();
    server
        .vertx
        .executeBlocking(() -> json(text))
        .onSuccess(
            json -> {
              socket.resume();
              if (!socket.isClosed()) {
                read(json);
              }
            });
  }

  private static Optional<JsonObject> json(String text) {
    try {
      return Optional.of(new JsonObject(text));
    } catch (DecodeException notJson) {
      return Optional.empty();
    }
  }

  private void read(Optional<JsonObject> message) {
    String id = null;
    try {
      JsonObject json =
          message.orElseThrow(() -> RagbusException.invalid("the message must be a JSON object"));
      id = json.getValue("id") instanceof String given ? given : null;
      if (!RequestIds.valid(id)) {
        throw RagbusException.invalid("id must match " + RequestIds.PATTERN);
      }
      String type = json.remove("type") instanceof String given ? given : "";
      json.remove("id");
      switch (type) {
        case "rerank" -> rerank(id, json);
        case "call" -> call(id, json);
        case "cancel" -> {
          if (requests.containsKey(id)) {
            cancel(requests.get(id));
          }
        }
        default -> throw RagbusException.invalid("type must be rerank, call or cancel");
      }
    } catch (RagbusException refused) {
      refuse(id, refused);
    }
  }

  private void rerank(String id, JsonObject body) {
    if (body.containsKey("documents") && !body.containsKey("texts")) {
      body.put("texts", body.remove("documents"));
    }
    RerankRequest ranking = JsonBodies.parse(body, RerankRequest.class);
    Request request = enter(id);
    server
        .ragbus
        .withTimeout(server.timeouts.of("rerank_texts"))
        .withRequestId(request.travelId)
        .rerankStream(ranking)
        .onSuccess(
            stream ->
                accepted(
                    id,
                    request,
                    stream,
                    stream::cancel,
                    frame -> write(FrameFormat.json((Record) frame, id))))
        .onFailure(refused -> end(id, FrameFormat.error(id, refused)));
  }

  private void call(String id, JsonObject body) {
    FunctionCall call = JsonBodies.parse(body, FunctionCall.class);
    AdminDialect.requireRole(server.access, call);
    Request request = enter(id);
    server
        .ragbus
        .withTimeout(server.timeouts.ofCall(call.name()))
        .withRequestId(request.travelId)
        .stream(call)
        .onSuccess(
            stream -> {
              write(frame("start", id).put("name", call.name()));
              accepted(
                  id,
                  request,
                  stream,
                  stream::cancel,
                  item -> write(frame("item", id).put("value", item)));
            })
        .onFailure(refused -> end(id, FrameFormat.error(id, refused)));
  }

  private static JsonObject frame(String type, String id) {
    return new JsonObject().put("type", type).put("id", id);
  }

  private Request enter(String id) {
    if (requests.containsKey(id)) {
      throw RagbusException.of(Kind.CONFLICT, "id " + id + " is in use on this socket");
    }
    server.connections.enter(server.client);
    Request request = new Request();
    requests.put(id, request);
    return request;
  }

  private <F> void accepted(
      String id, Request request, ReadStream<F> stream, Runnable ending, Handler<F> reader) {
    request.stream = stream;
    request.ending = ending;
    stream.exceptionHandler(failure -> end(id, FrameFormat.error(id, failure)));
    // A ranking's own last frame goes to its reader.
    stream.endHandler(ended -> end(id, stream instanceof FunctionStream ? frame("end", id) : null));
    if (socket.writeQueueFull()) {
      stream.pause();
    }
    stream.handler(reader);
    if (request.cancelled) {
      ending.run();
    }
  }

  private static void cancel(Request request) {
    request.cancelled = true;
    if (request.ending != null) {
      request.ending.run();
    }
  }

  private void end(String id, JsonObject lastFrame) {
    if (requests.remove(id) != null) {
      server.connections.leave(server.client);
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
      eachStream(ReadStream::pause);
    }
  }

  private void eachStream(Consumer<ReadStream<?>> action) {
    requests.values().stream()
        .map(request -> request.stream)
        .filter(stream -> stream != null)
        .forEach(action);
  }
}
