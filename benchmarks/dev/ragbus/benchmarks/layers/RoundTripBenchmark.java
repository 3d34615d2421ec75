// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.benchmarks.layers;

import dev.ragbus.Addresses;
import dev.ragbus.EmbedRequest;
import dev.ragbus.EmbeddingType;
import dev.ragbus.Embeddings;
import dev.ragbus.MessageCodecs;
import dev.ragbus.Ragbus;
import dev.ragbus.Usage;
import dev.ragbus.http.HttpVerticle;
import io.vertx.core.Context;
import io.vertx.core.DeploymentOptions;
import io.vertx.core.Future;
import io.vertx.core.Promise;
import io.vertx.core.Vertx;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpClient;
import io.vertx.core.http.HttpMethod;
import io.vertx.core.http.RequestOptions;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OperationsPerInvocation;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;

/**
 * The bus and HTTP by themselves: in the service's place stands a consumer that answers every
 * request with the same vectors. Microseconds a request, one after another on one event loop.
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
public class RoundTripBenchmark {
  private static final int REQUESTS = 500;
  private static final int WIDTH = 384;

  /** Texts a request. */
  @Param({"1", "32"})
  public int texts;

  private Vertx vertx;
  private Context context;
  private Ragbus ragbus;
  private HttpClient client;
  private EmbedRequest request;
  private RequestOptions post;
  private Buffer body;

  /** Starts HTTP and the consumer. */
  @Setup
  public void start() throws Exception {
    vertx = Vertx.vertx();
    context = vertx.getOrCreateContext();
    MessageCodecs.register(vertx);
    Usage usage = new Usage(40 * texts, List.of());
    float[] values = new float[texts * WIDTH];
    Embeddings answer = new Embeddings(values, "m", WIDTH, texts, EmbeddingType.FLOAT, usage);
    vertx
        .eventBus()
        .<EmbedRequest>consumer(Addresses.defaults().embed(), message -> message.reply(answer));
    List<String> paragraphs = Collections.nCopies(texts, "How tall is it? ".repeat(12));
    request = EmbedRequest.of(paragraphs);
    ragbus = Ragbus.create(vertx);
    HttpVerticle http = new HttpVerticle();
    JsonObject config = new JsonObject().put("http", new JsonObject().put("port", 0));
    wait(vertx.deployVerticle(http, new DeploymentOptions().setConfig(config)));
    client = vertx.createHttpClient();
    post =
        new RequestOptions()
            .setMethod(HttpMethod.POST)
            .setAbsoluteURI("http://127.0.0.1:" + http.actualPort() + "/v1/embeddings")
            .putHeader("Content-Type", "application/json");
    body = new JsonObject().put("input", new JsonArray(paragraphs)).put("model", "m").toBuffer();
  }

  /** Ends it. */
  @TearDown
  public void stop() throws Exception {
    wait(vertx.close());
  }

  /** {@code Ragbus.embed} to the consumer and back. */
  @Benchmark
  @OperationsPerInvocation(REQUESTS)
  public Object bus() throws Exception {
    return inTurn(() -> ragbus.embed(request));
  }

  /** {@code POST /v1/embeddings}, which goes over the bus: client, JSON both ways, and the bus. */
  @Benchmark
  @OperationsPerInvocation(REQUESTS)
  public Object http() throws Exception {
    return inTurn(
        () ->
            client
                .request(post)
                .compose(sent -> sent.send(body))
                .compose(
                    reply ->
                        reply.statusCode() == 200
                            ? reply.body()
                            : Future.failedFuture("status " + reply.statusCode())));
  }

  private Object inTurn(Supplier<Future<?>> send) throws Exception {
    Promise<Object> done = Promise.promise();
    context.runOnContext(v -> next(send, REQUESTS, done));
    return wait(done.future());
  }

  private void next(Supplier<Future<?>> send, int left, Promise<Object> done) {
    send.get()
        .onSuccess(
            reply -> {
              if (left == 1) {
                done.complete(reply);
              } else {
                next(send, left - 1, done);
              }
            })
        .onFailure(done::fail);
  }

  private static <T> T wait(Future<T> future) throws Exception {
    return future.toCompletionStage().toCompletableFuture().get(60, TimeUnit.SECONDS);
  }
}
