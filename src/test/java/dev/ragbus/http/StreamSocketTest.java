// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

import static org.assertj.core.api.Assertions.assertThat;

import dev.ragbus.Await;
import dev.ragbus.FunctionSpec;
import dev.ragbus.Ragbus;
import dev.ragbus.service.TestService;
import io.vertx.core.Vertx;
import io.vertx.core.http.UpgradeRejectedException;
import io.vertx.core.http.WebSocketClient;
import io.vertx.core.http.WebSocketConnectOptions;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Collections;
import java.util.List;
import java.util.stream.IntStream;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.NullSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Real generators on a WebSocket, and who may open one: the real service behind keys. */
class StreamSocketTest {
  private static final String USE = "use-0123456789abcdef";
  private static final String ADMIN = "admin-0123456789abcdef";
  private static final String PATH = "/v1/ragbus/stream";
  private static final int REQUESTS_PER_CLIENT = 4;

  /** Says what it made and whether it was closed, in a module that others read. */
  private static final String COUNTING =
      """
      import ragbus
      def counting(n, pad=0):
          ragbus.socket_made, ragbus.socket_closed = 0, False
          try:
              for i in range(n):
                  ragbus.socket_made += 1
                  yield {"i": i, "pad": "x" * pad} if pad else i
          finally:
              ragbus.socket_closed = True
      """;

  private static Vertx vertx;
  private static TestService service;
  private static Ragbus ragbus;
  private static WebSocketClient sockets;
  private static int port;

  private final List<SocketClient> clients = new ArrayList<>();

  @BeforeAll
  static void start() {
    Awaitility.setDefaultTimeout(Duration.ofSeconds(60));
    vertx = Vertx.vertx();
    JsonObject config =
        new JsonObject()
            .put("functions", new JsonObject().put("allow_source", true))
            .put("lanes", new JsonObject().put("inference", 1))
            .put(
                "security",
                new JsonObject()
                    .put("keys", new JsonArray().add("use:" + USE).add("admin:" + ADMIN)))
            .put(
                "http",
                new JsonObject()
                    .put("port", 0)
                    .put("max_requests_per_client", REQUESTS_PER_CLIENT)
                    .put("allowed_origins", new JsonArray().add("https://pages.example.org")));
    service = TestService.start(vertx, config);
    ragbus = service.ragbus();
    port = Served.beside(vertx, config);
    sockets = SocketClient.client(vertx);
    register("counting", COUNTING);
    register(
        "seen", "import ragbus\ndef seen(): return [ragbus.socket_made, ragbus.socket_closed]");
    register("shout", "def shout(word, times=1): return word.upper() * times");
    register("fails", "def fails():\n    yield 'one'\n    raise ValueError('no more')");
  }

  private static void register(String name, String code) {
    Await.result(ragbus.register(FunctionSpec.ofCode(name, code)));
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
    clients.add(client);
    return client;
  }

  private static int refusal(WebSocketConnectOptions options) {
    Throwable failure = Await.failure(sockets.connect(options));
    assertThat(failure).isInstanceOf(UpgradeRejectedException.class);
    return ((UpgradeRejectedException) failure).getStatus();
  }

  private static JsonObject call(String id, String name, Object... args) {
    return new JsonObject()
        .put("type", "call")
        .put("id", id)
        .put("name", name)
        .put("args", new JsonArray(List.of(args)));
  }

  private static JsonObject rerank(String id, List<String> texts) {
    return new JsonObject()
        .put("type", "rerank")
        .put("id", id)
        .put("query", "q")
        .put("texts", new JsonArray(texts));
  }

  private static List<?> seen() {
    return (List<?>) Await.result(ragbus.call("seen")).result();
  }

  // Generators

