package dev.ragbus.examples.search;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import java.io.IOException;
import java.io.InputStream;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.apache.lucene.store.FSDirectory;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What the page asks for, asked without a browser. */
class QueryVerticleIT {
  private static final Duration PATIENCE = Duration.ofSeconds(60);

  private record Event(String name, JsonObject data) {}

  private final HttpClient client = HttpClient.newHttpClient();

  @TempDir Path temporary;
  private ServedSearch search;

  @BeforeEach
  void serve() throws IOException {
    Corpus.write(temporary.resolve("documents"), 20);
    search =
        ServedSearch.open(
            temporary.resolve("documents"), FSDirectory.open(temporary.resolve("index")));
  }

  @AfterEach
  void stop() {
    search.close();
  }

  private HttpRequest.Builder request(String path) {
    return HttpRequest.newBuilder(URI.create(search.address() + path)).timeout(PATIENCE);
  }

  private HttpResponse<String> send(HttpRequest.Builder request) throws Exception {
    return client.send(request.build(), BodyHandlers.ofString());
  }

  private List<Event> search(String query) throws Exception {
    HttpResponse<Stream<String>> response =
        client.send(request("/search?q=" + query).build(), BodyHandlers.ofLines());
    assertThat(response.headers().firstValue("content-type")).hasValue("text/event-stream");
    List<Event> events = new ArrayList<>();
    List<String> lines = response.body().filter(line -> !line.isEmpty()).toList();
    for (int at = 0; at < lines.size(); at += 2) {
      events.add(
          new Event(
              lines.get(at).substring("event: ".length()),
              new JsonObject(lines.get(at + 1).substring("data: ".length()))));
    }
    return events;
  }

  private void indexed() {
    search.start();
    await()
        .atMost(PATIENCE)
        .until(
            () -> {
              List<Event> events = search("harbour");
              return events.get(0).data().getInteger("documents", 0) == 20;
            });
  }

  @Test
  void aQueryIsAnsweredInPhases() throws Exception {
    indexed();
    List<Event> events = search("railway+station");

    assertThat(events.get(0).name()).isEqualTo("candidates");
    JsonArray hits = events.get(0).data().getJsonArray("hits");
    assertThat(hits).hasSize(50);
    assertThat(hits.getJsonObject(0).getString("path")).endsWith(".md");
    List<Event> scores = events.subList(1, events.size() - 1);
    assertThat(scores).extracting(Event::name).containsOnly("scores");
    List<Integer> scored =
        scores.stream()
            .flatMap(event -> event.data().getJsonArray("results").stream())
            .map(score -> ((JsonObject) score).getInteger("index"))
            .sorted()
            .toList();
    assertThat(scored).isEqualTo(IntStream.range(0, 50).boxed().toList());
    Event end = events.get(events.size() - 1);
    assertThat(end.name()).isEqualTo("end");
    assertThat(end.data().getJsonArray("ranking")).hasSize(50);
    assertThat(end.data().getJsonObject("millis").fieldNames())
        .containsExactlyInAnyOrder(
            "embed", "lexical", "vector", "fusion", "first_score", "rerank", "total");
  }

  @Test
  void beforeTheModelsAreThereAQueryFailsAndSaysSo() throws Exception {
    List<Event> events = search("railway");

    assertThat(events).extracting(Event::name).containsExactly("failure");
    assertThat(events.get(0).data().getString("message")).startsWith("UNAVAILABLE");
    assertThat(events.get(0).data().getBoolean("retryable")).isTrue();
    assertThat(send(request("/index").POST(HttpRequest.BodyPublishers.noBody())).statusCode())
        .isEqualTo(503);
  }

  @Test
  void aReaderThatLeavesHoldsUpNobody() throws Exception {
    indexed();
    for (int i = 0; i < 20; i++) {
      try (InputStream body =
          client.send(request("/search?q=harbour").build(), BodyHandlers.ofInputStream()).body()) {
        assertThat(body.read()).isEqualTo('e');
      }
    }
    assertThat(search("harbour")).extracting(Event::name).contains("end");
  }

  @Test
  void indexingIsStartedAgainOnce() throws Exception {
    indexed();
    await()
        .atMost(PATIENCE)
        .until(
            () ->
                send(request("/index").POST(HttpRequest.BodyPublishers.noBody())).statusCode()
                    == 202);
    JsonObject progress = new JsonObject();
    HttpResponse<Stream<String>> watch =
        client.send(request("/progress").build(), BodyHandlers.ofLines());
    try (Stream<String> lines = watch.body()) {
      progress.mergeIn(
          lines
              .filter(line -> line.startsWith("data: "))
              .map(line -> new JsonObject(line.substring("data: ".length())))
              .filter(told -> told.getString("state").equals("DONE"))
              .filter(told -> told.getInteger("unchanged") == 20)
              .findFirst()
              .orElseThrow());
    }
    assertThat(progress.getInteger("indexed")).isZero();
  }

  @Test
  void strangersAndNonsenseAreRefused() throws Exception {
    assertThat(send(request("/search?q=+")).statusCode()).isEqualTo(400);
    assertThat(send(request("/search?q=" + "x".repeat(1_001))).body())
        .contains("q must be 1 to 1000 characters");
    assertThat(send(request("/").header("Origin", "http://evil.example")).statusCode())
        .isEqualTo(403);
    assertThat(send(request("/").header("Origin", search.address())).statusCode()).isEqualTo(200);
    assertThat(rawStatus("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n")).contains(" 403 ");
    assertThat(send(request("/../pom.xml")).statusCode()).isEqualTo(404);
  }

  private String rawStatus(String request) throws IOException {
    URI address = URI.create(search.address());
    try (Socket socket = new Socket(address.getHost(), address.getPort())) {
      socket.getOutputStream().write(request.getBytes(StandardCharsets.US_ASCII));
      return new String(socket.getInputStream().readNBytes(20), StandardCharsets.US_ASCII);
    }
  }
}
