// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

import static org.assertj.core.api.Assertions.assertThat;

import dev.ragbus.Await;
import dev.ragbus.service.TestService;
import io.vertx.core.Vertx;
import io.vertx.core.json.Json;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Path;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** TEI's {@code /embed_sparse}, {@code /predict} and {@code /info} before real models. */
class HeadsOverHttpTest {
  private static final HttpClient CLIENT = HttpClient.newHttpClient();

  private static Vertx vertx;
  private static int sparsePort;
  private static int classifierPort;

  @BeforeAll
  static void start() {
    vertx = Vertx.vertx();
    sparsePort = serve("sparse", "splade");
    classifierPort = serve("classifier", "classifier");
  }

  /** A deployment whose only default model this is; returns its port. */
  private static int serve(String kind, String model) {
    JsonObject models =
        new JsonObject()
            .put("dir", Path.of("python/tests/golden/heads").toAbsolutePath().toString())
            .put("embedding", new JsonArray())
            .put("reranker", new JsonArray())
            .put(kind, new JsonArray().add(model));
    JsonObject config =
        new JsonObject()
            .put("models", models)
            .put("bus", new JsonObject().put("address_prefix", kind))
            .put("http", new JsonObject().put("port", 0));
    TestService.start(vertx, config);
    return Served.beside(vertx, config);
  }

  @AfterAll
  static void stop() {
    Await.result(vertx.close());
  }

  private static HttpResponse<String> post(int port, String path, String body) throws Exception {
    return CLIENT.send(
        HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + port + path))
            .header("Content-Type", "application/json")
            .POST(BodyPublishers.ofString(body))
            .build(),
        BodyHandlers.ofString());
  }

  private static JsonObject modelType(int port) throws Exception {
    HttpRequest request =
        HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + port + "/info")).build();
    return new JsonObject(CLIENT.send(request, BodyHandlers.ofString()).body())
        .getJsonObject("model_type");
  }

  @Test
  void infoTellsTheTypeOfModelAsTeiDoes() throws Exception {
    assertThat(modelType(sparsePort).encode())
        .isEqualTo("{\"embedding\":{\"pooling\":\"splade\"}}");
    assertThat(modelType(classifierPort).encode())
        .isEqualTo(
            "{\"classifier\":{\"id2label\":{\"0\":\"negative\",\"1\":\"neutral\",\"2\":\"positive\"},"
                + "\"label2id\":{\"negative\":0,\"neutral\":1,\"positive\":2}}}");
  }

  @Test
  void sparseVectorsAreListsOfIndexAndValue() throws Exception {
    HttpResponse<String> answer =
        post(sparsePort, "/embed_sparse", "{\"inputs\": [\"refund\", \"refund policy\"]}");
    assertThat(answer.statusCode()).isEqualTo(200);
    assertThat(answer.headers().firstValue("Server-Timing")).isPresent();
    JsonArray rows = new JsonArray(answer.body());
    assertThat(rows).hasSize(2);
    assertThat(rows.getJsonArray(0)).isNotEmpty().isNotEqualTo(rows.getJsonArray(1));
    assertThat(rows.getJsonArray(0).getJsonObject(0).fieldNames())
        .containsExactly("index", "value");
    JsonArray asked =
        new JsonArray(
            post(
                    sparsePort,
                    "/embed_sparse",
                    "{\"inputs\": \"refund\", \"prompt_name\": \"query\"}")
                .body());
    assertThat(asked.getJsonArray(0)).isNotEqualTo(rows.getJsonArray(0));
  }

  @Test
  void predictionsAreListsOfScoreAndLabel() throws Exception {
    JsonArray one =
        new JsonArray(post(classifierPort, "/predict", "{\"inputs\": \"refund\"}").body());
    assertThat(one).hasSize(3);
    assertThat(one.getJsonObject(0).fieldNames()).containsExactly("score", "label");
    double sum = one.stream().mapToDouble(it -> ((JsonObject) it).getDouble("score")).sum();
    assertThat(sum).isBetween(0.999, 1.001);
    String both = "{\"inputs\": [[\"refund\"], [\"refund\", \"policy\"]]}";
    JsonArray two = new JsonArray(post(classifierPort, "/predict", both).body());
    assertThat(two).hasSize(2);
    assertThat(two.getJsonArray(0)).isEqualTo(one);
    assertThat(two.getJsonArray(1)).isNotEqualTo(one);
    String raw = "{\"inputs\": \"refund\", \"raw_scores\": true}";
    assertThat(new JsonArray(post(classifierPort, "/predict", raw).body())).isNotEqualTo(one);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "sparse | /predict | {\"inputs\": \"a\"} | 404 | models.classifier names none",
        "classifier | /embed_sparse | {\"inputs\": \"a\"} | 404 | models.sparse names none",
        "sparse | /embed | {\"inputs\": \"a\", \"model\": \"splade\"} | 422 | it can embed_sparse",
        "sparse | /predict | {\"inputs\": \"a\", \"model\": \"splade\"} | 422 | of type sparse",
        "classifier | /rerank | {\"query\": \"q\", \"texts\": [\"a\"], \"model\": \"classifier\"}"
            + " | 422 | it can predict",
        "sparse | /embed_sparse | {\"inputs\": []} | 400 | must not be empty",
        "sparse | /embed_sparse | {\"inputs\": [[999]]} | 422 | outside the vocabulary",
        "classifier | /predict | {\"inputs\": [[\"a\", \"b\", \"c\"]]} | 422 | one or two strings",
      })
  void whatCannotBeIsNamed(String kind, String path, String body, int status, String part)
      throws Exception {
    int port = kind.equals("sparse") ? sparsePort : classifierPort;
    HttpResponse<String> answer = post(port, path, body);
    assertThat(answer.statusCode()).isEqualTo(status);
    JsonObject error = (JsonObject) Json.decodeValue(answer.body());
    assertThat(error.fieldNames()).containsExactly("error", "error_type");
    assertThat(error.getString("error")).contains(part);
  }
}
