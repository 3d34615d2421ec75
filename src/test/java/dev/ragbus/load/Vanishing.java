// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.load;

import dev.ragbus.Addresses;
import io.vertx.core.Future;
import io.vertx.core.Promise;
import io.vertx.core.Vertx;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.eventbus.DeliveryOptions;
import io.vertx.core.eventbus.MessageConsumer;
import io.vertx.core.http.WebSocketClient;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import io.vertx.core.net.NetClient;
import java.util.List;
import java.util.Random;
import java.util.UUID;

/** Clients that ask and do not wait for the answer; each completes when its client has gone. */
final class Vanishing {
  private static final int LONGEST_STAY_MILLIS = 30;

  private final Vertx vertx;
  private final NetClient connections;
  private final WebSocketClient sockets;
  private final int port;
  private final JsonObject ranking;

  Vanishing(Vertx vertx, int port, String query, List<String> texts) {
    this.vertx = vertx;
    this.connections = vertx.createNetClient();
    this.sockets = vertx.createWebSocketClient();
    this.port = port;
    this.ranking = new JsonObject().put("query", query).put("documents", new JsonArray(texts));
  }

  /** One of them. */
  Future<?> one(Random random) {
    return switch (random.nextInt(4)) {
      case 0 -> closesItsConnection(random, "application/json");
      case 1 -> closesItsConnection(random, "application/x-ndjson");
      case 2 -> closesItsSocket();
      default -> stopsListening();
    };
  }

  /** Sends a request for a reply, or for a stream, and closes the connection a little later. */
  private Future<?> closesItsConnection(Random random, String accept) {
    Buffer body = ranking.toBuffer();
    String head =
        "POST /v1/rerank HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nAccept: "
            + accept
            + "\r\nContent-Length: "
            + body.length()
            + "\r\n\r\n";
    return connections
        .connect(port, "127.0.0.1")
        .compose(
            socket ->
                socket
                    .write(Buffer.buffer(head).appendBuffer(body))
                    .compose(sent -> vertx.timer(1 + random.nextInt(LONGEST_STAY_MILLIS)))
                    .compose(stayed -> socket.close()));
  }

  /** Opens a WebSocket, asks for a ranking, and closes it when frames come. */
  private Future<?> closesItsSocket() {
    Promise<Void> frames = Promise.promise();
    return sockets
        .connect(port, "127.0.0.1", "/v1/rerank/stream")
        .compose(
            socket -> {
              socket.textMessageHandler(frame -> frames.tryComplete());
              socket.closeHandler(closed -> frames.tryComplete());
              JsonObject request =
                  new JsonObject()
                      .put("type", "rerank")
                      .put("id", "v")
                      .put("query", ranking.getString("query"))
                      .put("texts", ranking.getJsonArray("documents"));
              return socket
                  .writeTextMessage(request.encode())
                  .compose(sent -> frames.future())
                  .compose(came -> socket.close());
            });
  }

  /** Asks for a stream on the event bus, and stops listening when the first frame comes. */
  private Future<?> stopsListening() {
    String address = "vanishing." + UUID.randomUUID();
    Promise<Void> left = Promise.promise();
    MessageConsumer<Object> consumer = vertx.eventBus().consumer(address);
    consumer.handler(frame -> consumer.unregister().onComplete(left));
    JsonObject request =
        new JsonObject()
            .put("query", ranking.getString("query"))
            .put("texts", ranking.getJsonArray("documents"));
    DeliveryOptions options =
        new DeliveryOptions().addHeader(Addresses.STREAM_ADDRESS_HEADER, address);
    return vertx
        .eventBus()
        .request("rag.rerank.stream", request, options)
        .compose(accepted -> left.future());
  }
}
