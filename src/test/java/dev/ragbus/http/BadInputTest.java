// SPDX-License-Identifier: Apache-2.0
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
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.assertj.core.api.Assumptions;
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
  private static final List<String> TEI =
      List.of("/embed", "/", "/rerank", "/similarity", "/tokenize", "/decode", "/info", "/health");
  private static final List<String> OURS =
      List.of("/v1/ragbus/models/load", "/v1/ragbus/models/unload", "/v1/ragbus/memory/cleanup");

  /** Every path that takes a body. */
  static Stream<String> paths() {
    return Stream.of(
            List.of(EMBED, "/embeddings", JINA, "/v2/embed", COHERE), TEI.subList(0, 6), OURS)
        .flatMap(List::stream);
  }

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
    if (TEI.contains(path)) {
      assertThat(body.fieldNames()).containsExactly("error", "error_type");
      assertThat(body.getString("error_type"))
          .isIn("Unhealthy", "Backend", "Overloaded", "Validation", "Empty");
      return body.getString("error");
    }
    assertThat(body.fieldNames()).containsExactly("error");
    JsonObject error = body.getJsonObject("error");
    assertThat(error.fieldNames()).containsExactly("message", "type", "param", "code");
    return error.getString("message");
  }

  /** What a client could mend is 422 in TEI's words, else 400. */
  private static int badRequest(String path) {
    return TEI.contains(path) ? 422 : 400;
  }

  private static final String DEEP = "[".repeat(5_000) + "]".repeat(5_000);

  /** What is wrong with any JSON body. */
  static Stream<Arguments> notABody() {
    return paths()
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
                    arguments(path, "{\"model\": \"a\", \"model\": \"b\"}", "")));
  }

  @ParameterizedTest
  @MethodSource("notABody")
  void a_body_that_is_none_is_refused(String path, String body, String message) {
    Answer answer = served.post(path, body);
    assertThat(answer.status()).isEqualTo(badRequest(path));
    assertThat(message(answer, path)).contains(message).doesNotContain("jackson", "dev.ragbus");
  }

  @ParameterizedTest
  @MethodSource("paths")
  void a_model_is_a_string(String path) {
    Assumptions.assumeThat(path).isNotIn(OURS.get(0), OURS.get(2));
    for (String body : List.of("{\"model\": 5}", "{\"model\": {\"a\": 1}}")) {
      Answer answer = served.post(path, body);
      assertThat(answer.status()).isEqualTo(badRequest(path));
      assertThat(message(answer, path)).startsWith("model must be a string");
    }
  }

  @ParameterizedTest
  @MethodSource("paths")
  void an_unknown_field_is_refused_where_the_dialect_forbids_it(String path) {
    String body = "{\"model_name\": \"a\", \"modle\": \"x\"}";
    Answer answer = served.post(path, path.endsWith("/load") ? body : "{\"modle\": \"x\"}");
    assertThat(answer.status()).isBetween(400, 422);
    if (TEI.contains(path)) {
      assertThat(message(answer, path)).doesNotContain("modle");
    } else {
      assertThat(message(answer, path)).startsWith("modle is not a field; known are");
    }
  }

  @ParameterizedTest
  @MethodSource("paths")
  void bytes_that_are_not_utf_8_are_refused(String path) {
    byte[] body = "{\"model\": \"\u00e9\"}".getBytes(StandardCharsets.ISO_8859_1);
    Answer answer = served.send(HttpMethod.POST, path, Served.JSON, Buffer.buffer(body));
    assertThat(answer.status()).isEqualTo(badRequest(path));
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
        "{\"input\": [\"a\", 5]}                     | input[1] | must be a string",
        "{\"input\": [\"a\", true]}                    | input[1] | must be a string",
        "{\"input\": [\"a\", {\"image\": \"b\"}]}      | input[1].image | is not a field",
        "{\"input\": [1, \"a\"]}                       | input[1] | a token id, an integer in range",
        "{\"input\": [1, 2.5]}                         | input[1] | a token id, an integer in range",
        "{\"input\": [1, 99999999999]}                 | input[1] | a token id, an integer in range",
        "{\"input\": [[1], \"a\"]}                     | input[1] | a list of token ids",
        "{\"input\": [[1], [true]]}                    | input[1][0] | a token id, an integer",
        "{\"input\": [\"a\", [1]]}                     | input[1] | must be a string",
        "{\"input\": [[1]], \"prompt\": \"p\"}         | input | and prompts exclude each other",
        "{\"input\": 5}                                | input    | a string, a list of strings",
        "{\"input\": {\"a\": 1}}                       | input    | a string, a list of strings",
        "{\"input\": \"a\", \"late_chunking\": true}   | late_chunking | must be false",
        "{\"input\": \"a\", \"task\": \"x\"}            | task | must be one of [retrieval.query",
        "{\"input\": \"a\", \"normalized\": true, \"normalize\": true} | normalize | exclude",
        "{\"input\": \"a\", \"task\": \"separation\", \"input_type\": \"query\"} | input_type | exclude",
        "{\"input\": \"a\", \"embedding_type\": [\"float\", \"int8\"]} | embedding_type | must be one",
        "{\"input\": \"a\", \"embedding_type\": []} | embedding_type | must be one type",
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
        "{\"input\": \"a\", \"embedding_type\": \"f4\"} | embedding_type[0] | must be one of",
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
              {"{\"query\": \"q\", \"documents\": []}", "documents must not be empty"},
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
        .flatMap(row -> Stream.of(JINA, COHERE).map(p -> arguments(p, row[0], row[1])));
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
        "{}                                          | 400 | texts is required",
        "{\"texts\": []}                             | 400 | texts must not be empty",
        "{\"texts\": \"a\"}                          | 400 | texts must be a list",
        "{\"texts\": [1]}                            | 400 | texts[0] must be a string",
        "{\"texts\": [null]}                         | 400 | texts[0] must be a string, not null",
        "{\"texts\": [\"a\"], \"inputs\": []}          | 400 | texts and inputs exclude each other",
        "{\"images\": [\"a\"]}                       | 400 | images is not a field",
        "{\"inputs\": [{}]}                          | 400 | inputs[0].content is required",
        "{\"inputs\": [null]}                        | 400 | inputs[0].content is required",
        "{\"inputs\": [{\"content\": []}]}           | 400 | inputs[0].content is required",
        "{\"inputs\": [{\"content\": [{\"type\": \"text\"}]}]} | 400 | inputs[0].content must be",
        "{\"inputs\": [{\"content\": [null]}]}       | 400 | inputs[0].content must be",
        "{\"inputs\": [{\"content\": [{\"type\": \"image_url\", \"text\": \"\"}]}]} | 400 | inputs[0].content",
        "{\"texts\": [\"a\"], \"input_type\": \"image\"} | 400 | input_type must be one of",
        "{\"texts\": [\"a\"], \"embedding_types\": \"float\"} | 400 | embedding_types must be a list",
        "{\"texts\": [\"a\"], \"embedding_types\": []} | 400 | embedding_types must name",
        "{\"texts\": [\"a\"], \"embedding_types\": [null]} | 400 | embedding_types must name",
        "{\"texts\": [\"a\"], \"embedding_types\": [\"f4\"]} | 400 | embedding_types[0] must be one",
        "{\"texts\": [\"a\"], \"truncate\": true}    | 400 | truncate must be one of [NONE",
        "{\"texts\": [\"a\"], \"output_dimension\": 0} | 400 | output_dimension must be at least 1",
        "{\"texts\": [\"a\"], \"priority\": 1000}    | 400 | priority must be between 0 and 999",
        "{\"texts\": [\"a\"], \"max_tokens\": 5}     | 400 | max_tokens is not a field",
        "{\"texts\": [\"a\"], \"model\": \"unknown\"} | 404 | no model 'unknown'",
        "{\"texts\": [\"fail:TOO_LARGE\"]}           | 413 | texts were asked to",
      })
  void a_bad_cohere_embedding_names_its_field(String body, int status, String message) {
    Answer answer = served.post("/v2/embed", body);
    assertThat(answer.status()).isEqualTo(status);
    assertThat(message(answer, "/v2/embed")).startsWith(message);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "/embed | {}                            | 422 | inputs is required",
        "/embed | {\"inputs\": []}              | 400 | inputs must not be empty",
        "/embed | {\"inputs\": 5}               | 422 | inputs must be a string, a list of strings",
        "/embed | {\"inputs\": [[\"a\"]]}       | 422 | inputs[0][0] must be a token id",
        "/embed | {\"inputs\": \"a\", \"truncate\": 1} | 422 | truncate must be true or false",
        "/embed | {\"inputs\": \"a\", \"truncation_direction\": \"Up\"} | 422 | truncation_direction",
        "/embed | {\"inputs\": \"a\", \"dimensions\": 0} | 422 | dimensions must be at least 1",
        "/embed | {\"inputs\": \"fail:TOO_LARGE\"} | 422 | inputs were asked to",
        "/embed | {\"inputs\": \"fail:TYPE_CONVERSION\"} | 422 | inputs were asked to",
        "/embed | {\"inputs\": \"fail:OVERLOADED\"} | 429 | inputs were asked to",
        "/embed | {\"inputs\": \"fail:PYTHON\"} | 424 | inputs were asked to",
        "/embed | {\"inputs\": \"fail:RUNTIME\"} | 424 | inputs were asked to",
        "/embed | {\"inputs\": \"fail:UNAVAILABLE\"} | 503 | inputs were asked to",
        "/embed | {\"inputs\": \"fail:TIMEOUT\"} | 504 | inputs were asked to",
        "/embed | {\"inputs\": \"a\", \"model\": \"unknown\"} | 404 | no model 'unknown'",
        "/ | {\"inputs\": []}                   | 400 | inputs must not be empty",
        "/rerank | {\"query\": \"q\", \"texts\": []} | 400 | texts must not be empty",
        "/rerank | {\"query\": \"q\"}           | 422 | texts is required",
        "/rerank | {\"texts\": [\"a\"]}         | 422 | query is required",
        "/rerank | {\"query\": \"q\", \"texts\": [1]} | 422 | texts[0] must be a string",
        "/rerank | {\"query\": \"q\", \"texts\": [\"a\"], \"documents\": [\"a\"]} | 422 | documents and",
        "/rerank | {\"query\": \"q\", \"texts\": [\"a\"], \"raw_scores\": \"no\"} | 422 | raw_scores must be",
        "/similarity | {}                       | 422 | inputs is required",
        "/similarity | {\"inputs\": \"a\"}      | 422 | inputs must be an object",
        "/similarity | {\"inputs\": {\"sentences\": [\"a\"]}} | 422 | inputs.source_sentence is",
        "/similarity | {\"inputs\": {\"source_sentence\": \"a\"}} | 422 | inputs.sentences is required",
        "/similarity | {\"inputs\": {\"source_sentence\": \"a\", \"sentences\": []}} | 400 | inputs.",
        "/tokenize | {\"inputs\": [1]}          | 422 | inputs must be a string or a list of strings",
        "/tokenize | {\"inputs\": []}           | 400 | inputs must not be empty",
        "/tokenize | {\"inputs\": \"a\", \"prompt_name\": \"q\"} | 422 | prompt_name must be null",
        "/decode | {}                           | 422 | ids is required",
        "/decode | {\"ids\": []}                | 400 | ids must not be empty",
        "/decode | {\"ids\": \"a\"}             | 422 | ids must be a list of integers",
        "/decode | {\"ids\": [1, null]}         | 422 | ids[1] must be a token id",
      })
  void a_bad_tei_request_has_its_status_and_names_its_field(
      String path, String body, int status, String message) {
    Answer answer = served.post(path, body);
    assertThat(answer.status()).isEqualTo(status);
    assertThat(message(answer, path)).startsWith(message);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "models/load | {}                        | 400 | model_name is required",
        "models/load | {\"model_name\": \" \"}   | 400 | model_name must not be blank",
        "models/load | {\"model_name\": \"a\", \"model_type\": \"x\"} | 400 | model_type must be one of",
        "models/load | {\"model_name\": \"a\", \"trust_remote_code\": true} | 400 | trust_remote_code is",
        "models/load | {\"model_name\": \"unknown\"} | 404 | no model 'unknown'",
        "models/load | {\"model_name\": \"a\", \"pooling\": \"\"} | 400 | pooling must not be blank",
        "models/unload | {\"model\": \"\"}       | 400 | model must not be blank",
      })
  void a_bad_request_of_ours_names_its_field(String path, String body, int status, String message) {
    Answer answer = served.post("/v1/ragbus/" + path, body);
    assertThat(answer.status()).isEqualTo(status);
    assertThat(message(answer, path)).startsWith(message);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "/v1/rerank | \"documents\": [\"a\"], \"texts\": [\"a\"] | documents and texts exclude",
        "/v1/rerank | \"texts\": [1] | texts[0] must be a string",
        "/v1/rerank | \"texts\": [] | documents must not be empty",
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
    "/embed, GET, POST",
    "/, DELETE, 'POST, GET, HEAD'",
    "/similarity, PUT, POST",
    "/tokenize, GET, POST",
    "/decode, GET, POST",
    "/info, POST, 'GET, HEAD'",
    "/health, POST, 'GET, HEAD'",
    "/v2/embed, GET, POST",
    "/v1/ragbus/models, POST, 'GET, HEAD'",
    "/v1/ragbus/models/load, PUT, POST",
    "/v1/ragbus/memory/cleanup, GET, POST",
    "/v1/ragbus/stats, DELETE, 'GET, HEAD'",
    "/openapi.json, POST, 'GET, HEAD'",
    "/docs, POST, 'GET, HEAD'",
    "/v2/rerank, GET, POST",
    "/v1/models, POST, 'GET, HEAD'",
    "/v1/models/x, DELETE, 'GET, HEAD'",
    "/health/live, POST, 'GET, HEAD'",
    "/health/ready, POST, 'GET, HEAD'",
    "/metrics, POST, GET",
  })
  void a_wrong_method_is_told_the_right_one(String path, String method, String allowed) {
    Answer answer = served.send(HttpMethod.valueOf(method), path, Map.of(), null);
    assertThat(answer.status()).isEqualTo(405);
    assertThat(answer.headers().get("Allow")).isEqualTo(allowed);
    message(answer, path);
  }

  @ParameterizedTest
  @ValueSource(strings = {"/v1", "/v1/embedding", "/v1/embeddings/x", "/v1/ragbus", "/favicon.ico"})
  void an_unknown_path_is_not_found(String path) {
    Answer answer = served.get(path);
    assertThat(answer.status()).isEqualTo(404);
    assertThat(message(answer, path)).isEqualTo("there is nothing at this path");
  }

  @ParameterizedTest
  @MethodSource("paths")
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
    assertThat(served.send(HttpMethod.POST, path, charset, body).status()).isNotEqualTo(415);
  }

  @ParameterizedTest
  @MethodSource("paths")
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
