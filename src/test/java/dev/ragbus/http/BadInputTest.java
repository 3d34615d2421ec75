package dev.ragbus.http;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import dev.ragbus.http.Served.Answer;
import io.vertx.core.Vertx;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpMethod;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import io.vertx.junit5.VertxExtension;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Each bad request gets its status, JSON in its dialect and a message; the next one is answered.
 */
@ExtendWith(VertxExtension.class)
class BadInputTest {
  private static final int MAX_BODY_BYTES = 20_000;
  private static final String EMBED = "/v1/embeddings";
  private static final String JINA = "/v1/rerank";
  private static final String COHERE = "/v2/rerank";

  private static Served served;

  @BeforeAll
  static void deploy(Vertx vertx) {
    JsonObject limits = new JsonObject().put("max_body_bytes", MAX_BODY_BYTES);
    served = Served.deploy(vertx, new JsonObject().put("limits", limits));
  }

  @AfterEach
  void the_server_is_unharmed() {
    assertThat(served.post(EMBED, "{\"input\": [\"abc\"]}").status()).isEqualTo(200);
  }

  private static String message(Answer answer, String path) {
    assertThat(answer.headers().get("Content-Type")).isEqualTo("application/json");
    JsonObject body = answer.json();
    if (path.startsWith("/v2")) {
      assertThat(body.fieldNames()).containsExactly("message");
      return body.getString("message");
    }
    assertThat(body.fieldNames()).containsExactly("error");
    JsonObject error = body.getJsonObject("error");
    assertThat(error.fieldNames()).containsExactly("message", "type", "param", "code");
    return error.getString("message");
  }

  private static final String DEEP = "[".repeat(5_000) + "]".repeat(5_000);

  /** What is wrong with any JSON body. */
  static Stream<Arguments> notABody() {
    return Stream.of(EMBED, JINA, "/rerank", COHERE)
        .flatMap(
            path ->
                Stream.of(
                    arguments(path, "", "the body must be a JSON object"),
                    arguments(path, " ", "the body must be an object"),
                    arguments(path, "{", "well-formed"),
                    arguments(path, "{\"model\": \"x", ""),
                    arguments(path, "{} {}", ""),
                    arguments(path, "{'model': 'x'}", "well-formed"),
                    arguments(path, "{\"top_n\": NaN}", ""),
                    arguments(path, "nonsense", "well-formed"),
                    arguments(path, "null", "the body must be a JSON object"),
                    arguments(path, "[]", "the body must be an object"),
                    arguments(path, "\"x\"", "the body must be an object"),
                    arguments(path, "5", "the body must be an object"),
                    arguments(path, DEEP, ""),
                    arguments(path, "{\"model\": " + DEEP + "}", ""),
                    arguments(path, "{\"model\": \"a\", \"model\": \"b\"}", ""),
                    arguments(path, "{\"model\": 5}", "model must be a string"),
                    arguments(path, "{\"model\": {\"a\": 1}}", "model must be a string"),
                    arguments(path, "{\"modle\": \"x\"}", "modle is not a field; known are")));
  }

  @ParameterizedTest
  @MethodSource("notABody")
  void a_body_that_is_none_is_refused(String path, String body, String message) {
    Answer answer = served.post(path, body);
    assertThat(answer.status()).isEqualTo(400);
    assertThat(message(answer, path)).contains(message).doesNotContain("jackson", "dev.ragbus");
  }

