// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

import static dev.ragbus.http.Served.await;
import static dev.ragbus.http.Served.failure;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowable;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import dev.ragbus.RagbusException;
import dev.ragbus.http.Served.Answer;
import io.vertx.core.DeploymentOptions;
import io.vertx.core.Future;
import io.vertx.core.MultiMap;
import io.vertx.core.Promise;
import io.vertx.core.Vertx;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpMethod;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import io.vertx.core.net.NetSocket;
import io.vertx.ext.auth.JWTOptions;
import io.vertx.ext.auth.PubSecKeyOptions;
import io.vertx.ext.auth.jwt.JWTAuth;
import io.vertx.ext.auth.jwt.JWTAuthOptions;
import io.vertx.junit5.VertxExtension;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

@ExtendWith(VertxExtension.class)
class SecurityTest {
  private static final String USE = "use-0123456789abcdef";
  private static final String ADMIN = "admin-0123456789abcdef";
  private static final String ORIGIN = "https://pages.example.org";

  @TempDir Path folder;

  private static JsonObject keys() {
    JsonArray keys = new JsonArray().add("use:" + USE).add("admin:" + ADMIN);
    return new JsonObject()
        .put("security", new JsonObject().put("keys", keys).put("failed_keys_per_minute", 1_000))
        .put("http", new JsonObject().put("allowed_origins", new JsonArray().add(ORIGIN)));
  }

  private static Map<String, String> bearer(String key, String... headers) {
    Map<String, String> all = new HashMap<>(Served.JSON);
    if (key != null) {
      all.put("Authorization", "Bearer " + key);
    }
    for (int i = 0; i < headers.length; i += 2) {
      all.put(headers[i], headers[i + 1]);
    }
    return all;
  }

  private static Answer post(Served served, String path, String key, String body) {
    return served.send(HttpMethod.POST, path, bearer(key), Buffer.buffer(body));
  }

  // Keys

  @Test
  void every_route_but_liveness_and_readiness_is_behind_the_keys(Vertx vertx) {
    Served served = Served.deploy(vertx, keys());
    for (Dialect dialect : served.http.dialects()) {
      for (Operation<?> operation : dialect.operations()) {
        String path = operation.path().replace("*", "x");
        for (String key : new String[] {null, "wrong-0123456789abcdef", USE + "x", ""}) {
          Answer answer = served.send(operation.method(), path, bearer(key), Buffer.buffer("{}"));
          if (List.of("/health", "/health/live", "/health/ready").contains(path)) {
            assertThat(answer.status()).as(path).isEqualTo(200);
          } else {
            assertThat(answer.status()).as(path).isEqualTo(401);
            assertThat(answer.headers().get("WWW-Authenticate")).isEqualTo("Bearer");
            assertThat(answer.json().encode()).contains("send a valid key");
          }
        }
      }
    }
    for (String path : List.of("/metrics", "/nothing", "/v1/embeddings/x")) {
      assertThat(served.get(path).status()).as(path).isEqualTo(401);
      assertThat(served.send(HttpMethod.GET, path, bearer(USE), null).status()).isEqualTo(404);
    }
    assertThat(served.get("/v1/embeddings").status()).isEqualTo(401);
  }

  @Test
  void readiness_tells_strangers_its_status_alone(Vertx vertx) {
    Served served = Served.deploy(vertx, keys());
    assertThat(served.get("/health/ready").body().toString()).isEqualTo("{\"status\":\"UP\"}");
    assertThat(
            served
                .send(HttpMethod.GET, "/health/ready", bearer(USE), null)
                .json()
                .getJsonArray("checks"))
        .isNotEmpty();
    served.service.initialized(false);
    Answer down = served.get("/health/ready");
    assertThat(down.status()).isEqualTo(503);
    assertThat(down.body().toString()).isEqualTo("{\"status\":\"DOWN\"}");
  }

