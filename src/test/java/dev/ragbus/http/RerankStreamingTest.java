// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.ragbus.Await;
import dev.ragbus.Ragbus;
import dev.ragbus.RerankRequest;
import dev.ragbus.service.TestService;
import io.vertx.core.Vertx;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.UpgradeRejectedException;
import io.vertx.core.http.WebSocketClient;
import io.vertx.core.http.WebSocketConnectOptions;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.IntStream;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Streamed rankings over HTTP and WebSockets: the real service, read by real clients. */
class RerankStreamingTest {
  private static final String LONG = "many words make the work long ".repeat(40);

  private static Vertx vertx;
  private static TestService service;
  private static Ragbus ragbus;
  private static WebSocketClient sockets;
  private static int port;
  private static final HttpClient HTTP = HttpClient.newHttpClient();

  @BeforeAll
  static void start() {
    Awaitility.setDefaultTimeout(Duration.ofSeconds(60));
    vertx = Vertx.vertx();
    JsonObject config =
        new JsonObject()
            .put("limits", new JsonObject().put("max_body_bytes", 1 << 20))
            .put("http", new JsonObject().put("port", 0));
    service = TestService.start(vertx, config);
    ragbus = service.ragbus();
    port = Served.beside(vertx, config);
    sockets = SocketClient.client(vertx);
  }

  @AfterAll
  static void stop() {
    Awaitility.reset();
    service.close();
    Await.result(vertx.close());
  }

  private static List<String> texts(int count) {
    return IntStream.range(0, count)
        .mapToObj(i -> "text number " + i + " word".repeat(i % 30))
        .toList();
  }

  private static String uri(String path) {
    return "http://127.0.0.1:" + port + path;
  }

  private static HttpRequest post(String accept, JsonObject body) {
    return HttpRequest.newBuilder(URI.create(uri("/v1/rerank")))
        .header("Content-Type", "application/json")
        .header("Accept", accept)
        .header("X-Request-Id", "mine")
        .POST(HttpRequest.BodyPublishers.ofString(body.encode()))
        .build();
  }

  private static JsonObject body(List<String> texts) {
    return new JsonObject().put("query", "number seven").put("documents", new JsonArray(texts));
  }

  private static void awaitNothingLeft() {
    Awaitility.await().until(() -> Await.result(ragbus.stats()).queue().items() == 0);
  }

  /** Checks the frames of one request against the plain reply. */
  private static void assertStreamed(String id, List<String> texts, List<JsonObject> frames) {
    var ranking = Await.result(ragbus.rerank(RerankRequest.of("number seven", texts)));
    assertThat(frames).allMatch(frame -> frame.getString("id").equals(id));
    assertThat(frames.get(0).encode())
        .isEqualTo(
            "{\"type\":\"start\",\"id\":\""
                + id
                + "\",\"model\":\"all-MiniLM-L6-v2\",\"method\":\"similarity\",\"total\":"
                + texts.size()
                + "}");
    JsonObject end = frames.get(frames.size() - 1);
    assertThat(end.getString("type")).isEqualTo("end");
    double[] scores = new double[texts.size()];
    int told = 0;
    for (JsonObject frame : frames.subList(1, frames.size() - 1)) {
      assertThat(frame.getString("type")).isEqualTo("partial");
      for (Object each : frame.getJsonArray("results")) {
        JsonObject result = (JsonObject) each;
        scores[result.getInteger("index")] = result.getDouble("score");
        told++;
      }
      assertThat(frame.getInteger("done")).isEqualTo(told);
    }
    assertThat(told).isEqualTo(texts.size());
    JsonArray ranked = end.getJsonArray("ranked_results");
    assertThat(ranked).hasSameSizeAs(ranking.rankedResults());
    for (int i = 0; i < ranked.size(); i++) {
      JsonObject result = ranked.getJsonObject(i);
      int index = result.getInteger("index");
      double score = result.getDouble("score");
      assertThat(score).isEqualTo(scores[index]);
      assertThat(result.getString("text")).isEqualTo(texts.get(index));
      var unary = ranking.rankedResults().stream().filter(r -> r.index() == index).findFirst();
      assertThat(Math.abs(unary.orElseThrow().score() - score)).isLessThan(1e-2);
    }
  }

  @Test
  void newlineDelimitedJsonByAccept() throws Exception {
    List<String> texts = texts(200);
    HttpResponse<java.util.stream.Stream<String>> response =
        HTTP.send(post("application/x-ndjson", body(texts)), HttpResponse.BodyHandlers.ofLines());
    assertThat(response.statusCode()).isEqualTo(200);
    assertThat(response.headers().firstValue("Content-Type")).contains("application/x-ndjson");
    assertStreamed("mine", texts, response.body().map(JsonObject::new).toList());
  }

