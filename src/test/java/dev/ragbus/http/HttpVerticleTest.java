// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

import static dev.ragbus.http.Served.JSON;
import static dev.ragbus.http.Served.await;
import static dev.ragbus.http.Served.failure;
import static org.assertj.core.api.Assertions.assertThat;

import dev.ragbus.EmbedRequest;
import dev.ragbus.InputType;
import dev.ragbus.TruncationDirection;
import dev.ragbus.http.Served.Answer;
import io.vertx.core.DeploymentOptions;
import io.vertx.core.Future;
import io.vertx.core.Promise;
import io.vertx.core.Vertx;
import io.vertx.core.VertxOptions;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpClientRequest;
import io.vertx.core.http.HttpMethod;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import io.vertx.junit5.VertxExtension;
import io.vertx.micrometer.MicrometerMetricsOptions;
import io.vertx.micrometer.VertxPrometheusOptions;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Base64;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

@ExtendWith(VertxExtension.class)
class HttpVerticleTest {
  private Served served;

  @BeforeEach
  void deploy(Vertx vertx) {
    served = Served.deploy(vertx, new JsonObject());
  }

  private static Map<String, String> json(String... headers) {
    Map<String, String> all = new HashMap<>(JSON);
    for (int i = 0; i < headers.length; i += 2) {
      all.put(headers[i], headers[i + 1]);
    }
    return all;
  }

  private Answer embed(String... headers) {
    Buffer body = Buffer.buffer("{\"input\": \"abc\"}");
    return served.send(HttpMethod.POST, "/v1/embeddings", json(headers), body);
  }

  // OpenAI

  @Test
  void embeddings_are_as_openai_writes_them() {
    Answer answer =
        served.post("/v1/embeddings", "{\"model\": \"m\", \"input\": [\"abc\", \"d\"]}");
    assertThat(answer.status()).isEqualTo(200);
    assertThat(answer.headers().get("content-type")).isEqualTo("application/json");
    assertThat(answer.body().toString())
        .isEqualTo(
            "{\"object\":\"list\",\"data\":["
                + "{\"object\":\"embedding\",\"index\":0,\"embedding\":[3.0,1.0,-3.0]},"
                + "{\"object\":\"embedding\",\"index\":1,\"embedding\":[1.0,0.33333334,-1.0]}],"
                + "\"model\":\"m\",\"usage\":{\"prompt_tokens\":4,\"total_tokens\":4}}");
  }

  @Test
  void base64_is_little_endian_float32_whatever_the_type() {
    for (String type : List.of("float", "int8")) {
      Answer answer =
          served.post(
              "/v1/embeddings",
              "{\"input\": \"d\", \"encoding_format\": \"base64\", \"user\": \"u\","
                  + " \"dimensions\": 2, \"embedding_type\": \""
                  + type
                  + "\"}");
      String text = answer.json().getJsonArray("data").getJsonObject(0).getString("embedding");
      ByteBuffer bytes =
          ByteBuffer.wrap(Base64.getDecoder().decode(text)).order(ByteOrder.LITTLE_ENDIAN);
      assertThat(bytes.remaining()).isEqualTo(8);
      assertThat(bytes.getFloat()).isEqualTo(1f);
      assertThat(bytes.getFloat()).isEqualTo(type.equals("float") ? 1 / 3f : 0f);
    }
  }

  @Test
  void quantised_numbers_are_whole() {
    Answer answer =
        served.post("/v1/embeddings", "{\"input\": [\"abc\"], \"embedding_type\": \"int8\"}");
    assertThat(answer.body().toString()).contains("\"embedding\":[3,1,-3]");
  }

  @Test
  void a_large_request_and_reply_are_whole() {
    String text = "x".repeat(400);
    JsonArray input = new JsonArray(Collections.nCopies(2_000, text));
    Answer answer =
        served.post(
            "/v1/embeddings", new JsonObject().put("input", input).put("dimensions", 30).encode());
    assertThat(answer.status()).isEqualTo(200);
    JsonArray data = answer.json().getJsonArray("data");
    assertThat(data).hasSize(2_000);
    assertThat(data.getJsonObject(1_999).getJsonArray("embedding")).hasSize(30);
  }