  @ParameterizedTest
  @CsvSource({
    "/v1/embeddings, '{\"input\": \"a\"}', 200",
    "/embed, '{\"inputs\": \"a\"}', 200",
    "/v2/embed, '{\"texts\": [\"a\"]}', 200",
    "/v1/ragbus/models/load, '{\"model_name\": \"a\"}', 403",
    "/v1/ragbus/models/unload, '{}', 403",
    "/v1/ragbus/memory/cleanup, '{}', 403",
    "/v1/ragbus/functions/call, '{\"name\": \"f\"}', 200",
    "/v1/ragbus/functions/call, '{\"name\": \"load_model\"}', 403",
    "/v1/ragbus/functions/call, '{\"name\": \"clear_cache\"}', 403",
    "/v1/ragbus/functions/unregister, '{\"name\": \"f\"}', 403",
  })
  void what_changes_something_for_others_takes_an_admin(
      String path, String body, int forUse, Vertx vertx) {
    Served served = Served.deploy(vertx, keys());
    Answer use = post(served, path, USE, body);
    assertThat(use.status()).isEqualTo(forUse);
    if (forUse == 403) {
      assertThat(use.json().getJsonObject("error").getString("message")).contains("'admin'");
    }
    assertThat(post(served, path, ADMIN, body).status()).isEqualTo(200);
  }

  @ParameterizedTest
  @ValueSource(strings = {"bearer %s", "BEARER  %s"})
  void the_schemes_case_does_not_matter(String header, Vertx vertx) {
    Served served = Served.deploy(vertx, keys());
    Map<String, String> headers = Map.of("Authorization", header.formatted(USE));
    assertThat(served.send(HttpMethod.GET, "/v1/models", headers, null).status()).isEqualTo(200);
  }

  @ParameterizedTest
  @ValueSource(strings = {"Basic %s", "%s", "Bearer", "Bearer %s x"})
  void other_schemes_are_none(String header, Vertx vertx) {
    Served served = Served.deploy(vertx, keys());
    Map<String, String> headers = Map.of("Authorization", header.formatted(USE));
    assertThat(served.send(HttpMethod.GET, "/v1/models", headers, null).status()).isEqualTo(401);
  }

  @Test
  void a_browser_asks_its_user_for_the_key(Vertx vertx) {
    Served served = Served.deploy(vertx, keys());
    Answer asked = served.get("/");
    assertThat(asked.status()).isEqualTo(401);
    assertThat(asked.headers().get("WWW-Authenticate")).isEqualTo("Basic realm=\"Ragbus\"");
    assertThat(served.get("/v1/models").headers().get("WWW-Authenticate")).isEqualTo("Bearer");
    for (String path : List.of("/", "/page/page.js", "/docs", "/v1/models")) {
      assertThat(basic(served, path, "anyone:" + USE).status()).isEqualTo(200);
      assertThat(basic(served, path, USE + ":").status()).isEqualTo(401);
      assertThat(basic(served, path, USE).status()).isEqualTo(401);
    }
  }

  private static Answer basic(Served served, String path, String userAndPassword) {
    String encoded = Base64.getEncoder().encodeToString(userAndPassword.getBytes(UTF_8));
    return served.send(HttpMethod.GET, path, Map.of("Authorization", "Basic " + encoded), null);
  }

  @Test
  void who_tries_many_keys_has_to_wait(Vertx vertx) {
    JsonObject config = keys();
    config.getJsonObject("security").put("failed_keys_per_minute", 3);
    Served served = Served.deploy(vertx, config);
    Buffer body = Buffer.buffer("{\"inputs\": \"a\"}");
    for (int i = 0; i < 3; i++) {
      assertThat(post(served, "/embed", USE, body.toString()).status()).isEqualTo(200);
      assertThat(post(served, "/embed", null, body.toString()).status()).isEqualTo(401);
      assertThat(post(served, "/embed", "wrong-" + i, body.toString()).status()).isEqualTo(401);
    }
    for (String key : List.of("wrong-3", USE)) {
      Answer refused = post(served, "/embed", key, body.toString());
      assertThat(refused.status()).isEqualTo(429);
      assertThat(Integer.parseInt(refused.headers().get("Retry-After"))).isBetween(1, 60);
      assertThat(refused.json().getString("error")).contains("too many wrong keys");
    }
    assertThat(post(served, "/embed", null, body.toString()).status()).isEqualTo(401);
    assertThat(served.get("/health/live").status()).isEqualTo(200);
  }

