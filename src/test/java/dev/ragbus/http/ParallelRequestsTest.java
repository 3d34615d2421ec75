// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

import static org.assertj.core.api.Assertions.assertThat;

import dev.ragbus.Await;
import dev.ragbus.FunctionSpec;
import dev.ragbus.Ragbus;
import dev.ragbus.TokenizeRequest;
import dev.ragbus.Tokens;
import dev.ragbus.service.TestService;
import io.vertx.core.DeploymentOptions;
import io.vertx.core.Future;
import io.vertx.core.Promise;
import io.vertx.core.Vertx;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpClient;
import io.vertx.core.http.HttpClientAgent;
import io.vertx.core.http.HttpClientOptions;
import io.vertx.core.http.HttpClientResponse;
import io.vertx.core.http.HttpMethod;
import io.vertx.core.http.HttpVersion;
import io.vertx.core.http.PoolOptions;
import io.vertx.core.http.RequestOptions;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import io.vertx.core.net.PemTrustOptions;
import java.nio.file.Path;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Many requests at once on many connections, each answer held against its question: HTTP/1.1 kept
 * alive, the same pipelined, and HTTP/2 over TLS, before the real service.
 */
class ParallelRequestsTest {
  private static final int CONNECTIONS = 64;
  private static final int PIPELINED = 20;
  private static final int MULTIPLEXED = 20;
  private static final int AT_ONCE = 4;

  /** Of so many requests, one is an embedding, and every other of the rest is for tokens. */
  private static final int EMBEDDING_EVERY = 20;

  private static final int TEXTS = 300;
  private static final double LEAST_COSINE = 0.9999;

  @TempDir static Path folder;

  private static Vertx vertx;
  private static TestService service;
  private static TestCertificate certificate;
  private static int plainPort;
  private static int tlsPort;
  private static float[][] vectors;
  private static List<List<Integer>> ids;

  private final AtomicInteger connected = new AtomicInteger();
  private final Queue<String> wrong = new ConcurrentLinkedQueue<>();
  private final AtomicInteger next = new AtomicInteger();
  private AtomicIntegerArray answers;

  @BeforeAll
  static void start() throws Exception {
    vertx = Vertx.vertx();
    certificate = TestCertificate.in(folder);
    service =
        TestService.start(
            vertx, new JsonObject().put("functions", new JsonObject().put("allow_source", true)));
    plainPort = serve(new JsonObject());
    tlsPort = serve(certificate.options());
    Ragbus ragbus = service.ragbus();
    Await.result(
        ragbus.register(
            FunctionSpec.ofCode("echo", "def echo(number, word): return {word: [number]}")));
    List<String> texts = IntStream.range(0, TEXTS).mapToObj(ParallelRequestsTest::text).toList();
    vectors = new float[TEXTS][];
    for (int i = 0; i < TEXTS; i++) {
      vectors[i] = Await.result(ragbus.embed(texts.get(i))).row(0);
    }
    ids =
        Await.result(ragbus.tokenize(new TokenizeRequest(texts, null, null))).tokens().stream()
            .map(tokens -> tokens.stream().map(Tokens.Token::id).toList())
            .toList();
    assertThat(ids).doesNotHaveDuplicates();
  }

  private static int serve(JsonObject http) {
    HttpVerticle verticle = new HttpVerticle();
    JsonObject config = TestService.offline().put("http", http.put("port", 0));
    Await.result(vertx.deployVerticle(verticle, new DeploymentOptions().setConfig(config)));
    return verticle.actualPort();
  }

  @AfterAll
  static void stop() {
    service.close();
    Await.result(vertx.close());
  }

  private static String text(int i) {
    return "text " + i + " of a " + "quick brown fox ".repeat(i % 7) + "and " + i * 31 + " more";
  }

  @Test
  void everyAnswerIsToItsQuestion() throws Exception {
    ask(4_000);
  }

  @Test
  @Tag("slow")
  void everyAnswerOfAHundredThousandIsToItsQuestion() throws Exception {
    ask(100_000);
  }