  @Test
  void a_vector_that_is_not_finite_is_a_failure() {
    Answer answer = served.post("/v1/embeddings", "{\"input\": [\"nan\"]}");
    assertThat(answer.status()).isEqualTo(500);
    assertThat(answer.json().getJsonObject("error").getString("code")).isEqualTo("runtime");
  }

  @Test
  void models_are_as_openai_writes_them() {
    JsonObject list = served.get("/v1/models").json();
    assertThat(list.getString("object")).isEqualTo("list");
    List<String> ids =
        list.getJsonArray("data").stream().map(m -> ((JsonObject) m).getString("id")).toList();
    assertThat(ids).containsExactly("fake", "cross/fake");
    for (String path : List.of("/v1/models/cross/fake", "/v1/models/cross%2Ffake")) {
      JsonObject model = served.get(path).json();
      assertThat(model.getLong("created")).isPositive();
      assertThat(model.copy().putNull("created"))
          .isEqualTo(
              new JsonObject()
                  .put("id", "cross/fake")
                  .put("object", "model")
                  .putNull("created")
                  .put("owned_by", "ragbus"));
    }
    Answer unknown = served.get("/v1/models/unknown");
    assertThat(unknown.status()).isEqualTo(404);
    assertThat(unknown.json().getJsonObject("error").getString("code"))
        .isEqualTo("model_not_found");
  }

  // Reranking

  @ParameterizedTest
  @ValueSource(strings = {"/v1/rerank", "/rerank"}) // the latter is TEI's, and takes this too
  void rankings_are_as_jina_writes_them(String path) {
    Answer answer =
        served.post(path, "{\"query\": \"q\", \"documents\": [\"abc\", {\"text\": \"d\"}]}");
    assertThat(answer.status()).isEqualTo(200);
    assertThat(answer.body().toString())
        .isEqualTo(
            "{\"model\":\"fake\",\"object\":\"list\",\"usage\":{\"total_tokens\":7},\"results\":["
                + "{\"index\":1,\"document\":{\"text\":\"d\"},\"relevance_score\":0.5},"
                + "{\"index\":0,\"document\":{\"text\":\"abc\"},\"relevance_score\":0.25}]}");
  }

  @Test
  void rankings_leave_out_what_was_not_asked_for() {
    Answer answer =
        served.post(
            "/v1/rerank",
            "{\"model\": \"m\", \"query\": \"q\", \"texts\": [\"abc\", \"d\"], \"top_n\": 1,"
                + " \"return_documents\": false, \"raw_scores\": true, \"truncate\": false,"
                + " \"max_tokens_per_doc\": 5, \"max_chunks_per_doc\": 2,"
                + " \"truncation_direction\": \"left\"}");
    assertThat(answer.json().getJsonArray("results").encode())
        .isEqualTo("[{\"index\":1,\"relevance_score\":0.5}]");
  }

  @Test
  void rankings_are_as_cohere_writes_them() {
    Answer answer =
        served.post(
            "/v2/rerank",
            "{\"model\": \"m\", \"query\": \"q\", \"documents\": [\"abc\", \"cut\"], \"top_n\": 1,"
                + " \"max_tokens_per_doc\": 4096, \"priority\": 1}");
    assertThat(answer.status()).isEqualTo(200);
    String id = answer.headers().get("X-Request-Id");
    assertThat(answer.body().toString())
        .isEqualTo(
            "{\"id\":\""
                + id
                + "\",\"results\":[{\"index\":0,\"relevance_score\":0.25}],\"meta\":{"
                + "\"api_version\":{\"version\":\"2\",\"is_deprecated\":false,"
                + "\"is_experimental\":false},\"billed_units\":{\"search_units\":1},"
                + "\"tokens\":{\"input_tokens\":7,\"output_tokens\":0},\"cached_tokens\":0,"
                + "\"warnings\":[\"documents cut to fit the model: [1]\"]}}");
  }

  // Cohere's embeddings