  @ParameterizedTest
  @ValueSource(strings = {EMBED, JINA, COHERE})
  void bytes_that_are_not_utf_8_are_refused(String path) {
    byte[] body = "{\"model\": \"\u00e9\"}".getBytes(StandardCharsets.ISO_8859_1);
    Answer answer = served.send(HttpMethod.POST, path, Served.JSON, Buffer.buffer(body));
    assertThat(answer.status()).isEqualTo(400);
    message(answer, path);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "{}                                            | input    | is required",
        "{\"input\": null}                             | input    | is required",
        "{\"input\": \"\"}                             | input[0] | must not be empty",
        "{\"input\": []}                               | input    | must not be empty",
        "{\"input\": [\"a\", \"\"]}                    | input[1] | must not be empty",
        "{\"input\": [\"a\", null]}                    | input[1] | must be a string",
        "{\"input\": [\"a\", {\"text\": \"b\"}]}       | input[1] | must be a string",
        "{\"input\": [\"a\", true]}                    | input[1] | must be a string",
        "{\"input\": [1, 2]}                           | input[0] | token ids are not taken yet",
        "{\"input\": [[1, 2]]}                         | input[0] | token ids are not taken yet",
        "{\"input\": 5}                                | input    | a string or a list of strings",
        "{\"input\": {\"a\": 1}}                       | input    | a string or a list of strings",
        "{\"input\": \"a\", \"encoding_format\": \"f\"} | encoding_format | one of [float, base64]",
        "{\"input\": \"a\", \"encoding_format\": 1}    | encoding_format | one of [float, base64]",
        "{\"input\": \"a\", \"dimensions\": 0}         | dimensions | at least 1, not 0",
        "{\"input\": \"a\", \"dimensions\": 1.5}       | dimensions | an integer in range",
        "{\"input\": \"a\", \"dimensions\": \"1\"}     | dimensions | an integer in range",
        "{\"input\": \"a\", \"dimensions\": 1e99}      | dimensions | an integer in range",
        "{\"input\": \"a\", \"dimensions\": 99999999999} | dimensions | must be",
        "{\"input\": \"a\", \"user\": 1}               | user | must be a string",
        "{\"input\": \"a\", \"model\": \" \"}          | model | must not be blank",
        "{\"input\": \"a\", \"normalize\": \"true\"}   | normalize | must be true or false",
        "{\"input\": \"a\", \"normalize\": 1}          | normalize | must be true or false",
        "{\"input\": \"a\", \"embedding_type\": \"f4\"} | embedding_type | must be one of",
        "{\"input\": \"a\", \"truncation_direction\": \"up\"} | truncation_direction | one of",
        "{\"input\": \"a\", \"prompt\": \"a\", \"prompt_name\": \"b\"} | prompt | exclude",
        "{\"input\": \"a\", \"texts\": [\"b\"]}        | texts | is not a field",
      })
  void a_bad_embedding_request_names_its_field(String body, String field, String message) {
    Answer answer = served.post(EMBED, body);
    assertThat(answer.status()).isEqualTo(400);
    assertThat(message(answer, EMBED)).startsWith(field).contains(message);
    JsonObject error = answer.json().getJsonObject("error");
    assertThat(error.getString("param")).isEqualTo(field);
    assertThat(error.getString("code")).isEqualTo("invalid");
    assertThat(error.getString("type")).isEqualTo("invalid_request_error");
  }

  static Stream<Arguments> badRankings() {
    return Stream.of(
            new String[][] {
              {"{\"documents\": [\"a\"]}", "query is required"},
              {"{\"query\": null, \"documents\": [\"a\"]}", "query is required"},
              {"{\"query\": 1, \"documents\": [\"a\"]}", "query must be a string"},
              {"{\"query\": \"q\"}", "documents is required"},
              {"{\"query\": \"q\", \"documents\": null}", "documents is required"},
              {"{\"query\": \"q\", \"documents\": []}", "documents is required and must not be"},
              {"{\"query\": \"q\", \"documents\": \"a\"}", "documents must be a list"},
              {"{\"query\": \"q\", \"documents\": {}}", "documents must be a list"},
              {"{\"query\": \"q\", \"documents\": [\"a\", 1]}", "documents[1] must be a string"},
              {"{\"query\": \"q\", \"documents\": [null]}", "documents[0] must be a string"},
              {"{\"query\": \"q\", \"documents\": [[\"a\"]]}", "documents[0] must be a string"},
              {"{\"query\": \"q\", \"documents\": [{}]}", "documents[0].text is required"},
              {
                "{\"query\": \"q\", \"documents\": [{\"text\": 1}]}",
                "documents[0].text must be a string"
              },
              {
                "{\"query\": \"q\", \"documents\": [{\"image\": \"x\"}]}",
                "documents[0].image is not a field"
              },
              {
                "{\"query\": \"q\", \"documents\": [\"a\"], \"top_n\": 0}",
                "top_n must be at least 1, not 0"
              },
              {
                "{\"query\": \"q\", \"documents\": [\"a\"], \"top_n\": -1}",
                "top_n must be at least 1, not -1"
              },
              {
                "{\"query\": \"q\", \"documents\": [\"a\"], \"top_n\": 1.5}",
                "top_n must be an integer"
              },
              {
                "{\"query\": \"q\", \"documents\": [\"a\"], \"top_n\": \"1\"}",
                "top_n must be an integer"
              },
              {
                "{\"query\": \"q\", \"documents\": [\"a\"], \"max_tokens_per_doc\": 0}",
                "max_tokens_per_doc must be at least 1"
              },
              {
                "{\"query\": \"q\", \"documents\": [\"a\"], \"model\": \"\"}",
                "model must not be blank"
              },
              {
                "{\"query\": \"q\", \"documents\": [\"a\"], \"stream\": true}",
                "stream is not a field"
              },
            })
        .flatMap(row -> Stream.of(JINA, "/rerank", COHERE).map(p -> arguments(p, row[0], row[1])));
  }

  @ParameterizedTest
  @MethodSource("badRankings")
  void a_bad_ranking_request_names_its_field(String path, String body, String message) {
    Answer answer = served.post(path, body);
    assertThat(answer.status()).isEqualTo(400);
    assertThat(message(answer, path)).startsWith(message);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "/v1/rerank | \"documents\": [\"a\"], \"texts\": [\"a\"] | documents and texts exclude",
        "/v1/rerank | \"texts\": [1] | texts[0] must be a string",
        "/v1/rerank | \"texts\": [] | documents is required",
        "/v1/rerank | \"documents\": [\"a\"], \"return_documents\": 1 | return_documents must be",
        "/v1/rerank | \"documents\": [\"a\"], \"priority\": 1 | priority is not a field",
        "/v2/rerank | \"documents\": [\"a\"], \"return_documents\": true | return_documents is not",
        "/v2/rerank | \"documents\": [\"a\"], \"priority\": 1000 | priority must be between 0 and",
        "/v2/rerank | \"documents\": [\"a\"], \"priority\": -1 | priority must be between 0 and",
        "/v2/rerank | \"texts\": [\"a\"] | texts is not a field",
      })
  void a_ranking_request_keeps_to_its_dialect(String path, String fields, String message) {
    Answer answer = served.post(path, "{\"query\": \"q\", " + fields + "}");
    assertThat(answer.status()).isEqualTo(400);
    assertThat(message(answer, path)).startsWith(message);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "/v1/embeddings | {\"input\": \"a\", \"model\": \"unknown\"}",
        "/v1/rerank | {\"query\": \"q\", \"documents\": [\"a\"], \"model\": \"unknown\"}",
        "/v2/rerank | {\"query\": \"q\", \"documents\": [\"a\"], \"model\": \"unknown\"}",
      })
  void an_unknown_model_is_not_found(String path, String body) {
    Answer answer = served.post(path, body);
    assertThat(answer.status()).isEqualTo(404);
    assertThat(message(answer, path)).isEqualTo("no model 'unknown'");
  }

  @ParameterizedTest
  @CsvSource({
    "/v1/embeddings, GET, POST",
    "/v1/embeddings, DELETE, POST",
    "/v1/embeddings, OPTIONS, POST",
    "/v1/rerank, PUT, POST",
    "/rerank, GET, POST",
    "/v2/rerank, GET, POST",
    "/v1/models, POST, GET",
    "/v1/models/x, DELETE, GET",
    "/health/live, POST, GET",
    "/health/ready, POST, GET",
    "/metrics, POST, GET",
  })
  void a_wrong_method_is_told_the_right_one(String path, String method, String allowed) {
    Answer answer = served.send(HttpMethod.valueOf(method), path, Map.of(), null);
    assertThat(answer.status()).isEqualTo(405);
    assertThat(answer.headers().get("Allow")).isEqualTo(allowed);
    message(answer, path);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"/", "/v1", "/v1/embedding", "/v1/embeddings/x", "/health", "/favicon.ico"})
  void an_unknown_path_is_not_found(String path) {
    Answer answer = served.get(path);
    assertThat(answer.status()).isEqualTo(404);
    assertThat(message(answer, path)).isEqualTo("there is nothing at this path");
  }

  @ParameterizedTest
  @ValueSource(strings = {EMBED, JINA, "/rerank", COHERE})
  void only_json_is_taken(String path) {
    Buffer body = Buffer.buffer("{\"input\": \"a\"}");
    for (Map<String, String> headers :
        Stream.of(
                Map.<String, String>of(),
                Map.of("Content-Type", "text/plain"),
                Map.of("Content-Type", "application/x-www-form-urlencoded"),
                Map.of("Content-Type", "multipart/form-data; boundary=x"),
                Map.of("Content-Type", "application/jsonp"),
                Map.of("Content-Type", "application/json", "Content-Encoding", "gzip"))
            .toList()) {
      Answer answer = served.send(HttpMethod.POST, path, headers, body);
      assertThat(answer.status()).isEqualTo(415);
      assertThat(message(answer, path)).contains("application/json");
    }
    Map<String, String> charset = Map.of("Content-Type", "Application/JSON; charset=utf-8");
    assertThat(served.send(HttpMethod.POST, path, charset, body).status()).isIn(200, 400);
  }

  @ParameterizedTest
  @ValueSource(strings = {EMBED, JINA, "/rerank", COHERE})
  void a_body_over_the_limit_is_refused(String path) {
    Answer answer = served.post(path, "{\"model\": \"" + "a".repeat(MAX_BODY_BYTES) + "\"}");
    assertThat(answer.status()).isEqualTo(413);
    assertThat(message(answer, path)).contains("limits.max_body_bytes");
  }

  @Test
  void strange_characters_travel_unharmed() {
    String text = "\u0000\ufffe\ud83d\ude00\u00e9";
    Answer answer =
        served.post(
            JINA,
            new JsonObject()
                .put("query", text)
                .put("documents", new JsonArray().add(text))
                .encode());
    assertThat(answer.status()).isEqualTo(200);
    assertThat(
            answer
                .json()
                .getJsonArray("results")
                .getJsonObject(0)
                .getJsonObject("document")
                .getString("text"))
        .isEqualTo(text);
  }

  @Test
  void a_lone_surrogate_does_no_harm() {
    Answer answer =
        served.post(JINA, "{\"query\": \"q\", \"documents\": [\"a\\ud800\", \"\\udc00b\"]}");
    assertThat(answer.status()).isIn(200, 400);
    answer.json();
  }
}