  @Test
  void a_minute_after_the_first_wrong_key_all_is_forgiven() {
    AtomicLong nanos = new AtomicLong(-5);
    FailedKeys failures = new FailedKeys(2, nanos::get);
    failures.failed("a");
    nanos.addAndGet(TimeUnit.SECONDS.toNanos(59));
    failures.check("a");
    failures.failed("a");
    RagbusException refused =
        catchThrowableOfType(RagbusException.class, () -> failures.check("a"));
    assertThat(refused.retryAfterMillis()).isEqualTo(1_000);
    failures.check("b");
    nanos.addAndGet(TimeUnit.SECONDS.toNanos(1));
    failures.check("a");
    failures.failed("a");
    failures.check("a");
    for (int i = 0; i < 2; i++) {
      failures.failed("first");
    }
    assertThat(catchThrowable(() -> failures.check("first"))).isNotNull();
    for (int i = 0; i < 10_000; i++) {
      failures.failed("address " + i);
    }
    failures.check("first");
  }

  @Test
  void keys_are_read_from_a_file(Vertx vertx) throws Exception {
    Path file = folder.resolve("keys");
    Files.writeString(file, "# ours\n\nuse:" + USE + "\r\nadmin:" + ADMIN + "\n");
    Served served =
        Served.deploy(
            vertx,
            new JsonObject().put("security", new JsonObject().put("keys_file", file.toString())));
    assertThat(served.send(HttpMethod.GET, "/v1/models", bearer(USE), null).status())
        .isEqualTo(200);
    assertThat(served.get("/v1/models").status()).isEqualTo(401);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "use:secret-but-short | line 1",
        "root:secret-0123456789abcdef | line 1",
        "secret-0123456789abcdef | line 1",
        "use:secret 0123456789abcdef | line 1",
        "# secret | has no key",
      })
  void a_bad_key_file_stops_the_start_and_is_not_repeated(String line, String message, Vertx vertx)
      throws Exception {
    Path file = folder.resolve("keys");
    Files.writeString(file, line.replace("-but-short", ""));
    Throwable failure = startFailure(vertx, new JsonObject().put("keys_file", file.toString()));
    assertThat(failure)
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining(message)
        .hasMessageContaining("security.keys_file")
        .message()
        .doesNotContain("secret");
  }

  @Test
  void files_that_cannot_be_read_are_named(Vertx vertx) throws Exception {
    String gone = folder.resolve("gone").toString();
    assertThat(startFailure(vertx, new JsonObject().put("keys_file", gone)))
        .hasMessageContaining("security.keys_file = " + gone + " cannot be read");
    JsonObject jwt = new JsonObject().put("jwt_algorithm", "RS256");
    assertThat(startFailure(vertx, jwt.copy().put("jwt_key_file", gone)))
        .hasMessageContaining("security.jwt_key_file = " + gone + " cannot be read");
    Path noKey = Files.writeString(folder.resolve("no-key"), "secret");
    assertThat(startFailure(vertx, jwt.copy().put("jwt_key_file", noKey.toString())))
        .hasMessage("security.jwt_key_file holds no key for RS256");
  }

  private static Throwable startFailure(Vertx vertx, JsonObject security) {
    JsonObject config =
        new JsonObject().put("http", new JsonObject().put("port", 0)).put("security", security);
    return failure(
        vertx.deployVerticle(new HttpVerticle(), new DeploymentOptions().setConfig(config)));
  }

  @Test
  void with_keys_it_listens_anywhere_and_takes_any_host_name(Vertx vertx) {
    JsonObject config = keys();
    config.getJsonObject("http").put("host", "0.0.0.0");
    Served served = Served.deploy(vertx, config);
    Map<String, String> headers = bearer(USE, "Host", "models.example.org");
    assertThat(served.send(HttpMethod.GET, "/v1/models", headers, null).status()).isEqualTo(200);
  }

  // JSON Web Tokens

  private static String token(JWTAuth signer, String role, int seconds) {
    long expires = System.currentTimeMillis() / 1000 + seconds;
    JsonObject claims =
        new JsonObject().put("sub", "me").put("iss", "them").put("aud", "us").put("exp", expires);
    if (role != null) {
      claims.put("role", role.contains(",") ? new JsonArray(List.of(role.split(","))) : role);
    }
    return signer.generateToken(claims, new JWTOptions().setAlgorithm("HS256"));
  }

  private static JWTAuth signer(Vertx vertx, String secret) {
    return JWTAuth.create(
        vertx,
        new JWTAuthOptions()
            .addPubSecKey(new PubSecKeyOptions().setAlgorithm("HS256").setBuffer(secret)));
  }

  @Test
  void tokens_say_what_they_allow(Vertx vertx) throws Exception {
    String secret = "0123456789abcdef0123456789abcdef";
    Path file = Files.writeString(folder.resolve("secret"), secret + "\n");
    Served served =
        Served.deploy(
            vertx,
            new JsonObject()
                .put(
                    "security",
                    new JsonObject()
                        .put("jwt_algorithm", "HS256")
                        .put("jwt_key_file", file.toString())
                        .put("jwt_issuer", "them")
                        .put("jwt_audience", new JsonArray().add("us"))
                        .put("keys", new JsonArray().add("use:" + USE))));
    JWTAuth ours = signer(vertx, secret);
    String none =
        "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0."
            + "eyJzdWIiOiJtZSIsImlzcyI6InRoZW0iLCJhdWQiOiJ1cyIsInJvbGUiOiJhZG1pbiJ9.";
    String path = "/v1/ragbus/models/unload";
    assertThat(post(served, path, token(ours, "admin", 60), "{}").status()).isEqualTo(200);
    assertThat(post(served, path, token(ours, "use,admin", 60), "{}").status()).isEqualTo(200);
    assertThat(post(served, path, token(ours, "use", 60), "{}").status()).isEqualTo(403);
    assertThat(post(served, path, token(ours, "other", 60), "{}").status()).isEqualTo(403);
    assertThat(post(served, path, token(ours, null, 60), "{}").status()).isEqualTo(403);
    assertThat(post(served, path, token(ours, "admin", -60), "{}").status()).isEqualTo(401);
    String foreign = token(signer(vertx, secret.replace('0', '1')), "admin", 60);
    assertThat(post(served, path, foreign, "{}").status()).isEqualTo(401);
    assertThat(post(served, path, none, "{}").status()).isEqualTo(401);
    JsonObject elsewhere =
        new JsonObject().put("sub", "me").put("iss", "x").put("aud", "us").put("role", "admin");
    assertThat(post(served, path, ours.generateToken(elsewhere), "{}").status()).isEqualTo(401);
    elsewhere.put("iss", "them").put("aud", "x");
    assertThat(post(served, path, ours.generateToken(elsewhere), "{}").status()).isEqualTo(401);
    assertThat(post(served, "/embed", USE, "{\"inputs\": \"a\"}").status()).isEqualTo(200);
  }

  @Test
  void tokens_signed_with_a_private_key_are_taken_by_its_public_key(Vertx vertx) throws Exception {
    TestCertificate certificate = TestCertificate.in(folder);
    Served served =
        Served.deploy(
            vertx,
            new JsonObject()
                .put(
                    "security",
                    new JsonObject()
                        .put("jwt_algorithm", "RS256")
                        .put("jwt_key_file", certificate.publicKey().toString())));
    JWTAuth signer =
        JWTAuth.create(
            vertx,
            new JWTAuthOptions()
                .addPubSecKey(
                    new PubSecKeyOptions()
                        .setAlgorithm("RS256")
                        .setBuffer(Files.readString(certificate.key()))));
    JsonObject claims = new JsonObject().put("role", "use");
    String token = signer.generateToken(claims, new JWTOptions().setAlgorithm("RS256"));
    assertThat(post(served, "/embed", token, "{\"inputs\": \"a\"}").status()).isEqualTo(200);
    // The public key is no shared secret.
    String forged = token(signer(vertx, Files.readString(certificate.publicKey())), "use", 60);
    assertThat(post(served, "/embed", forged, "{\"inputs\": \"a\"}").status()).isEqualTo(401);
  }

  // Web pages

  @Test
  void pages_of_allowed_origins_may_ask_and_others_not(Vertx vertx) {
    Served served = Served.deploy(vertx, keys());
    Buffer body = Buffer.buffer("{\"inputs\": \"a\"}");
    Answer allowed = served.send(HttpMethod.POST, "/embed", bearer(USE, "Origin", ORIGIN), body);
    assertThat(allowed.status()).isEqualTo(200);
    assertThat(allowed.headers().get("Access-Control-Allow-Origin")).isEqualTo(ORIGIN);
    assertThat(allowed.headers().get("Access-Control-Expose-Headers")).contains("X-Request-Id");
    for (String origin : List.of("https://example.org", ORIGIN + ":444", "null")) {
      Answer other = served.send(HttpMethod.POST, "/embed", bearer(USE, "Origin", origin), body);
      assertThat(other.status()).isEqualTo(403);
      assertThat(other.headers().get("Access-Control-Allow-Origin")).isNull();
    }
    Answer refused = served.send(HttpMethod.POST, "/embed", bearer(null, "Origin", ORIGIN), body);
    assertThat(refused.status()).isEqualTo(401);
    assertThat(refused.headers().get("Access-Control-Allow-Origin")).isEqualTo(ORIGIN);
  }

  @Test
  void browsers_are_told_that_they_may_send_the_key(Vertx vertx) {
    Served served = Served.deploy(vertx, keys());
    Map<String, String> preflight =
        Map.of(
            "Origin",
            ORIGIN,
            "Access-Control-Request-Method",
            "POST",
            "Access-Control-Request-Headers",
            "authorization,content-type");
    Answer answer = served.send(HttpMethod.OPTIONS, "/embed", preflight, null);
    assertThat(answer.status()).isEqualTo(204);
    MultiMap headers = answer.headers();
    assertThat(headers.get("Access-Control-Allow-Origin")).isEqualTo(ORIGIN);
    assertThat(headers.get("Access-Control-Allow-Headers")).containsIgnoringCase("authorization");
    assertThat(headers.get("Access-Control-Allow-Methods")).contains("POST");
    assertThat(headers.get("Access-Control-Allow-Credentials")).isNull();
  }

  @Test
  void every_answer_says_what_browsers_may_do_with_it(Vertx vertx) {
    Served served = Served.deploy(vertx, new JsonObject());
    for (String path : List.of("/health/live", "/v1/models", "/nothing")) {
      MultiMap headers = served.get(path).headers();
      assertThat(headers.get("X-Content-Type-Options")).isEqualTo("nosniff");
      assertThat(headers.get("Cache-Control")).isEqualTo("no-store");
      assertThat(headers.get("Server")).isNull();
    }
  }

  // Limits

  @Test
  void a_client_has_so_many_requests_under_way(Vertx vertx) {
    JsonObject config = keys();
    config.getJsonObject("http").put("max_requests_per_client", 1);
    Served served = Served.deploy(vertx, config);
    Future<String> held = served.service.holding();
    Buffer hold = Buffer.buffer("{\"inputs\": \"hold\"}");
    Future<Answer> first = served.sending(HttpMethod.POST, "/embed", bearer(USE), hold);
    await(held);
    Answer second = post(served, "/embed", USE, "{\"inputs\": \"a\"}");
    assertThat(second.status()).isEqualTo(429);
    assertThat(second.headers().get("Retry-After")).isEqualTo("1");
    assertThat(second.json().getString("error_type")).isEqualTo("Overloaded");
    assertThat(post(served, "/embed", ADMIN, "{\"inputs\": \"a\"}").status()).isEqualTo(200);
    assertThat(served.get("/health/live").status()).isEqualTo(200);
    served.service.release();
    assertThat(await(first).status()).isEqualTo(200);
    assertThat(post(served, "/embed", USE, "{\"inputs\": \"a\"}").status()).isEqualTo(200);
    assertThat(post(served, "/embed", USE, "{").status()).isEqualTo(422);
    assertThat(post(served, "/embed", USE, "{\"inputs\": \"a\"}").status()).isEqualTo(200);
  }

  @Test
  void connections_above_the_bound_are_closed(Vertx vertx) {
    Served served =
        Served.deploy(
            vertx, new JsonObject().put("http", new JsonObject().put("max_connections", 1)));
    NetSocket first = connect(vertx, served);
    // On a context: else the close may come before there is a handler for it.
    Promise<Long> second = Promise.promise();
    vertx.runOnContext(
        v -> connecting(vertx, served).compose(SecurityTest::closed).onComplete(second));
    assertThat(await(second.future())).isPositive();
    Future<Long> firstClosed = closed(first);
    await(first.close());
    await(firstClosed);
    // The server may see the end of the first only after it has seen who comes next.
    Awaitility.await().until(() -> await(isServed(vertx, served)));
  }

  /** Whether a new connection's request is answered, rather than the connection closed. */
  private static Future<Boolean> isServed(Vertx vertx, Served served) {
    Promise<Boolean> answered = Promise.promise();
    vertx.runOnContext(
        v ->
            connecting(vertx, served)
                .onFailure(answered::tryFail)
                .onSuccess(
                    socket -> {
                      socket.handler(
                          data -> answered.tryComplete(data.toString().startsWith("HTTP/1.1 200")));
                      socket.closeHandler(closed -> answered.tryComplete(false));
                      socket.write("GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n");
                    }));
    return answered.future();
  }

  private static NetSocket connect(Vertx vertx, Served served) {
    return await(connecting(vertx, served));
  }

  private static Future<NetSocket> connecting(Vertx vertx, Served served) {
    return vertx.createNetClient().connect(served.port(), "127.0.0.1");
  }

  /** How many milliseconds it takes until the server closes a connection. */
  private static Future<Long> closed(NetSocket socket) {
    long start = System.nanoTime();
    Promise<Long> closed = Promise.promise();
    socket.closeHandler(
        v -> closed.complete(1 + TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - start)));
    return closed.future();
  }

  private Served impatient(Vertx vertx) {
    return Served.deploy(
        vertx,
        new JsonObject()
            .put(
                "http",
                new JsonObject()
                    .put("header_timeout", "300ms")
                    .put("body_timeout", "300ms")
                    .put("idle_timeout", "300ms")));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "GET /health/live HTTP/1.1\r\n",
        "GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\nGET /health/li",
      })
  void headers_that_come_drop_by_drop_are_not_waited_for(String beginning, Vertx vertx) {
    NetSocket slow = connect(vertx, impatient(vertx));
    Future<Long> closed = closed(slow);
    slow.handler(data -> {});
    slow.write(beginning.isEmpty() ? "G" : beginning);
    long drops = vertx.setPeriodic(50, id -> slow.write("x"));
    long millis = await(closed);
    vertx.cancelTimer(drops);
    assertThat(millis).isBetween(250L, 9_000L);
  }

  @Test
  void a_body_that_comes_drop_by_drop_is_refused(Vertx vertx) {
    Served served = impatient(vertx);
    NetSocket slow = connect(vertx, served);
    Future<Long> closed = closed(slow);
    Buffer answer = Buffer.buffer();
    slow.handler(answer::appendBuffer);
    slow.write(
        "POST /embed HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            + "Content-Length: 10000\r\n\r\n{");
    long drops = vertx.setPeriodic(50, id -> slow.write(" "));
    await(closed);
    vertx.cancelTimer(drops);
    assertThat(answer.toString()).startsWith("HTTP/1.1 408").contains("http.body_timeout");
    assertThat(served.post("/embed", "{\"inputs\": \"a\"}").status()).isEqualTo(200);
  }

  @Test
  void a_request_under_way_is_not_idle(Vertx vertx) {
    Served served = impatient(vertx);
    Future<String> held = served.service.holding();
    Future<Answer> answer =
        served.sending(
            HttpMethod.POST, "/embed", Served.JSON, Buffer.buffer("{\"inputs\": \"hold\"}"));
    await(held);
    Promise<Void> later = Promise.promise();
    vertx.setTimer(900, id -> later.complete());
    await(later.future());
    served.service.release();
    assertThat(await(answer).status()).isEqualTo(200);
  }

  // Compression

  @Test
  void replies_are_compressed_where_that_is_on_and_asked_for(Vertx vertx) {
    Map<String, String> asks = Map.of("Accept-Encoding", "gzip");
    JsonObject on = new JsonObject().put("http", new JsonObject().put("compression", true));
    Served compressing = Served.deploy(vertx, on);
    assertThat(
            compressing
                .send(HttpMethod.GET, "/v1/ragbus/models", asks, null)
                .headers()
                .get("Content-Encoding"))
        .isEqualTo("gzip");
    assertThat(compressing.get("/v1/ragbus/models").headers().get("Content-Encoding")).isNull();
    Vertx other = Vertx.vertx();
    try {
      Served plain = Served.deploy(other, new JsonObject());
      assertThat(
              plain
                  .send(HttpMethod.GET, "/v1/ragbus/models", asks, null)
                  .headers()
                  .get("Content-Encoding"))
          .isNull();
    } finally {
      await(other.close());
    }
  }
}