  @Test
  void itemsComeInOrderBetweenStartAndEnd() {
    SocketClient client = connect(USE);
    client.send(call("c", "counting", 500));
    assertThat(client.awaitLast("c")).isEqualTo(new JsonObject().put("type", "end").put("id", "c"));
    List<JsonObject> frames = client.of("c");
    assertThat(frames.get(0))
        .isEqualTo(new JsonObject().put("type", "start").put("id", "c").put("name", "counting"));
    assertThat(frames.subList(1, 501))
        .isEqualTo(
            IntStream.range(0, 500)
                .mapToObj(i -> new JsonObject().put("type", "item").put("id", "c").put("value", i))
                .toList());
    assertThat(frames).hasSize(502);
    client.send(
        call("c", "shout", "an id is free again").put("kwargs", new JsonObject().put("times", 2)));
    Awaitility.await().until(() -> client.of("c").size() == 505);
    assertThat(client.of("c").get(503).getString("value"))
        .isEqualTo("AN ID IS FREE AGAINAN ID IS FREE AGAIN");
  }

  @Test
  void rankingsAndCallsShareASocket() {
    SocketClient client = connect(USE);
    client.send(call("call", "counting", 200));
    client.send(rerank("ranking", List.of("a", "b", "c")));
    client.send(call("ranking", "counting", 1));
    assertThat(client.awaitLast("call").getString("type")).isEqualTo("end");
    Awaitility.await()
        .until(
            () -> client.of("ranking").stream().anyMatch(f -> f.getString("type").equals("end")));
    assertThat(client.of("ranking").stream().filter(f -> f.containsKey("kind")))
        .singleElement()
        .matches(conflict -> conflict.getString("kind").equals("CONFLICT"));
  }

  @Test
  void aReaderThatIsSlowMakesTheGeneratorWait() {
    SocketClient client = connect(USE);
    int count = 2_000;
    client.socket.pause();
    client.send(call("slow", "counting", count, 20_000));
    Awaitility.await().ignoreExceptions().until(() -> (int) seen().get(0) > 0);
    Object[] before = new Object[1];
    Awaitility.await()
        .pollInterval(Duration.ofMillis(300))
        .until(
            () -> {
              Object made = seen().get(0);
              Object last = before[0];
              before[0] = made;
              return made.equals(last);
            });
    assertThat((int) before[0]).as("of 40 MB, what buffers hold was made").isLessThan(count);
    assertThat(seen().get(1)).isEqualTo(false);
    client.socket.resume();
    assertThat(client.awaitLast("slow").getString("type")).isEqualTo("end");
    assertThat(
            client.of("slow").subList(1, count + 1).stream()
                .map(frame -> frame.getJsonObject("value").getInteger("i")))
        .isEqualTo(IntStream.range(0, count).boxed().toList());
    assertThat(seen()).isEqualTo(List.of(count, true));
  }

  @Test
  void cancelAndAClosedSocketEndTheGenerator() {
    SocketClient client = connect(USE);
    client.send(call("c", "counting", 1_000_000_000));
    Awaitility.await().until(() -> client.frames.size() > 100);
    client.send(new JsonObject().put("type", "cancel").put("id", "c"));
    assertThat(client.awaitLast("c").getString("kind")).isEqualTo("CANCELLED");
    Awaitility.await().until(() -> (Boolean) seen().get(1));
    client.send(call("d", "counting", 1_000_000_000));
    Awaitility.await().until(() -> client.of("d").size() > 100);
    assertThat(seen().get(1)).isEqualTo(false);
    Await.result(client.socket.close());
    Awaitility.await().until(() -> (Boolean) seen().get(1));
  }

  @Test
  void whatFailsIsToldInItsFrame() {
    SocketClient client = connect(USE);
    client.send(call("raises", "fails"));
    client.send(call("unknown", "no_such_function"));
    client.send(call("field", "counting").put("other", 1));
    client.send(new JsonObject().put("type", "call").put("id", "nameless"));
    client.send(call("no items", "embed_texts").put("id", "plain"));
    assertThat(client.awaitLast("raises").getString("kind")).isEqualTo("PYTHON");
    assertThat(client.of("raises").get(1).getString("value")).isEqualTo("one");
    assertThat(client.of("raises").get(2).getString("message")).contains("no more");
    assertThat(client.awaitLast("unknown").getInteger("code")).isEqualTo(404);
    assertThat(client.awaitLast("field").getString("message")).startsWith("other is not a field");
    assertThat(client.awaitLast("nameless").getString("message")).startsWith("name ");
    assertThat(client.awaitLast("plain").getInteger("code")).isEqualTo(400);
  }

