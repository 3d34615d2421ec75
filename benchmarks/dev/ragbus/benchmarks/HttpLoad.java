// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.benchmarks;

import io.vertx.core.Future;
import io.vertx.core.Vertx;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpClient;
import io.vertx.core.http.HttpClientOptions;
import io.vertx.core.http.HttpClientResponse;
import io.vertx.core.http.HttpMethod;
import io.vertx.core.http.PoolOptions;
import io.vertx.core.http.RequestOptions;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Clients of OpenAI's {@code /v1/embeddings}, each with a connection of its own that it keeps.
 * Bodies are made beforehand; of each run one reply is read as JSON and the others by their length,
 * so that the client takes little of the machine.
 *
 * <p>Reads commands from standard input, one a line, and answers each with a line of JSON:
 *
 * <ul>
 *   <li>{@code texts URL MODEL SIZE CLIENTS}: all texts once, in requests of so many texts
 *   <li>{@code query URL MODEL CALLS}: so many single queries, one after another
 * </ul>
 */
final class HttpLoad {
  private static final String QUERY = "How tall is Mont Blanc?";
  private static final int MOST_CLIENTS = 256;

  /** No vector of the models that are measured takes fewer characters. */
  private static final int LEAST_VECTOR_BYTES = 1_000;

  private final HttpClient client;
  private final List<String> texts;
  private final Map<String, List<Buffer>> bodies = new HashMap<>();

  private HttpLoad(Vertx vertx, List<String> texts) {
    HttpClientOptions options = new HttpClientOptions().setTcpNoDelay(true).setKeepAlive(true);
    this.client = vertx.createHttpClient(options, new PoolOptions().setHttp1MaxSize(MOST_CLIENTS));
    this.texts = texts;
  }

  public static void main(String[] arguments) throws Exception {
    Vertx vertx = Vertx.vertx();
    HttpLoad load = new HttpLoad(vertx, Files.readAllLines(Path.of(arguments[0])));
    try {
      Commands.serve(vertx.getOrCreateContext(), load::run);
    } finally {
      vertx.close();
    }
  }

  private Future<JsonObject> run(String[] command) {
    String url = command[1];
    String model = command[2];
    int number = Integer.parseInt(command[3]);
    return switch (command[0]) {
      case "texts" ->
          load(url, requests(model, texts, number), number, Integer.parseInt(command[4]))
              .map(load -> load.report(texts.size()));
      case "query" -> {
        Buffer query = body(model, List.of(QUERY));
        yield Load.run(number, 1, request -> post(url, query, 1, request == 0))
            .map(load -> load.report(number));
      }
      default -> Future.failedFuture("unknown command " + command[0]);
    };
  }

  private List<Buffer> requests(String model, List<String> all, int size) {
    return bodies.computeIfAbsent(
        model + " " + size,
        key -> {
          List<Buffer> made = new ArrayList<>();
          for (int first = 0; first < all.size(); first += size) {
            made.add(body(model, all.subList(first, Math.min(first + size, all.size()))));
          }
          return made;
        });
  }

  private static Buffer body(String model, List<String> texts) {
    return new JsonObject().put("model", model).put("input", new JsonArray(texts)).toBuffer();
  }

  private Future<Load> load(String url, List<Buffer> requests, int size, int clients) {
    int last = texts.size() - (requests.size() - 1) * size;
    return Load.run(
        requests.size(),
        clients,
        request -> {
          int count = request == requests.size() - 1 ? last : size;
          return post(url, requests.get(request), count, request == 0);
        });
  }

  private Future<Buffer> post(String url, Buffer body, int count, boolean read) {
    RequestOptions options =
        new RequestOptions()
            .setMethod(HttpMethod.POST)
            .setAbsoluteURI(url + "/v1/embeddings")
            .putHeader("Content-Type", "application/json");
    return client
        .request(options)
        .compose(request -> request.send(body))
        .compose(response -> response.body().map(reply -> checked(response, reply, count, read)));
  }

  private static Buffer checked(
      HttpClientResponse response, Buffer reply, int count, boolean read) {
    if (response.statusCode() != 200) {
      throw new IllegalStateException(response.statusCode() + ": " + reply);
    }
    int vectors = read ? reply.toJsonObject().getJsonArray("data").size() : count;
    if (vectors != count || reply.length() < count * LEAST_VECTOR_BYTES) {
      throw new IllegalStateException(count + " vectors wanted, not " + reply);
    }
    return reply;
  }
}