  @Test
  void serverSentEventsByAccept() throws Exception {
    List<String> texts = texts(100);
    HttpResponse<String> response =
        HTTP.send(
            post("text/html;q=0.1, text/event-stream", body(texts)),
            HttpResponse.BodyHandlers.ofString());
    assertThat(response.headers().firstValue("Content-Type")).contains("text/event-stream");
    List<JsonObject> frames = new CopyOnWriteArrayList<>();
    for (String event : response.body().split("\n\n")) {
      String[] lines = event.split("\n");
      assertThat(lines).hasSize(2);
      JsonObject frame = new JsonObject(lines[1].substring("data: ".length()));
      assertThat(lines[0]).isEqualTo("event: " + frame.getString("type"));
      frames.add(frame);
    }
    assertStreamed("mine", texts, frames);
  }

  @Test
  void curlSeesEventsAsTheyCome() throws Exception {
    assumeTrue(Files.isExecutable(Path.of("/usr/bin/curl")), "there is a curl");
    Process curl =
        new ProcessBuilder(
                "curl",
                "-sN",
                "-H",
                "Content-Type: application/json",
                "-H",
                "Accept: text/event-stream",
                "-d",
                body(texts(50)).put("running_top", true).put("top_n", 2).encode(),
                uri("/v1/rerank"))
            .redirectErrorStream(true)
            .start();
    String output = new String(curl.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertThat(curl.waitFor()).as(output).isZero();
    assertThat(output.lines().filter(line -> line.startsWith("event: ")).toList())
        .startsWith("event: start", "event: partial", "event: top")
        .endsWith("event: top", "event: end");
  }

  @Test
  void whatIsRefusedIsAPlainFailure() throws Exception {
    HttpResponse<String> unknown =
        HTTP.send(
            post("application/x-ndjson", body(List.of("a")).put("model", "no-such-model")),
            HttpResponse.BodyHandlers.ofString());
    assertThat(unknown.statusCode()).isEqualTo(404);
    assertThat(new JsonObject(unknown.body()).getJsonObject("error").getString("message"))
        .contains("no-such-model");
    HttpResponse<String> json =
        HTTP.send(
            post("application/json, text/event-stream", body(List.of("a"))),
            HttpResponse.BodyHandlers.ofString());
    assertThat(new JsonObject(json.body()).getJsonArray("results")).hasSize(1);
  }

  @Test
  void aMissedDeadlineEndsTheFrames() throws Exception {
    HttpRequest request =
        HttpRequest.newBuilder(
                post("application/x-ndjson", body(Collections.nCopies(800, LONG))), (n, v) -> true)
            .header("X-Timeout-Ms", "300")
            .build();
    List<JsonObject> frames =
        HTTP.send(request, HttpResponse.BodyHandlers.ofLines())
            .body()
            .map(JsonObject::new)
            .toList();
    JsonObject last = frames.get(frames.size() - 1);
    assertThat(last.getString("type")).isEqualTo("error");
    assertThat(last.getString("kind")).isEqualTo("TIMEOUT");
    assertThat(last.getInteger("code")).isEqualTo(504);
    awaitNothingLeft();
  }

  @Test
  void aClientThatGoesStopsTheWork() throws Exception {
    HttpResponse<InputStream> response =
        HTTP.send(
            post("application/x-ndjson", body(Collections.nCopies(800, LONG))),
            HttpResponse.BodyHandlers.ofInputStream());
    assertThat(response.body().read()).isEqualTo('{');
    assertThat(Await.result(ragbus.stats()).queue().items()).isPositive();
    long rows = Await.result(ragbus.stats()).queue().rows();
    response.body().close();
    awaitNothingLeft();
    assertThat(Await.result(ragbus.stats()).queue().rows() - rows).isLessThan(700);
  }

  private static SocketClient connect() {
    return connect(port);
  }

  private static SocketClient connect(int port) {
    return SocketClient.connect(sockets, port, "/v1/rerank/stream", null);
  }

  private static void rerank(SocketClient client, String id, List<String> texts) {
    client.send(
        new JsonObject()
            .put("type", "rerank")
            .put("id", id)
            .put("query", "number seven")
            .put("texts", new JsonArray(texts)));
  }

  @Test
  void severalRequestsOnOneSocket() {
    SocketClient client = connect();
    List<String> texts = texts(120);
    rerank(client, "a", texts);
    rerank(client, "b", texts.subList(0, 60));
    client.send(
        new JsonObject()
            .put("type", "rerank")
            .put("id", "c")
            .put("query", "q")
            .put("documents", new JsonArray())
            .put("return_texts", false));
    assertThat(client.awaitLast("a").getString("type")).isEqualTo("end");
    assertThat(client.awaitLast("b").getString("type")).isEqualTo("end");
    assertThat(client.awaitLast("c").getString("type")).isEqualTo("end");
    assertStreamed("a", texts, client.of("a"));
    assertStreamed("b", texts.subList(0, 60), client.of("b"));
    rerank(client, "a", List.of("an id is free again after its end"));
    Awaitility.await()
        .until(
            () ->
                client.of("a").stream().filter(f -> f.getString("type").equals("end")).count()
                    == 2);
    client.socket.close();
  }

  @Test
  void cancelStopsOneRequestAndNoOther() {
    SocketClient client = connect();
    rerank(client, "long", Collections.nCopies(700, LONG));
    rerank(client, "short", texts(40));
    Awaitility.await().until(() -> !client.of("long").isEmpty());
    client.send(new JsonObject().put("type", "cancel").put("id", "long"));
    client.send(new JsonObject().put("type", "cancel").put("id", "unknown"));
    assertThat(client.awaitLast("long").getString("kind")).isEqualTo("CANCELLED");
    assertThat(client.awaitLast("short").getString("type")).isEqualTo("end");
    assertThat(client.of("unknown")).isEmpty();
    awaitNothingLeft();
    client.socket.close();
  }

  @Test
  void badMessagesAreAnsweredAndNothingElseIsHurt() {
    SocketClient client = connect();
    rerank(client, "good", texts(300));
    rerank(client, "good", texts(2));
    client.socket.writeTextMessage("{not json");
    client.socket.writeTextMessage("[1]");
    client.socket.writeBinaryMessage(Buffer.buffer("x"));
    client.send(new JsonObject().put("type", "rerank").put("query", "q"));
    client.send(new JsonObject().put("type", "rerank").put("id", 7));
    client.send(new JsonObject().put("type", "dance").put("id", "i1"));
    client.send(new JsonObject().put("type", "rerank").put("id", "i2").put("query", "q"));
    client.send(
        new JsonObject().put("type", "rerank").put("id", "i3").put("texts", 1).put("query", "q"));
    rerank(client, "i4", Collections.nCopies(10_001, "x"));
    Awaitility.await()
        .until(
            () ->
                client.frames.stream().filter(f -> f.getString("type").equals("error")).count()
                    == 10);
    assertThat(
            client.of("good").stream()
                .filter(f -> f.getString("type").equals("error"))
                .map(f -> f.getString("kind")))
        .containsExactly("CONFLICT");
    assertThat(client.of("i2").get(0).getString("message")).contains("texts");
    assertThat(client.of("i3").get(0).getString("message")).contains("texts must be a list");
    assertThat(client.of("i4").get(0).getString("kind")).isEqualTo("TOO_LARGE");
    Awaitility.await()
        .until(() -> client.of("good").stream().anyMatch(f -> f.getString("type").equals("end")));
    assertThat(client.socket.isClosed()).isFalse();
    client.socket.close();
  }

  @Test
  void aClosedSocketStopsItsRequests() {
    SocketClient client = connect();
    rerank(client, "a", Collections.nCopies(700, LONG));
    rerank(client, "b", Collections.nCopies(700, LONG));
    Awaitility.await().until(() -> client.frames.size() > 2);
    long rows = Await.result(ragbus.stats()).queue().rows();
    client.socket.close();
    awaitNothingLeft();
    assertThat(Await.result(ragbus.stats()).queue().rows() - rows).isLessThan(1_200);
  }

  @Test
  void aMessageBeyondTheLimitClosesTheSocket() {
    SocketClient client = connect();
    AtomicInteger status = new AtomicInteger();
    client.socket.closeHandler(v -> status.set(client.socket.closeStatusCode()));
    rerank(client, "a", List.of("x".repeat(1 << 20)));
    Awaitility.await().until(() -> status.get() != 0);
    assertThat(status.get()).isEqualTo(1009);
  }

  @Test
  void aSocketThatAnswersPingsLives() {
    SocketClient client =
        connect(
            Served.beside(
                vertx,
                new JsonObject()
                    .put("http", new JsonObject().put("port", 0).put("idle_timeout", "2s"))));
    AtomicLong pings = new AtomicLong();
    client.socket.frameHandler(frame -> pings.addAndGet(frame.isPing() ? 1 : 0));
    Awaitility.await().until(() -> pings.get() >= 3);
    rerank(client, "a", texts(3));
    assertThat(client.awaitLast("a").getString("type")).isEqualTo("end");
    client.socket.close();
  }

  @Test
  void aClientThatDoesNotReadIsNotComputedFor() {
    SocketClient client = connect();
    client.socket.pause();
    int count = 4_000;
    client.send(
        new JsonObject()
            .put("type", "rerank")
            .put("id", "slow")
            .put("query", "q")
            .put("texts", new JsonArray(Collections.nCopies(count, "a text")))
            .put("top_n", count)
            .put("running_top", true));
    AtomicLong rows = new AtomicLong(-1);
    Awaitility.await()
        .pollInterval(Duration.ofMillis(300))
        .until(
            () -> {
              long now = Await.result(ragbus.stats()).queue().rows();
              return now == rows.getAndSet(now);
            });
    assertThat(Await.result(ragbus.stats()).queue().items())
        .as("the job waits")
        .isEqualTo(count + 1);
    assertThat(Await.result(ragbus.embed("others are served")).count()).isOne();
    client.socket.resume();
    JsonObject last = client.awaitLast("slow");
    assertThat(last.getString("type")).isEqualTo("end");
    assertThat(last.getJsonArray("ranked_results")).hasSize(count);
    client.socket.close();
    awaitNothingLeft();
  }

  @Test
  void aSocketThatAnswersNoPingIsCut() {
    int quick =
        Served.beside(
            vertx,
            new JsonObject()
                .put("http", new JsonObject().put("port", 0).put("idle_timeout", "200ms")));
    List<String> received = new CopyOnWriteArrayList<>();
    AtomicInteger closed = new AtomicInteger();
    Await.result(
        vertx
            .createNetClient()
            .connect(quick, "127.0.0.1")
            .onSuccess(
                raw ->
                    raw.handler(bytes -> received.add(bytes.toString("ISO-8859-1")))
                        .closeHandler(v -> closed.incrementAndGet())
                        .write(
                            "GET /v1/rerank/stream HTTP/1.1\r\nHost: 127.0.0.1:"
                                + quick
                                + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                + "Sec-WebSocket-Version: 13\r\n"
                                + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")));
    Awaitility.await().until(() -> String.join("", received).contains("no answer to a ping"));
    Awaitility.await().until(() -> closed.get() == 1);
    assertThat(String.join("", received)).startsWith("HTTP/1.1 101");
  }

  @Test
  void foreignPagesAndPlainRequestsAreRefused() throws Exception {
    WebSocketConnectOptions options =
        new WebSocketConnectOptions()
            .setHost("127.0.0.1")
            .setPort(port)
            .setURI("/v1/rerank/stream");
    Throwable origin =
        Await.failure(
            sockets.connect(
                new WebSocketConnectOptions(options).addHeader("Origin", "http://evil.example")));
    assertThat(((UpgradeRejectedException) origin).getStatus()).isEqualTo(403);
    HttpResponse<String> plain =
        HTTP.send(
            HttpRequest.newBuilder(URI.create(uri("/v1/rerank/stream"))).build(),
            HttpResponse.BodyHandlers.ofString());
    assertThat(plain.statusCode()).isEqualTo(426);
    assertThat(plain.body()).contains("WebSockets");
  }

  @Test
  void theJdksClientToo() {
    List<String> messages = new CopyOnWriteArrayList<>();
    java.net.http.WebSocket.Listener listener =
        new java.net.http.WebSocket.Listener() {
          private final StringBuilder part = new StringBuilder();

          @Override
          public CompletionStage<?> onText(
              java.net.http.WebSocket socket, CharSequence data, boolean last) {
            part.append(data);
            if (last) {
              messages.add(part.toString());
              part.setLength(0);
            }
            socket.request(1);
            return null;
          }
        };
    java.net.http.WebSocket socket =
        HTTP.newWebSocketBuilder()
            .buildAsync(URI.create("ws://127.0.0.1:" + port + "/v1/rerank/stream"), listener)
            .join();
    String message = body(texts(10)).put("type", "rerank").put("id", "jdk").encode();
    socket.sendText(message.substring(0, 50), false).join();
    socket.sendText(message.substring(50), true).join();
    Awaitility.await()
        .until(() -> messages.stream().anyMatch(text -> text.contains("\"type\":\"end\"")));
    assertStreamed("jdk", texts(10), messages.stream().map(JsonObject::new).toList());
    socket.abort();
  }
}