  // Who may

  @ParameterizedTest
  @NullSource
  @ValueSource(strings = {"Bearer wrong-0123456789abcdef", "Bearer " + USE + "x", "Basic eDp5"})
  void withoutAKeyThereIsNoSocket(String authorization) {
    for (String path : List.of("/v1/rerank/stream", PATH)) {
      assertThat(refusal(SocketClient.to(port, path, authorization))).isEqualTo(401);
    }
  }

  @Test
  void foreignPagesAreRefusedEvenWithAKey() {
    String key = "Bearer " + ADMIN;
    for (String origin : List.of("https://example.org", "null", "http://127.0.0.1:1")) {
      assertThat(refusal(SocketClient.to(port, PATH, key).addHeader("Origin", origin)))
          .as(origin)
          .isEqualTo(403);
    }
    for (String origin : List.of("https://pages.example.org", "http://127.0.0.1:" + port)) {
      Await.result(
          sockets
              .connect(SocketClient.to(port, PATH, key).addHeader("Origin", origin))
              .compose(socket -> socket.close()));
    }
  }

  @Test
  void aPagesBrowserSendsTheKeyAsThePassword() {
    String basic =
        Base64.getEncoder().encodeToString(("any:" + USE).getBytes(StandardCharsets.UTF_8));
    SocketClient client = SocketClient.connect(sockets, port, PATH, "Basic " + basic);
    clients.add(client);
    client.send(call("c", "counting", 1));
    assertThat(client.awaitLast("c").getString("type")).isEqualTo("end");
  }

  @Test
  void functionsForAdminsAreRefusedToOthers() {
    SocketClient client = connect(USE);
    for (String name : List.of("load_model", "clear_cache")) {
      client.send(call(name, name));
      assertThat(client.awaitLast(name).getString("kind")).isEqualTo("FORBIDDEN");
    }
    SocketClient admin = connect(ADMIN);
    admin.send(call("clear_cache", "clear_cache"));
    assertThat(admin.awaitLast("clear_cache").getString("message")).contains("makes no items");
  }

  // Bounds

  @Test
  void aClientHasSoManyRequestsOnAllItsSockets() {
    SocketClient one = connect(USE);
    SocketClient two = connect(USE);
    for (int i = 0; i < REQUESTS_PER_CLIENT; i++) {
      String id = "r" + i;
      SocketClient client = i % 2 == 0 ? one : two;
      client.send(rerank(id, Collections.nCopies(50, "many words make the work long ".repeat(20))));
      Awaitility.await().until(() -> !client.of(id).isEmpty());
    }
    two.send(rerank("more", List.of("a")));
    assertThat(two.awaitLast("more").getString("kind")).isEqualTo("OVERLOADED");
    SocketClient other = connect(ADMIN);
    other.send(rerank("another's", List.of("a")).put("id", "other"));
    assertThat(other.awaitLast("other").getString("type")).isEqualTo("end");
    one.send(new JsonObject().put("type", "cancel").put("id", "r0"));
    assertThat(one.awaitLast("r0").getString("kind")).isEqualTo("CANCELLED");
    two.send(call("more-2", "shout", "a"));
    assertThat(two.awaitLast("more-2").getString("type")).isEqualTo("end");
  }

  @Test
  void aClientHasSoManySockets() {
    IntStream.range(0, REQUESTS_PER_CLIENT).forEach(i -> connect(USE));
    assertThat(refusal(SocketClient.to(port, PATH, "Bearer " + USE))).isEqualTo(429);
    connect(ADMIN);
    Await.result(clients.get(0).socket.close());
    Awaitility.await()
        .ignoreExceptions()
        .untilAsserted(
            () -> {
              SocketClient again = connect(USE);
              again.send(call("c", "counting", 1));
              assertThat(again.awaitLast("c").getString("type")).isEqualTo("end");
            });
  }
}
