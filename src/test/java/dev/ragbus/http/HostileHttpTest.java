// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import dev.ragbus.http.Served.Answer;
import io.vertx.core.Vertx;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpMethod;
import io.vertx.core.json.JsonObject;
import io.vertx.junit5.VertxExtension;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import java.util.stream.Stream;
import java.util.zip.DeflaterOutputStream;
import java.util.zip.GZIPOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Clients that mean harm: each is answered or cut, and one beside them is answered all the while.
 */
@ExtendWith(VertxExtension.class)
class HostileHttpTest {
  private static final String GET = "GET /health/live HTTP/1.1\r\nHost: localhost\r\n";
  private static final String POST =
      "POST /embed HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
  private static final int MANY = 1 << 26;

  /** What buffers of the system and of the server may hold of what nobody reads. */
  private static final int BUFFERED = 16 << 20;

  private static JsonObject http(String... keysAndValues) {
    JsonObject http = new JsonObject();
    for (int i = 0; i < keysAndValues.length; i += 2) {
      http.put(keysAndValues[i], keysAndValues[i + 1]);
    }
    return new JsonObject().put("http", http);
  }

  private static Served deploy(Vertx vertx) {
    return Served.deploy(vertx, new JsonObject());
  }

  private static byte[] ascii(String text) {
    return text.getBytes(StandardCharsets.ISO_8859_1);
  }

  // What is too long

  @ParameterizedTest
  @ValueSource(strings = {"X: 1\r\n", "X: ", "", "Cookie: a=1; b=2\r\n", " folded\r\n"})
  void headers_without_end(String header, Vertx vertx) throws Exception {
    Served served = deploy(vertx);
    try (Beside beside = new Beside(served.port());
        RawClient client = beside.attacker()) {
      client.send(GET + header);
      byte[] more = ascii(header.endsWith("\n") ? header.repeat(1_000) : "x".repeat(10_000));
      assertThat(client.flood(more, MANY)).isLessThan(BUFFERED);
      assertThat(client.untilClosed())
          .satisfiesAnyOf(
              answer -> assertThat(answer).startsWith("HTTP/1.1 431"),
              answer -> assertThat(answer).startsWith("HTTP/1.1 400"),
              answer -> assertThat(answer).isEmpty());
    }
  }

  @Test
  void a_request_line_without_end(Vertx vertx) throws Exception {
    Served served = deploy(vertx);
    try (Beside beside = new Beside(served.port());
        RawClient client = beside.attacker()) {
      client.send("GET /");
      assertThat(client.flood(ascii("a".repeat(10_000)), MANY)).isLessThan(BUFFERED);
      client.untilClosed();
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "1;", // an extension of a chunk
        "0\r\nX: ", // a trailer
        "0000000000000000000000000", // a chunk's length
        "5\r\nhello", // what is no end of a chunk
      })
  void a_chunked_body_without_end(String beginning, Vertx vertx) throws Exception {
    Served served = deploy(vertx);
    try (Beside beside = new Beside(served.port());
        RawClient client = beside.attacker()) {
      client.send(POST + "Transfer-Encoding: chunked\r\n\r\n" + beginning);
      assertThat(client.flood(ascii("0".repeat(10_000)), MANY)).isLessThan(BUFFERED);
      client.untilClosed();
    }
  }

  @Test
  void a_body_without_end(Vertx vertx) throws Exception {
    Served served =
        Served.deploy(
            vertx,
            http("body_timeout", "2s")
                .put("limits", new JsonObject().put("max_body_bytes", 1 << 20)));
    try (Beside beside = new Beside(served.port());
        RawClient client = beside.attacker()) {
      client.send(POST + "Transfer-Encoding: chunked\r\n\r\n");
      client.flood(ascii("1000\r\n" + " ".repeat(0x1000) + "\r\n"), 256 << 20);
      client.untilClosed();
    }
  }

  // Requests within requests

  private static final String HIDDEN = "GET /v1/ragbus/stats HTTP/1.1\r\nHost: localhost\r\n\r\n";

