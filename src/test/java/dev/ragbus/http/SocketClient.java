// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

import dev.ragbus.Await;
import io.vertx.core.Vertx;
import io.vertx.core.http.WebSocket;
import io.vertx.core.http.WebSocketClient;
import io.vertx.core.http.WebSocketClientOptions;
import io.vertx.core.http.WebSocketConnectOptions;
import io.vertx.core.json.JsonObject;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import org.awaitility.Awaitility;

/** A client's socket and the frames it got. */
final class SocketClient {
  final WebSocket socket;
  final List<JsonObject> frames = new CopyOnWriteArrayList<>();

  private SocketClient(WebSocket socket) {
    this.socket = socket;
    socket.textMessageHandler(text -> frames.add(new JsonObject(text)));
  }

  /** Makes sockets that take long messages. */
  static WebSocketClient client(Vertx vertx) {
    return vertx.createWebSocketClient(
        new WebSocketClientOptions().setMaxFrameSize(1 << 24).setMaxMessageSize(1 << 24));
  }

  /** Connects; {@code authorization} is the header of that name, null for none. */
  static SocketClient connect(
      WebSocketClient sockets, int port, String path, String authorization) {
    // On the socket's own thread: a frame or a close that follows at once comes after the handlers.
    return Await.result(sockets.connect(to(port, path, authorization)).map(SocketClient::new));
  }

  static WebSocketConnectOptions to(int port, String path, String authorization) {
    WebSocketConnectOptions options =
        new WebSocketConnectOptions().setHost("127.0.0.1").setPort(port).setURI(path);
    return authorization == null ? options : options.addHeader("Authorization", authorization);
  }

  void send(JsonObject message) {
    socket.writeTextMessage(message.encode());
  }

  List<JsonObject> of(String id) {
    return frames.stream().filter(frame -> id.equals(frame.getString("id"))).toList();
  }

  JsonObject awaitLast(String id) {
    Awaitility.await()
        .until(
            () ->
                of(id).stream()
                    .anyMatch(f -> List.of("end", "error").contains(f.getString("type"))));
    List<JsonObject> own = of(id);
    return own.get(own.size() - 1);
  }
}