  private void ask(int total) throws Exception {
    answers = new AtomicIntegerArray(total);
    HttpClientOptions http2 =
        new HttpClientOptions()
            .setSsl(true)
            .setUseAlpn(true)
            .setProtocolVersion(HttpVersion.HTTP_2)
            .setHttp2MultiplexingLimit(AT_ONCE)
            .setTrustOptions(
                new PemTrustOptions().addCertPath(certificate.certificate().toString()));
    HttpClientOptions pipelining =
        new HttpClientOptions().setPipelining(true).setPipeliningLimit(AT_ONCE);
    int single = CONNECTIONS - PIPELINED - MULTIPLEXED;
    List<Future<?>> clients =
        List.of(
            client(new HttpClientOptions(), single, 1, plainPort, HttpVersion.HTTP_1_1),
            client(pipelining, PIPELINED, AT_ONCE, plainPort, HttpVersion.HTTP_1_1),
            client(http2, MULTIPLEXED, AT_ONCE, tlsPort, HttpVersion.HTTP_2));
    Future.all(clients).toCompletionStage().toCompletableFuture().get(6, TimeUnit.MINUTES);

    assertThat(wrong).as("wrong").isEmpty();
    assertThat(IntStream.range(0, total).filter(i -> answers.get(i) != 1).boxed())
        .as("lost, or answered twice")
        .isEmpty();
    assertThat(connected).as("connections, each kept").hasValue(CONNECTIONS);
  }

  /** Asks on so many connections, so many at once on each, until there is nothing left to ask. */
  private Future<?> client(
      HttpClientOptions options, int connections, int atOnce, int port, HttpVersion version) {
    HttpClientAgent client =
        vertx
            .httpClientBuilder()
            .with(options)
            .with(new PoolOptions().setHttp1MaxSize(connections).setHttp2MaxSize(connections))
            .withConnectHandler(connection -> connected.incrementAndGet())
            .build();
    RequestOptions to =
        new RequestOptions()
            .setMethod(HttpMethod.POST)
            .setHost("localhost")
            .setPort(port)
            .putHeader("Content-Type", "application/json");
    List<Future<Void>> loops =
        IntStream.range(0, connections * atOnce)
            .mapToObj(
                i -> {
                  Promise<Void> done = Promise.promise();
                  vertx.getOrCreateContext().runOnContext(v -> askNext(client, to, version, done));
                  return done.future();
                })
            .toList();
    return Future.all(loops).eventually(client::close);
  }

  private void askNext(
      HttpClient client, RequestOptions to, HttpVersion version, Promise<Void> done) {
    int number = next.getAndIncrement();
    if (number >= answers.length()) {
      done.complete();
      return;
    }
    client
        .request(
            new RequestOptions(to).setURI(path(number)).putHeader("X-Request-Id", "n" + number))
        .compose(request -> request.send(Buffer.buffer(question(number).encode())))
        .compose(response -> response.body().map(body -> check(number, version, response, body)))
        .onComplete(
            answered -> {
              if (answered.failed()) {
                wrong.add(number + ": " + answered.cause());
              }
              askNext(client, to, version, done);
            });
  }

  private static boolean isEmbedding(int number) {
    return number % EMBEDDING_EVERY == 0;
  }

  private static boolean isTokens(int number) {
    return number % 2 == 1;
  }

  private static String path(int number) {
    if (isEmbedding(number)) {
      return "/v1/embeddings";
    }
    return isTokens(number) ? "/tokenize" : "/v1/ragbus/functions/call";
  }

  private static JsonObject question(int number) {
    int text = number % TEXTS;
    if (isEmbedding(number)) {
      return new JsonObject().put("input", text(text));
    }
    if (isTokens(number)) {
      return new JsonObject().put("inputs", text(text));
    }
    return new JsonObject()
        .put("name", "echo")
        .put("args", new JsonArray().add(number).add(text(text)));
  }

  private Void check(int number, HttpVersion version, HttpClientResponse response, Buffer body) {
    answers.incrementAndGet(number);
    boolean right =
        response.statusCode() == 200
            && response.version() == version
            && ("n" + number).equals(response.getHeader("X-Request-Id"))
            && isRight(number, body);
    if (!right) {
      wrong.add(number + ": " + response.statusCode() + " " + body);
    }
    return null;
  }

  private static boolean isRight(int number, Buffer body) {
    int text = number % TEXTS;
    if (isEmbedding(number)) {
      JsonArray data = body.toJsonObject().getJsonArray("data");
      return data.size() == 1
          && cosine(vectors[text], data.getJsonObject(0).getJsonArray("embedding")) >= LEAST_COSINE;
    }
    if (isTokens(number)) {
      return body.toJsonArray().getJsonArray(0).stream()
          .map(token -> ((JsonObject) token).getInteger("id"))
          .toList()
          .equals(ids.get(text));
    }
    return body.toJsonObject()
        .equals(
            new JsonObject()
                .put("result", new JsonObject().put(text(text), new JsonArray().add(number))));
  }

  private static double cosine(float[] expected, JsonArray given) {
    double dot = 0;
    double a = 0;
    double b = 0;
    for (int i = 0; i < expected.length; i++) {
      double value = given.getDouble(i);
      dot += expected[i] * value;
      a += expected[i] * expected[i];
      b += value * value;
    }
    return given.size() == expected.length ? dot / Math.sqrt(a * b) : Double.NaN;
  }
}
