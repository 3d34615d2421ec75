// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

import static org.assertj.core.api.Assertions.assertThat;

import dev.ragbus.Await;
import dev.ragbus.service.TestService;
import io.vertx.core.Handler;
import io.vertx.core.Vertx;
import io.vertx.core.eventbus.DeliveryContext;
import io.vertx.core.http.UpgradeRejectedException;
import io.vertx.core.http.WebSocket;
import io.vertx.core.http.WebSocketClient;
import io.vertx.core.http.WebSocketConnectOptions;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The SockJS bridge over its raw WebSocket: the real service behind keys. */
class EventBusBridgeTest {
  private static final String KEY = "use-0123456789abcdef";
  private static final String OTHER_KEY = "use-abcdef0123456789";
  private static final String PATH = "/eventbus/websocket";
  private static final int REQUESTS_PER_CLIENT = 3;

  private static Vertx vertx;
  private static TestService service;
  private static WebSocketClient sockets;
  private static int port;

  private final List<SocketClient> clients = new ArrayList<>();

  @BeforeAll
  static void start() {
    Awaitility.setDefaultTimeout(Duration.ofSeconds(30));
    vertx = Vertx.vertx();
    JsonObject config =
        new JsonObject()
            .put("bus", new JsonObject().put("address_prefix", "mine"))
            .put(
                "security",
                new JsonObject()
                    .put("keys", new JsonArray().add("use:" + KEY).add("use:" + OTHER_KEY)))
            .put(
                "http",
                new JsonObject()
                    .put("port", 0)
                    .put("max_requests_per_client", REQUESTS_PER_CLIENT));
    service = TestService.start(vertx, config);
    config.getJsonObject("http").put("event_bus_bridge", true);
    port = Served.beside(vertx, config);
    sockets = SocketClient.client(vertx);
  }

  @AfterAll
  static void stop() {
    Awaitility.reset();
    service.close();
    Await.result(vertx.close());
  }

  @AfterEach
  void disconnect() {
    clients.forEach(client -> Await.result(client.socket.close()));
  }

  private SocketClient connect(String key) {
    SocketClient client = SocketClient.connect(sockets, port, PATH, "Bearer " + key);
    // The bridge's messages are frames of bytes.
    client.socket.binaryMessageHandler(bytes -> client.frames.add(bytes.toJsonObject()));
    clients.add(client);
    return client;
  }

  private static JsonObject message(String type, String address, String replyAddress) {
    JsonObject message = new JsonObject().put("type", type).put("address", address);
    return replyAddress == null ? message : message.put("replyAddress", replyAddress);
  }

  private static JsonObject embed(String replyAddress, int texts) {
    JsonArray all = new JsonArray();
    for (int i = 0; i < texts; i++) {
      all.add("many words make the work long ".repeat(20));
    }
    return message("send", "mine.embed", replyAddress)
        .put("body", new JsonObject().put("texts", all));
  }

  private static JsonObject reply(SocketClient client, String replyAddress) {
    Awaitility.await()
        .until(
            () ->
                client.frames.stream().anyMatch(f -> replyAddress.equals(f.getString("address"))));
    return client.frames.stream()
        .filter(frame -> replyAddress.equals(frame.getString("address")))
        .findFirst()
        .orElseThrow();
  }

  private static int refusal(WebSocketConnectOptions options) {
    Throwable failure = Await.failure(sockets.connect(options));
    assertThat(failure).isInstanceOf(UpgradeRejectedException.class);
    return ((UpgradeRejectedException) failure).getStatus();
  }

  @Test
  void whatIsPermittedIsAnswered() {
    SocketClient client = connect(KEY);
    client.send(
        message("send", "mine.embed", "e")
            .put("body", new JsonObject().put("texts", new JsonArray().add("a").add("b"))));
    client.send(
        message("send", "mine.tokenize", "t")
            .put("body", new JsonObject().put("texts", new JsonArray().add("a"))));
    JsonObject embedded = reply(client, "e").getJsonObject("body");
    assertThat(embedded.getInteger("count")).isEqualTo(2);
    assertThat(embedded.getJsonArray("embeddings").getJsonArray(1)).hasSize(384);
    JsonArray tokens = reply(client, "t").getJsonObject("body").getJsonArray("tokens");
    assertThat(tokens.getJsonArray(0)).hasSize(3);
    client.send(message("send", "mine.health", "h").put("body", new JsonObject()));
    assertThat(reply(client, "h").getJsonObject("body").getString("status")).isEqualTo("UP");
    client.send(
        message("send", "mine.rerank", "r")
            .put(
                "body", new JsonObject().put("query", "q").put("texts", new JsonArray().add("a"))));
    assertThat(reply(client, "r").getJsonObject("body").getJsonArray("ranked_results")).hasSize(1);
    JsonArray ids = new JsonArray().add(new JsonArray().add(7592));
    client.send(message("send", "mine.decode", "d").put("body", new JsonObject().put("ids", ids)));
    assertThat(reply(client, "d").getJsonObject("body").getJsonArray("texts"))
        .isEqualTo(new JsonArray().add("hello"));
    client.send(
        message("send", "mine.embed", "f")
            .put("body", new JsonObject().put("texts", new JsonArray().add("a")).put("other", 1)));
    JsonObject failure = reply(client, "f");
    assertThat(failure.getInteger("failureCode")).isEqualTo(400);
    assertThat(failure.getString("message")).startsWith("INVALID: other is not a field");
  }

