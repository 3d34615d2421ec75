// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.load;

import dev.ragbus.Addresses;
import dev.ragbus.EmbedRequest;
import dev.ragbus.Embeddings;
import dev.ragbus.FunctionResult;
import dev.ragbus.Ragbus;
import dev.ragbus.RagbusException;
import dev.ragbus.Ranking;
import dev.ragbus.RerankRequest;
import io.vertx.core.Future;
import io.vertx.core.Vertx;
import io.vertx.core.eventbus.DeliveryOptions;
import io.vertx.core.eventbus.Message;
import io.vertx.core.eventbus.ReplyException;
import io.vertx.core.http.HttpClientAgent;
import io.vertx.core.http.HttpClientResponse;
import io.vertx.core.http.HttpMethod;
import io.vertx.core.http.PoolOptions;
import io.vertx.core.http.RequestOptions;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import java.time.Duration;
import java.util.List;

/**
 * One way of asking the service. Every request has {@code timeoutMillis}, and fails with a {@link
 * Refusal}.
 */
interface Client {
  /** Its name in reports. */
  String name();

  /** The texts' vectors, one after the other. */
  Future<float[]> embed(List<String> texts, long timeoutMillis);

  /** The score of each text, by its index. */
  Future<float[]> rerank(String query, List<String> texts, long timeoutMillis);

  /** What a function gives for one argument. */
  Future<Object> call(String function, Object argument, long timeoutMillis);

  /** A failure that the service answered with, or its absence. */
  final class Refusal extends RuntimeException {
    private static final long serialVersionUID = 1L;

    private final int code;
    private final long retryAfterMillis;

    Refusal(int code, String message, long retryAfterMillis) {
      super(code + ": " + message);
      this.code = code;
      this.retryAfterMillis = retryAfterMillis;
    }

    /** An HTTP status. */
    int code() {
      return code;
    }

    /** When to come back; 0 where nothing is said. */
    long retryAfterMillis() {
      return retryAfterMillis;
    }
  }

  /** Typed requests on the event bus. */
  record Facade(Ragbus ragbus) implements Client {
    @Override
    public String name() {
      return "bus";
    }

    private Ragbus within(long timeoutMillis) {
      return ragbus.withTimeout(Duration.ofMillis(timeoutMillis));
    }

    @Override
    public Future<float[]> embed(List<String> texts, long timeoutMillis) {
      return within(timeoutMillis)
          .embed(EmbedRequest.of(texts))
          .map(Embeddings::values)
          .recover(Facade::refusal);
    }

    @Override
    public Future<float[]> rerank(String query, List<String> texts, long timeoutMillis) {
      return within(timeoutMillis)
          .rerank(RerankRequest.of(query, texts))
          .map(
              ranking -> {
                float[] scores = new float[texts.size()];
                for (Ranking.Result result : ranking.rankedResults()) {
                  scores[result.index()] = result.score();
                }
                return scores;
              })
          .recover(Facade::refusal);
    }

    @Override
    public Future<Object> call(String function, Object argument, long timeoutMillis) {
      return within(timeoutMillis)
          .call(function, argument)
          .map(FunctionResult::result)
          .recover(Facade::refusal);
    }

    private static <T> Future<T> refusal(Throwable failure) {
      return failure instanceof RagbusException typed
          ? Future.failedFuture(new Refusal(typed.code(), typed.detail(), typed.retryAfterMillis()))
          : Future.failedFuture(failure);
    }
  }

  /** JSON objects on the event bus. */
  record JsonBus(Vertx vertx) implements Client {
    @Override
    public String name() {
      return "bus, JSON";
    }

    private Future<JsonObject> send(String address, JsonObject body, long timeoutMillis) {
      DeliveryOptions options =
          new DeliveryOptions()
              .setSendTimeout(timeoutMillis + 60_000)
              .addHeader(Addresses.TIMEOUT_HEADER, Long.toString(timeoutMillis));
      return vertx
          .eventBus()
          .<JsonObject>request(address, body, options)
          .map(Message::body)
          .recover(
              failure ->
                  Future.failedFuture(
                      failure instanceof ReplyException reply
                          ? new Refusal(reply.failureCode(), reply.getMessage(), 0)
                          : failure));
    }