  @ParameterizedTest
  @ValueSource(
      strings = {
        "Content-Length: 100\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 100",
        "Content-Length: 5\r\nContent-Length: 100",
        "Content-Length: 5, 100",
        "Content-Length: +5",
        "Content-Length: -5",
        "Content-Length: 0x5",
        "Content-Length: 5 5",
        "Content-Length: 99999999999999999999",
        "Content-Length:",
        "Transfer-Encoding: identity, chunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
        "Transfer-Encoding:\u000bchunked",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding\r\n : chunked",
        "X: y\rTransfer-Encoding: chunked",
        "Content-Length: 5\u0000",
        "Content Length: 5",
        ": 5",
      })
  void a_body_whose_end_two_servers_see_differently(String headers, Vertx vertx) throws Exception {
    Served served = deploy(vertx);
    try (Beside beside = new Beside(served.port());
        RawClient client = beside.attacker()) {
      client.send(POST + headers + "\r\n\r\n0\r\n\r\n" + HIDDEN);
      String answers = client.untilClosed();
      assertThat(answers).startsWith("HTTP/1.1 4").doesNotContain("resident");
      assertThat(answers.split("HTTP/1.1 ", -1)).as(answers).hasSize(2);
    }
  }

  @Test
  void headers_that_say_nonsense(Vertx vertx) throws Exception {
    Served served = deploy(vertx);
    List<String> values =
        List.of(
            "",
            " ",
            "a".repeat(4_000),
            "-1",
            "0",
            "1e3",
            "99999999999999999999",
            "\u00ff\u00fe",
            "%0d%0a",
            "${jndi:ldap://x}",
            "\"",
            "Basic =",
            "Basic ////",
            "Bearer ",
            "Bearer a b",
            "Basic " + "A".repeat(3_000),
            "null",
            "*",
            "q=;,;=",
            "*/*;q=nan",
            "bytes=0-,5-",
            "\t");
    for (String name :
        List.of(
            "Authorization",
            "X-Request-Id",
            "X-Timeout-Ms",
            "timeout-ms",
            "Accept",
            "Origin",
            "Accept-Encoding",
            "Expect",
            "Range",
            "If-None-Match",
            "Cookie",
            "traceparent",
            "Content-Type",
            "Content-Encoding",
            "Sec-WebSocket-Key",
            "Forwarded",
            "TE")) {
      for (String value : values) {
        try (RawClient client = RawClient.to(served.port())) {
          client.send(
              "POST /embed HTTP/1.1\r\nHost: localhost\r\nContent-Length: 15\r\nConnection: close\r\n"
                  + (name.equals("Content-Type") ? "" : "Content-Type: application/json\r\n")
                  + name
                  + ": "
                  + value
                  + "\r\n\r\n{\"inputs\": \"a\"}");
          String answer = client.untilClosed();
          assertThat(answer.substring(0, 10))
              .as(name + ": " + value)
              .isIn("HTTP/1.1 2", "HTTP/1.1 4");
        }
      }
    }
  }

  // What is no HTTP, or strange