  @Test
  void aRequestIsItsClientsWhateverItSays() {
    List<String> callers = new CopyOnWriteArrayList<>();
    Handler<DeliveryContext<Object>> look =
        delivery -> {
          if (delivery.message().address().equals("mine.health")) {
            callers.add(delivery.message().headers().get("caller"));
          }
          delivery.next();
        };
    vertx.eventBus().addInboundInterceptor(look);
    SocketClient client = connect(KEY);
    for (String said : List.of("one", "another")) {
      client.send(
          message("send", "mine.health", said)
              .put("headers", new JsonObject().put("Caller", said).put("caller", said))
              .put("body", new JsonObject()));
      reply(client, said);
    }
    client.send(message("send", "mine.health", "none").put("body", new JsonObject()));
    reply(client, "none");
    vertx.eventBus().removeInboundInterceptor(look);
    assertThat(callers).hasSize(3).doesNotContainNull().doesNotContain("one", "another");
    assertThat(Set.copyOf(callers)).hasSize(1);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "send mine.models.load",
        "send mine.models.clear",
        "send mine.functions.call",
        "send mine.functions.register",
        "send mine.functions.stream",
        "send mine.memory.cleanup",
        "send mine.stats",
        "send mine.cancel",
        "send mine.embeds",
        "send rag.embed",
        "publish mine.embed",
        "publish mine.cancel",
        "register mine.embed",
        "register mine.cancel",
        "register other",
      })
  void nothingElseIs(String typeAndAddress) {
    String[] both = typeAndAddress.split(" ");
    SocketClient client = connect(KEY);
    client.send(message(both[0], both[1], "r").put("body", new JsonObject()));
    Awaitility.await().until(() -> !client.frames.isEmpty());
    assertThat(client.frames.get(0).getString("type")).isEqualTo("err");
    assertThat(client.frames.get(0).getString("body")).isIn("access_denied", "rejected");
  }

  @Test
  void aRequestThatWantsNoReplyIsRefused() {
    SocketClient client = connect(KEY);
    client.send(embed(null, 1));
    Awaitility.await().until(() -> !client.frames.isEmpty());
    assertThat(client.frames.get(0).getString("body")).isEqualTo("rejected");
  }

  @Test
  void requestsAndSocketsOfAClientAreBounded() {
    SocketClient client = connect(KEY);
    for (int i = 0; i < REQUESTS_PER_CLIENT; i++) {
      client.send(embed("e" + i, 100));
    }
    client.send(embed("more", 1));
    Awaitility.await().until(() -> !client.frames.isEmpty());
    assertThat(client.frames.get(0).getString("body")).isEqualTo("max_handlers_reached");
    for (int i = 0; i < REQUESTS_PER_CLIENT; i++) {
      assertThat(reply(client, "e" + i).getJsonObject("body").getInteger("count")).isEqualTo(100);
    }
    for (int i = 1; i < REQUESTS_PER_CLIENT; i++) {
      connect(KEY);
    }
    // Closed by the server at once, so it takes no handlers.
    WebSocket beyond = Await.result(sockets.connect(SocketClient.to(port, PATH, "Bearer " + KEY)));
    Awaitility.await().until(beyond::isClosed);
    SocketClient other = connect(OTHER_KEY);
    other.send(embed("e", 1));
    assertThat(reply(other, "e").getJsonObject("body").getInteger("count")).isOne();
    Await.result(client.socket.close());
    Awaitility.await()
        .ignoreExceptions()
        .untilAsserted(
            () -> {
              SocketClient again = connect(KEY);
              again.send(embed("e", 1));
              Awaitility.await().until(() -> again.socket.isClosed() || !again.frames.isEmpty());
              assertThat(again.frames).isNotEmpty();
            });
  }

  @Test
  void strangersForeignPagesAndOtherTransportsGetNowhere() {
    String key = "Bearer " + KEY;
    assertThat(refusal(SocketClient.to(port, PATH, null))).isEqualTo(401);
    assertThat(refusal(SocketClient.to(port, PATH, key + "x"))).isEqualTo(401);
    assertThat(refusal(SocketClient.to(port, PATH, key).addHeader("Origin", "https://example.org")))
        .isEqualTo(403);
    Await.result(
        sockets
            .connect(
                SocketClient.to(port, PATH, key).addHeader("Origin", "http://127.0.0.1:" + port))
            .compose(socket -> socket.close()));
    for (String other : List.of("xhr", "xhr_streaming", "eventsource", "htmlfile", "jsonp")) {
      assertThat(refusal(SocketClient.to(port, "/eventbus/123/session/" + other, key)))
          .as(other)
          .isEqualTo(404);
    }
  }

  @Test
  void withoutTheOptionThereIsNone() {
    int plain = Served.beside(vertx, new JsonObject().put("http", new JsonObject().put("port", 0)));
    assertThat(refusal(SocketClient.to(plain, PATH, null))).isEqualTo(404);
  }
}