    @Override
    public Future<float[]> embed(List<String> texts, long timeoutMillis) {
      return send("rag.embed", new JsonObject().put("texts", new JsonArray(texts)), timeoutMillis)
          .map(reply -> numbers(reply.getJsonArray("embeddings")));
    }

    @Override
    public Future<float[]> rerank(String query, List<String> texts, long timeoutMillis) {
      JsonObject body = new JsonObject().put("query", query).put("texts", new JsonArray(texts));
      return send("rag.rerank", body, timeoutMillis)
          .map(reply -> scores(reply.getJsonArray("ranked_results"), "score"));
    }

    @Override
    public Future<Object> call(String function, Object argument, long timeoutMillis) {
      return send("rag.functions.call", callBody(function, argument), timeoutMillis)
          .map(reply -> reply.getValue("result"));
    }
  }

  /** The HTTP dialects, on connections that are kept. */
  record Http(HttpClientAgent client, int port) implements Client {
    static Http to(Vertx vertx, int port, int connections) {
      return new Http(vertx.createHttpClient(new PoolOptions().setHttp1MaxSize(connections)), port);
    }

    @Override
    public String name() {
      return "HTTP";
    }

    private Future<JsonObject> post(String path, JsonObject body, long timeoutMillis) {
      RequestOptions request =
          new RequestOptions()
              .setMethod(HttpMethod.POST)
              .setHost("127.0.0.1")
              .setPort(port)
              .setURI(path)
              .putHeader("Content-Type", "application/json")
              .putHeader("X-Timeout-Ms", Long.toString(timeoutMillis));
      return client
          .request(request)
          .compose(made -> made.send(body.toBuffer()))
          .compose(
              response ->
                  response
                      .body()
                      .compose(
                          answer ->
                              response.statusCode() == 200
                                  ? Future.succeededFuture(answer.toJsonObject())
                                  : Future.failedFuture(refusal(response, answer.toString()))));
    }

    private static Refusal refusal(HttpClientResponse response, String body) {
      String retryAfter = response.getHeader("Retry-After");
      return new Refusal(
          response.statusCode(),
          body,
          retryAfter == null ? 0 : Duration.ofSeconds(Long.parseLong(retryAfter)).toMillis());
    }

    @Override
    public Future<float[]> embed(List<String> texts, long timeoutMillis) {
      JsonObject body = new JsonObject().put("input", new JsonArray(texts));
      return post("/v1/embeddings", body, timeoutMillis)
          .map(
              reply -> {
                JsonArray rows = new JsonArray();
                for (Object row : reply.getJsonArray("data")) {
                  rows.add(((JsonObject) row).getJsonArray("embedding"));
                }
                return numbers(rows);
              });
    }

    @Override
    public Future<float[]> rerank(String query, List<String> texts, long timeoutMillis) {
      JsonObject body = new JsonObject().put("query", query).put("documents", new JsonArray(texts));
      return post("/v1/rerank", body, timeoutMillis)
          .map(reply -> scores(reply.getJsonArray("results"), "relevance_score"));
    }

    @Override
    public Future<Object> call(String function, Object argument, long timeoutMillis) {
      return post("/v1/ragbus/functions/call", callBody(function, argument), timeoutMillis)
          .map(reply -> reply.getValue("result"));
    }
  }

  private static JsonObject callBody(String function, Object argument) {
    return new JsonObject().put("name", function).put("args", new JsonArray().add(argument));
  }

  private static float[] numbers(JsonArray rows) {
    int width = rows.isEmpty() ? 0 : rows.getJsonArray(0).size();
    float[] values = new float[rows.size() * width];
    for (int i = 0; i < values.length; i++) {
      values[i] = rows.getJsonArray(i / width).getFloat(i % width);
    }
    return values;
  }

  private static float[] scores(JsonArray results, String field) {
    float[] scores = new float[results.size()];
    for (Object each : results) {
      JsonObject result = (JsonObject) each;
      scores[result.getInteger("index")] = result.getFloat(field);
    }
    return scores;
  }
}