  @Test
  void vectors_of_every_type_come_together_as_cohere_writes_them() {
    Answer answer =
        served.post(
            "/v2/embed",
            "{\"model\": \"m\", \"texts\": [\"abc\"], \"input_type\": \"search_query\","
                + " \"embedding_types\": [\"float\", \"int8\", \"uint8\", \"binary\", \"ubinary\","
                + " \"base64\", \"float\"], \"truncate\": \"START\", \"priority\": 0}");
    assertThat(answer.status()).isEqualTo(200);
    assertThat(answer.body().toString())
        .isEqualTo(
            "{\"id\":\""
                + answer.headers().get("X-Request-Id")
                + "\",\"embeddings\":{\"float\":[[3.0,1.0,-3.0]],\"int8\":[[127,42,-127]],"
                + "\"uint8\":[[255,170,1]],\"binary\":[[64]],\"ubinary\":[[192]],"
                + "\"base64\":[\"AABAQAAAgD8AAEDA\"]},\"texts\":[\"abc\"],\"meta\":{\"api_version\":"
                + "{\"version\":\"2\",\"is_deprecated\":false,\"is_experimental\":false},"
                + "\"billed_units\":{\"input_tokens\":3},\"warnings\":[]},"
                + "\"response_type\":\"embeddings_by_type\"}");
    assertThat(served.service.embedRequests)
        .containsExactly(
            EmbedRequest.of("abc")
                .withModel("m")
                .withInputType(InputType.QUERY)
                .withTruncation(true, TruncationDirection.LEFT));
  }

  @Test
  void cohere_inputs_are_texts_too() {
    Answer answer =
        served.post(
            "/v2/embed",
            "{\"inputs\": [{\"content\": [{\"type\": \"text\", \"text\": \"a\"},"
                + " {\"type\": \"text\", \"text\": \"b\"}]}], \"truncate\": \"NONE\","
                + " \"output_dimension\": 2, \"input_type\": \"clustering\"}");
    assertThat(answer.json().getJsonArray("texts").getString(0)).isEqualTo("a\nb");
    assertThat(served.service.embedRequests)
        .containsExactly(
            EmbedRequest.of("a\nb")
                .withDimensions(2)
                .withTruncation(false, TruncationDirection.RIGHT));
  }

  // Jina's fields

  @Test
  void jina_fields_are_understood() {
    Answer answer =
        served.post(
            "/v1/embeddings",
            "{\"input\": [{\"text\": \"abc\"}], \"task\": \"retrieval.passage\", \"normalized\": false,"
                + " \"embedding_type\": [\"base64\"], \"late_chunking\": false, \"truncate\": false}");
    assertThat(answer.json().getJsonArray("data").getJsonObject(0).getString("embedding"))
        .isEqualTo("AABAQAAAgD8AAEDA");
    assertThat(served.service.embedRequests)
        .containsExactly(
            EmbedRequest.of("abc")
                .withInputType(InputType.DOCUMENT)
                .withNormalize(false)
                .withTruncation(false, TruncationDirection.RIGHT));
  }

  // Token ids

  @ParameterizedTest
  @ValueSource(strings = {"/v1/embeddings", "/embeddings", "/embed", "/"})
  void integers_are_token_ids(String path) {
    String field = path.contains("embeddings") ? "input" : "inputs";
    for (String ids : List.of("[101, 5, 102]", "[[101, 5, 102]]", "[[101], [102]]")) {
      assertThat(served.post(path, "{\"" + field + "\": " + ids + "}").status()).isEqualTo(200);
    }
    EmbedRequest one = EmbedRequest.ofTokens(List.of(List.of(101, 5, 102)));
    EmbedRequest two = EmbedRequest.ofTokens(List.of(List.of(101), List.of(102)));
    assertThat(served.service.embedRequests).containsExactly(one, one, two);
  }