  @ParameterizedTest
  @ValueSource(
      strings = {
        "\u0016\u0003\u0001\u0002\u0000\u0001\u0000\u0001\u00fc\u0003\u0003",
        "SSH-2.0-OpenSSH_9.6\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET /\r\n\r\n",
        "GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
        "GET / HTTP/1.1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "G\u0000T / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "\u00ff\u00fe\u00fd / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost:99999999\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: \u0000\r\n\r\n",
        "CONNECT localhost:22 HTTP/1.1\r\nHost: localhost:22\r\n\r\n",
        "GET http://example.org/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET http://[/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET * HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET ? HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\n"
            + "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n",
        "GET /v1/rerank/stream HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
            + "Upgrade: websocket\r\nSec-WebSocket-Version: 99\r\nSec-WebSocket-Key: x\r\n\r\n",
        "GET /v1/rerank/stream HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
            + "Upgrade: websocket\r\n\r\n",
        "POST /embed HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            + "Expect: 100-continue, x\r\nContent-Length: 2\r\n\r\n{}",
        "POST /embed HTTP/1.0\r\nContent-Type: application/json\r\n\r\n{}",
      })
  void what_is_no_request(String request, Vertx vertx) throws Exception {
    Served served = deploy(vertx);
    try (Beside beside = new Beside(served.port());
        RawClient client = beside.attacker()) {
      client.send(request + "\r\n\r\n" + GET + "Connection: close\r\n\r\n");
      String answer = client.untilClosed();
      assertThat(answer).doesNotContain(" 500 ", "Exception", "root:");
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "/../../../../etc/passwd",
        "/page/../../../../etc/passwd",
        "/page/..%2f..%2f..%2fetc%2fpasswd",
        "/page/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/page/....//....//etc/passwd",
        "/page/..%5c..%5cetc",
        "/page/..\\..\\etc",
        "/docs//etc/passwd",
        "//etc/passwd",
        "/page/page.js/../../../../../META-INF/MANIFEST.MF",
        "/page/%2e%2e/HttpVerticle.class",
        "/page/../openapi.yaml",
        "/docs/../page/nothing",
        "/page/page.js%00.html",
        "/page/%c0%ae%c0%ae/x",
        "/page/%ff",
        "/page/page.js;/x",
        "/file:///etc/passwd",
        "/page/jar:file:!/x",
        "/v1/models/../../../../etc/passwd",
      })
  void a_path_that_climbs_out(String path, Vertx vertx) throws Exception {
    Served served = deploy(vertx);
    try (RawClient client = RawClient.to(served.port())) {
      client.send("GET " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
      String answer = client.untilClosed();
      assertThat(answer.substring(0, 12)).isIn("HTTP/1.1 400", "HTTP/1.1 404", "HTTP/1.1 405");
      assertThat(answer).doesNotContain("root:", "Manifest-Version", "openapi: 3", "Exception");
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "/health/live?",
        "/health/live?%",
        "/health/live?%ff=%fe",
        "/health/live?&&&===",
        "/health/live?a=\u00ff",
        "/health/live#x",
        "/health/live;a=b",
        "/health//live",
        "/health/./live",
        "/v1/models/%00",
        "/v1/models/%ed%a0%80",
        "/v1/models/%0d%0aX:%20y",
        "/v1/models/{{7*7}}",
        "/v1/models/'OR'1=1",
        "/v1/models/%25%32%65",
        "/%",
        "/%zz",
      })
  void an_absurd_url(String path, Vertx vertx) throws Exception {
    Served served = deploy(vertx);
    try (RawClient client = RawClient.to(served.port())) {
      client.send("GET " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
      String answer = client.untilClosed();
      assertThat(answer.substring(0, 12)).isIn("HTTP/1.1 200", "HTTP/1.1 400", "HTTP/1.1 404");
      assertThat(answer.split("\r\n")).doesNotContain("X: y");
    }
  }

  // Bodies

  private static String pad(String text, int times) {
    return "\"" + text.repeat(times) + "\"";
  }

  /** Bodies that are small or middling and mean much work, or that are to be misread. */
  static Stream<Arguments> bombs() {
    String digits = "7".repeat(400);
    String deep = "[".repeat(100_000);
    String empty = "[" + "\"\",".repeat(50_000) + "\"\"]";
    String value = "{\"a\":".repeat(50_000) + "1" + "}".repeat(50_000);
    List<String> values =
        List.of(
            "1e999999999",
            "-1e999999999",
            "1e-999999999",
            digits,
            "-" + digits,
            "0." + digits,
            "7".repeat(200_000),
            "1" + "0".repeat(200_000) + "e-200000",
            deep,
            value,
            empty,
            pad("\\u0000", 100_000),
            pad("\\ud800", 100_000),
            pad("\u0301", 200_000),
            "NaN",
            "{\"__proto__\": {\"a\": 1}, \"@class\": \"java.lang.Runtime\"}",
            "[\"java.net.URL\", \"http://127.0.0.1\"]",
            "18446744073709551616",
            "-0",
            "1.0e0");
    Map<String, String> bodies =
        Map.of(
            "/v1/embeddings", "{\"input\": %s}",
            "/embed", "{\"inputs\": \"a\", \"dimensions\": %s}",
            "/v2/embed", "{\"texts\": %s, \"model\": \"a\"}",
            "/v1/rerank", "{\"query\": \"q\", \"documents\": %s}",
            "/v2/rerank", "{\"query\": \"q\", \"documents\": [\"a\"], \"top_n\": %s}",
            "/rerank", "{\"query\": %s, \"texts\": [\"a\"]}",
            "/tokenize", "{\"inputs\": %s}",
            "/decode", "{\"ids\": %s}",
            "/v1/ragbus/functions/call", "{\"name\": \"f\", \"args\": %s}",
            "/v1/ragbus/functions/register", "{\"name\": \"f\", \"input_schema\": %s}");
    return bodies.entrySet().stream()
        .flatMap(
            path ->
                values.stream()
                    .map(each -> arguments(path.getKey(), path.getValue().replace("%s", each))));
  }

  @Test
  void bodies_that_are_bombs(Vertx vertx) throws Exception {
    Served served = deploy(vertx);
    List<String> wrong = new ArrayList<>();
    try (Beside beside = new Beside(served.port())) {
      bombs()
          .forEach(
              bomb -> {
                String path = (String) bomb.get()[0];
                String body = (String) bomb.get()[1];
                long start = System.nanoTime();
                Answer answer =
                    Served.await(
                        served.sending(HttpMethod.POST, path, Served.JSON, Buffer.buffer(body)));
                long millis = (System.nanoTime() - start) / 1_000_000;
                if (answer.status() == 500 || answer.status() > 503 || millis > 4_000) {
                  wrong.add(
                      path
                          + " "
                          + body.substring(0, Math.min(60, body.length()))
                          + ": "
                          + answer.status()
                          + " after "
                          + millis);
                }
              });
      assertThat(beside.asked()).isPositive();
    }
    assertThat(wrong).isEmpty();
  }

  @Test
  void a_key_given_twice_is_refused_wherever_it_is(Vertx vertx) {
    Served served = deploy(vertx);
    for (String body :
        List.of(
            "{\"input\": \"a\", \"input\": \"b\"}",
            "{\"input\": [{\"text\": \"a\", \"text\": \"b\"}]}",
            "{\"input\": \"a\", \"in\\u0070ut\": \"b\"}")) {
      assertThat(served.post("/v1/embeddings", body).status()).as(body).isEqualTo(400);
    }
  }

  private static byte[] packed(String encoding) {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (OutputStream packing =
        encoding.equals("gzip") ? new GZIPOutputStream(bytes) : new DeflaterOutputStream(bytes)) {
      packing.write(ascii("{\"inputs\": \""));
      byte[] some = ascii("a".repeat(1 << 20));
      for (int i = 0; i < 64; i++) {
        packing.write(some);
      }
      packing.write(ascii("\"}"));
    } catch (IOException e) {
      throw new AssertionError(e);
    }
    return bytes.toByteArray();
  }

  @ParameterizedTest
  @ValueSource(strings = {"gzip", "deflate", "x-gzip", "GZIP", "identity, gzip", "br", "zstd", "x"})
  void a_body_that_unpacks_to_a_thousandfold_is_not_unpacked(String encoding, Vertx vertx) {
    Served served =
        Served.deploy(
            vertx, new JsonObject().put("http", new JsonObject().put("compression", true)));
    byte[] bomb = packed(encoding.toLowerCase(Locale.ROOT).contains("gzip") ? "gzip" : "deflate");
    assertThat(bomb.length).isLessThan(100_000);
    Answer answer =
        served.send(
            HttpMethod.POST,
            "/embed",
            Map.of("Content-Type", "application/json", "Content-Encoding", encoding),
            Buffer.buffer(bomb));
    assertThat(answer.status()).isEqualTo(415);
  }

  // Slowness

  @ParameterizedTest
  @ValueSource(
      strings = {
        "GET /docs/swagger-ui-bundle.js",
        "GET /openapi.json",
        "GET /page/page.css",
        "POST /embed",
      })
  void a_client_that_does_not_read_is_cut(String request, Vertx vertx) throws Exception {
    Served served = Served.deploy(vertx, http("idle_timeout", "500ms"));
    String inputs = "[" + "\"a\",".repeat(2_000) + "\"a\"]";
    String body = request.startsWith("P") ? "{\"inputs\": " + inputs + "}" : "";
    Logger log = Logger.getLogger(HttpVerticle.class.getName());
    List<LogRecord> lines = new CopyOnWriteArrayList<>();
    log.setFilter(lines::add);
    try (Beside beside = new Beside(served.port());
        RawClient client = beside.attacker()) {
      String one =
          request
              + " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
              + body.length()
              + "\r\n\r\n"
              + body;
      // More than all buffers hold: it ends with an error, when the server cuts us.
      assertThat(client.flood(ascii(one), 4L * MANY)).isLessThan(4L * MANY);
    } finally {
      log.setFilter(null);
    }
    assertThat(lines).as("errors in the log, of a client that has gone").isEmpty();
  }

  @Test
  void a_flood_of_requests_on_one_connection(Vertx vertx) throws Exception {
    Served served = Served.deploy(vertx, http("idle_timeout", "1s"));
    try (Beside beside = new Beside(served.port());
        RawClient client = beside.attacker()) {
      byte[] requests = ascii((GET + "\r\n").repeat(1_000));
      assertThat(client.flood(requests, 256 << 20)).isLessThan(BUFFERED);
    }
  }

  @Test
  void thousands_of_idle_connections(Vertx vertx) throws Exception {
    int most = 2_500;
    JsonObject config = http("header_timeout", "5s");
    config.getJsonObject("http").put("max_connections", most);
    Served served = Served.deploy(vertx, config);
    List<RawClient> idle = new ArrayList<>();
    try (Beside beside = new Beside(served.port())) {
      for (int i = 0; i < most - 10; i++) {
        idle.add(beside.attacker());
      }
      assertThat(served.get("/health/live").status()).isEqualTo(200);
      for (RawClient client : idle) {
        assertThat(client.untilClosed()).isEmpty();
      }
    } finally {
      idle.forEach(RawClient::close);
    }
    assertThat(served.get("/health/live").status()).isEqualTo(200);
  }
}