  // TEI

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "/embed | {\"inputs\": \"abc\", \"truncation_direction\": \"Left\"} | [[3.0,1.0,-3.0]]",
        "/ | {\"inputs\": [\"abc\"], \"parameters\": {\"a\": 1}} | [[3.0,1.0,-3.0]]",
        "/embed | {\"inputs\": [\"\"], \"dimensions\": 1, \"truncate\": null} | [[0.0]]",
        "/embed_sparse | {\"inputs\": [\"abc\", \"d\"], \"truncate\": true, \"prompt_name\": null}"
            + " | [[{\"index\":1,\"value\":0.5},{\"index\":13,\"value\":3.0}],"
            + "[{\"index\":1,\"value\":0.5},{\"index\":11,\"value\":1.0}]]",
        "/embed_sparse | {\"inputs\": \"\"}"
            + " | [[{\"index\":1,\"value\":0.5},{\"index\":10,\"value\":0.0}]]",
        "/embed_sparse | {\"inputs\": [[101, 5, 102]]}"
            + " | [[{\"index\":1,\"value\":0.5},{\"index\":13,\"value\":3.0}]]",
        "/predict | {\"inputs\": \"abc\", \"truncation_direction\": \"Left\", \"other\": 1}"
            + " | [{\"score\":0.75,\"label\":\"alone\"},{\"score\":0.25,\"label\":\"other\"}]",
        "/predict | {\"inputs\": [\"abc\"]}"
            + " | [{\"score\":0.75,\"label\":\"alone\"},{\"score\":0.25,\"label\":\"other\"}]",
        "/predict | {\"inputs\": [\"abc\", \"d\"], \"raw_scores\": true}"
            + " | [{\"score\":2.0,\"label\":\"pair\"},{\"score\":-1.0,\"label\":\"other\"}]",
        "/predict | {\"inputs\": [[\"abc\"], [\"a\", \"d\"]]}"
            + " | [[{\"score\":0.75,\"label\":\"alone\"},{\"score\":0.25,\"label\":\"other\"}],"
            + "[{\"score\":0.75,\"label\":\"pair\"},{\"score\":0.25,\"label\":\"other\"}]]",
        "/rerank | {\"query\": \"q\", \"texts\": [\"abc\", \"d\"]}"
            + " | [{\"index\":1,\"score\":0.5},{\"index\":0,\"score\":0.25}]",
        "/rerank | {\"query\": \"q\", \"texts\": [\"abc\"], \"return_text\": true}"
            + " | [{\"index\":0,\"text\":\"abc\",\"score\":0.25}]",
        "/similarity | {\"inputs\": {\"source_sentence\": \"a\", \"sentences\": [\"a\", \"ab\"]},"
            + " \"parameters\": {\"truncate\": true}} | [2.1111112,4.2222223]",
        "/tokenize | {\"inputs\": \"ab\"} | [[{\"id\":101,\"text\":\"[CLS]\",\"special\":true,"
            + "\"start\":null,\"stop\":null},{\"id\":2,\"text\":\"ab\",\"special\":false,"
            + "\"start\":0,\"stop\":2}]]",
        "/decode | {\"ids\": [1, 2]} | [\"[1, 2] true\"]",
        "/decode | {\"ids\": [[1], [2]], \"skip_special_tokens\": false}"
            + " | [\"[1] false\",\"[2] false\"]",
      })
  void replies_are_as_tei_writes_them(String path, String body, String reply) {
    Answer answer = served.post(path, body);
    assertThat(answer.status()).isEqualTo(200);
    assertThat(answer.body().toString()).isEqualTo(reply);
  }

  @Test
  void info_is_of_the_default_model() {
    JsonObject info = served.get("/info").json();
    assertThat(info.getString("model_id")).isEqualTo("fake");
    assertThat(info.getString("model_dtype")).isEqualTo("float32");
    assertThat(info.getInteger("max_input_length")).isEqualTo(256);
    assertThat(info.getInteger("max_client_batch_size")).isEqualTo(2_048);
    assertThat(info.getJsonObject("model_type").encode())
        .isEqualTo("{\"embedding\":{\"pooling\":\"mean\"}}");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "/embed_sparse | {\"inputs\": []} | 400 | inputs must not be empty",
        "/embed_sparse | {} | 422 | inputs is required",
        "/embed_sparse | {\"inputs\": [\"a\", [\"b\"]]} | 422 | inputs[1] must be",
        "/embed_sparse | {\"inputs\": \"a\", \"model\": \"unknown\"} | 404 | no model 'unknown'",
        "/embed_sparse | {\"inputs\": \"nan\"} | 424 | the model's answer is not finite",
        "/predict | {\"inputs\": []} | 400 | inputs must not be empty",
        "/predict | {\"inputs\": [[]]} | 422 | inputs[0] must be a list of one or two strings",
        "/predict | {\"inputs\": [\"a\", \"b\", \"c\"]} | 422 | inputs must be a list of one or two",
        "/predict | {\"inputs\": [[\"a\"], \"b\"]} | 422 | inputs[1] must be a list like the others",
        "/predict | {\"inputs\": [[\"a\"], [1]]} | 422 | inputs[1] must be a list of one or two",
        "/predict | {\"inputs\": [[\"a\", null]]} | 422 | inputs[0] must be a list of one or two",
        "/predict | {\"inputs\": 1} | 422 | inputs must be a string, a list of one or two strings",
        "/predict | {\"inputs\": \"a\", \"raw_scores\": 1} | 422 | raw_scores must be true or false",
        "/predict | {\"inputs\": \"fail:TYPE_CONVERSION\"} | 422 | inputs were asked to",
        "/predict | {\"inputs\": \"fail:PYTHON\"} | 424 | inputs were asked to",
        "/predict | {\"inputs\": \"fail:OVERLOADED\"} | 429 | inputs were asked to",
        "/predict | {\"inputs\": | 422 | ",
      })
  void bad_input_of_tei_is_named(String path, String body, int status, String message) {
    Answer answer = served.post(path, body);
    assertThat(answer.status()).isEqualTo(status);
    assertThat(answer.json().fieldNames()).containsExactly("error", "error_type");
    assertThat(answer.json().getString("error")).contains(message == null ? "" : message);
  }

  @Test
  void tei_health_is_empty_or_unhealthy() {
    Answer up = served.get("/health");
    assertThat(up.status()).isEqualTo(200);
    assertThat(up.body().length()).isZero();
    served.service.initialized(false);
    Answer down = served.get("/health");
    assertThat(down.status()).isEqualTo(503);
    assertThat(down.body().toString())
        .isEqualTo("{\"error\":\"unhealthy\",\"error_type\":\"Unhealthy\"}");
  }

  // Ours

  @Test
  void our_own_operations_are_those_of_the_bus() {
    JsonObject models = served.get("/v1/ragbus/models").json();
    assertThat(models.getInteger("total_count")).isEqualTo(3);
    assertThat(served.get("/v1/ragbus/models/cross/fake").json().getString("model_name"))
        .isEqualTo("cross/fake");
    assertThat(served.get("/v1/ragbus/models/unknown").status()).isEqualTo(404);
    assertThat(
            served
                .post("/v1/ragbus/models/load", "{\"model_name\": \"a\"}")
                .json()
                .getString("cache_key"))
        .isEqualTo("embedding:a");
    assertThat(served.post("/v1/ragbus/models/unload", "{}").json().getJsonArray("cleared_models"))
        .containsExactly("all");
    assertThat(served.post("/v1/ragbus/memory/cleanup", "{}").json().getInteger("collected"))
        .isEqualTo(1);
    assertThat(
            served
                .post(
                    "/v1/ragbus/functions/call", "{\"name\": \"f\", \"args\": {\"a\": [1, null]}}")
                .body()
                .toString())
        .isEqualTo("{\"result\":{\"a\":[1,null]}}");
    assertThat(served.get("/v1/ragbus/functions").json().getInteger("total_count")).isZero();
    assertThat(
            served.post("/v1/ragbus/functions/unregister", "{\"name\": \"f\"}").body().toString())
        .isEqualTo("{\"name\":\"f\"}");
    assertThat(served.get("/v1/ragbus/stats").json().getInteger("resident_bytes")).isEqualTo(1);
  }

  // Health and metrics

  @Test
  void readiness_is_what_the_service_says() {
    assertThat(served.get("/health/live").body().toString()).isEqualTo("{\"status\":\"UP\"}");
    assertThat(served.get("/health/ready").status()).isEqualTo(200);
    served.service.initialized(false);
    Answer starting = served.get("/health/ready");
    assertThat(starting.status()).isEqualTo(503);
    assertThat(starting.json().getBoolean("initialized")).isFalse();
    assertThat(starting.json().getJsonArray("checks").getJsonObject(0).getString("id"))
        .isEqualTo("lane");
  }

  @Test
  void without_a_service_it_lives_and_is_not_ready(Vertx vertx) {
    await(vertx.undeploy(served.service.deploymentID()));
    assertThat(served.get("/health/live").status()).isEqualTo(200);
    Answer ready = served.get("/health/ready");
    assertThat(ready.status()).isEqualTo(503);
    assertThat(ready.json().getString("status")).isEqualTo("DOWN");
    Answer embed = embed();
    assertThat(embed.status()).isEqualTo(503);
    assertThat(embed.headers().get("Retry-After")).isEqualTo("1");
    assertThat(embed.json().getJsonObject("error").getString("code")).isEqualTo("unavailable");
  }

  @Test
  void metrics_are_served_where_they_are_on() {
    assertThat(served.get("/metrics").status()).isEqualTo(404);
    Vertx measured =
        Vertx.vertx(
            new VertxOptions()
                .setMetricsOptions(
                    new MicrometerMetricsOptions()
                        .setPrometheusOptions(new VertxPrometheusOptions().setEnabled(true))
                        .setEnabled(true)));
    try {
      Answer metrics = Served.deploy(measured, new JsonObject()).get("/metrics");
      assertThat(metrics.status()).isEqualTo(200);
      assertThat(metrics.body().toString()).contains("vertx_http_server_active_connections");
    } finally {
      await(measured.close());
    }
  }

  // Failures of the service

  @ParameterizedTest
  @CsvSource({
    "INVALID, 400, invalid_request_error",
    "UNAUTHORIZED, 401, authentication_error",
    "FORBIDDEN, 403, permission_error",
    "MODEL_NOT_FOUND, 404, invalid_request_error",
    "CONFLICT, 409, invalid_request_error",
    "TOO_LARGE, 413, invalid_request_error",
    "TYPE_CONVERSION, 422, invalid_request_error",
    "OVERLOADED, 429, rate_limit_error",
    "PYTHON, 500, server_error",
    "RUNTIME, 500, server_error",
    "SERIALIZATION, 500, server_error",
    "NOT_INITIALIZED, 503, server_error",
    "UNAVAILABLE, 503, server_error",
    "INTERPRETER_LOCKED, 503, server_error",
    "LANE_LOST, 503, server_error",
    "TIMEOUT, 504, server_error",
  })
  void a_failure_has_its_status_and_the_words_of_its_dialect(String kind, int status, String type) {
    Answer openAi = served.post("/v1/embeddings", "{\"input\": \"fail:" + kind + "\"}");
    assertThat(openAi.status()).isEqualTo(status);
    JsonObject error = openAi.json().getJsonObject("error");
    assertThat(error.fieldNames()).containsExactly("message", "type", "param", "code");
    assertThat(error.getString("message")).isEqualTo("input were asked to");
    assertThat(error.getString("type")).isEqualTo(type);
    assertThat(error.getString("code")).isEqualToIgnoringCase(kind);
    String retryAfter = status == 429 ? "3" : status == 503 ? "1" : null;
    assertThat(openAi.headers().get("Retry-After")).isEqualTo(retryAfter);

    String ranking = "{\"query\": \"fail:" + kind + "\", \"documents\": [\"a\"]}";
    Answer jina = served.post("/v1/rerank", ranking);
    assertThat(jina.status()).isEqualTo(status);
    assertThat(jina.json().getJsonObject("error").getString("message"))
        .isEqualTo("documents were asked to");
    Answer cohere = served.post("/v2/rerank", ranking);
    assertThat(cohere.status()).isEqualTo(status);
    assertThat(cohere.json()).isEqualTo(new JsonObject().put("message", "documents were asked to"));
    assertThat(cohere.headers().get("Retry-After")).isEqualTo(retryAfter);
  }

  @Test
  void a_request_that_others_have_cancelled_is_told_so() {
    Answer answer = served.post("/v1/embeddings", "{\"input\": \"fail:CANCELLED\"}");
    assertThat(answer.status()).isEqualTo(499);
    assertThat(answer.json().getJsonObject("error").getString("code")).isEqualTo("cancelled");
    assertThat(answer.headers().get("Retry-After")).isNull();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"/", "/docs/swagger-ui-bundle.js", "/openapi.json", "/health", "/v1/models"})
  void what_may_be_read_may_be_asked_for_its_headers(String path) {
    Answer whole = served.get(path);
    Answer head = served.send(HttpMethod.HEAD, path, Map.of(), Buffer.buffer());
    assertThat(head.status()).isEqualTo(whole.status());
    assertThat(head.body().length()).isZero();
    assertThat(head.headers().get("Content-Type")).isEqualTo(whole.headers().get("Content-Type"));
  }

  @Test
  void a_call_has_the_time_of_its_function_or_what_it_brings() {
    String call = "{\"name\": \"rerank_texts\", \"args\": []}";
    served.post("/v1/ragbus/functions/call", call);
    served.post("/v1/ragbus/functions/call", "{\"name\": \"other\", \"args\": []}");
    served.send(
        HttpMethod.POST,
        "/v1/ragbus/functions/call",
        Map.of("Content-Type", "application/json", "X-Timeout-Ms", "120000"),
        Buffer.buffer(call));
    assertThat(served.service.timeouts).containsExactly(60_000L, 30_000L, 120_000L);
  }

  // Ids, deadlines, cancellation

  @Test
  void a_request_id_comes_back_and_travels_under_a_name_of_its_own() {
    assertThat(embed("X-Request-Id", "mine").headers().get("X-Request-Id")).isEqualTo("mine");
    String longest = "x".repeat(64);
    assertThat(embed("X-Request-Id", longest).headers().get("X-Request-Id")).isEqualTo(longest);
    String made = embed("X-Request-Id", "not valid").headers().get("X-Request-Id");
    assertThat(served.service.ids.get(0)).startsWith("mine.").hasSize(41);
    assertThat(served.service.ids.get(1)).startsWith("x".repeat(27) + ".").hasSize(64);
    assertThat(served.service.ids.get(2)).isEqualTo(made).hasSize(36);
    assertThat(served.get("/nothing").headers().get("X-Request-Id")).hasSize(36);
  }

  @Test
  void the_time_left_travels_and_is_capped() {
    embed();
    embed("X-Timeout-Ms", "1500");
    embed("timeout-ms", "999999999");
    served.post("/v1/rerank", "{\"query\": \"q\", \"documents\": [\"a\"]}");
    assertThat(served.service.timeouts).containsExactly(30_000L, 1_500L, 30_000L, 60_000L);
  }

  @ParameterizedTest
  @ValueSource(strings = {"0", "-1", "soon", "1.5", "99999999999999999999"})
  void a_bad_time_left_is_refused(String timeout) {
    Answer answer = embed("X-Timeout-Ms", timeout);
    assertThat(answer.status()).isEqualTo(400);
    assertThat(answer.json().getJsonObject("error").getString("message"))
        .startsWith("X-Timeout-Ms must be");
  }

  @Test
  void a_client_that_goes_cancels_its_request_and_no_other(Vertx vertx) {
    Map<String, String> sameId = json("X-Request-Id", "same");
    Buffer body = Buffer.buffer("{\"input\": \"hold\"}");
    Future<String> otherHeld = served.service.holding();
    Future<Answer> other = served.sending(HttpMethod.POST, "/v1/embeddings", sameId, body);
    await(otherHeld);

    Future<String> held = served.service.holding();
    Future<String> cancelled = served.service.cancelled();
    var client = vertx.createHttpClient();
    HttpClientRequest request =
        await(client.request(HttpMethod.POST, served.port(), "127.0.0.1", "/v1/embeddings"));
    request.headers().setAll(sameId);
    request.send(body);
    String id = await(held);
    request.reset();
    assertThat(await(cancelled)).isEqualTo(id);

    served.service.release();
    assertThat(await(other).status()).isEqualTo(200);
  }

  // Who may ask

  @ParameterizedTest
  @CsvSource({
    "Host, evil.example, 403",
    "Host, evil.example:8080, 403",
    "Host, 127.0.0.1.evil.example, 403",
    "Host, localhost.evil.example, 403",
    "Host, 10.0.0.1, 403",
    "Host, localhost, 200",
    "Host, LOCALHOST:1, 200",
    "Host, 127.1.2.3:99, 200",
    "Host, [::1]:99, 200",
    "Origin, http://evil.example, 403",
    "Origin, http://localhost:1, 403",
    "Origin, null, 403",
    "Origin, file://, 403",
  })
  void only_this_machine_and_no_foreign_page_may_ask(String header, String value, int status) {
    for (Answer answer :
        List.of(
            embed(header, value),
            served.send(HttpMethod.GET, "/health/live", Map.of(header, value), null),
            served.send(HttpMethod.GET, "/metrics", Map.of(header, value), null))) {
      assertThat(answer.status()).isIn(status == 403 ? List.of(403) : List.of(200, 404));
      if (status == 403) {
        assertThat(answer.json().getJsonObject("error").getString("type"))
            .isEqualTo("permission_error");
      }
    }
  }

  @Test
  void its_own_pages_may_ask() {
    assertThat(embed("Origin", "http://127.0.0.1:" + served.port()).status()).isEqualTo(200);
  }

  @ParameterizedTest
  @ValueSource(strings = {"0.0.0.0", "::", "192.168.1.1", "example.com", "127.0.0.1.example.com"})
  void it_binds_to_loopback_only(String host, Vertx vertx) {
    JsonObject config =
        new JsonObject().put("http", new JsonObject().put("host", host).put("port", 0));
    Future<String> deployed =
        vertx.deployVerticle(new HttpVerticle(), new DeploymentOptions().setConfig(config));
    assertThat(failure(deployed))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("http.host must be a loopback address")
        .hasMessageContaining("not " + host + ", unless there are keys");
  }

  // Protocol

  @Test
  void a_port_that_is_taken_is_named(Vertx vertx) {
    JsonObject config = new JsonObject().put("http", new JsonObject().put("port", served.port()));
    Vertx other = Vertx.vertx();
    try {
      Future<String> deployed =
          other.deployVerticle(new HttpVerticle(), new DeploymentOptions().setConfig(config));
      assertThat(failure(deployed))
          .hasMessageStartingWith("cannot listen on 127.0.0.1:" + served.port());
    } finally {
      await(other.close());
    }
  }

  @Test
  void without_tls_javas_client_is_not_upgraded_to_http_2() throws Exception {
    HttpRequest request =
        HttpRequest.newBuilder(URI.create("http://localhost:" + served.port() + "/v1/embeddings"))
            .header("Content-Type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString("{\"input\": [\"abc\"]}"))
            .build();
    HttpClient client = HttpClient.newHttpClient();
    for (int i = 0; i < 2; i++) {
      HttpResponse<String> answer = client.send(request, HttpResponse.BodyHandlers.ofString());
      assertThat(answer.statusCode()).isEqualTo(200);
      assertThat(answer.version()).isEqualTo(HttpClient.Version.HTTP_1_1);
    }
  }

  @ParameterizedTest
  @CsvSource({
    "'GARBAGE\r\n\r\n', 400",
    "'GET /%zz HTTP/1.1\r\nHost: localhost\r\n\r\n', 400",
    "'POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n', 400",
    "'GET /health/live HTTP/1.1\r\n\r\n', 400",
    "'GET /v1/models/%ff HTTP/1.1\r\nHost: localhost\r\n\r\n', 200",
  })
  void what_is_hardly_http_gets_json_too(String bytes, int status, Vertx vertx) {
    String answer =
        await(
            vertx
                .createNetClient()
                .connect(served.port(), "127.0.0.1")
                .compose(
                    socket -> {
                      var promise = Promise.<String>promise();
                      socket.handler(data -> promise.tryComplete(data.toString()));
                      return socket.write(bytes).compose(written -> promise.future());
                    }));
    assertThat(answer).containsPattern("^HTTP/1.[01] " + status + " ").contains("\r\n\r\n{");
  }

  @Test
  void what_is_too_long_for_http_gets_json_too() {
    Answer line = served.get("/" + "a".repeat(9_000));
    assertThat(line.status()).isEqualTo(414);
    assertThat(line.json().getJsonObject("error").getString("code")).isEqualTo("too_large");
    Answer headers =
        served.send(HttpMethod.GET, "/health/live", Map.of("X", "a".repeat(9_000)), null);
    assertThat(headers.status()).isEqualTo(431);
  }

  @Test
  void stopping_waits_little_longer_than_the_drain_timeout() {
    Vertx vertx = Vertx.vertx();
    Served impatient =
        Served.deploy(
            vertx, new JsonObject().put("lanes", new JsonObject().put("drain_timeout", "100ms")));
    Future<String> held = impatient.service.holding();
    Future<Answer> accepted =
        impatient.sending(
            HttpMethod.POST, "/v1/embeddings", JSON, Buffer.buffer("{\"input\": \"hold\"}"));
    await(held);
    long before = System.nanoTime();
    await(impatient.undeployHttp());
    assertThat(TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - before)).isBetween(90L, 5_000L);
    assertThat(failure(accepted)).isNotNull();
    await(vertx.close());
  }
}
