// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import dev.ragbus.RagbusException.Kind;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class JsonBodiesTest {
  /** A model spec with no option left to its default. */
  static final ModelSpec EVERY_MODEL_OPTION =
      new ModelSpec(
          "m",
          ModelType.CROSS_ENCODER,
          true,
          ModelSpec.Source.LOCAL,
          "p",
          "r",
          "onnx",
          "f32",
          "cpu",
          9,
          "cls",
          false,
          Map.of("query", "q: "),
          true,
          2);

  private static final Map<String, Class<? extends Record>> REQUESTS =
      Map.of(
          "embed", EmbedRequest.class,
          "rerank", RerankRequest.class,
          "tokenize", TokenizeRequest.class,
          "decode", DecodeRequest.class,
          "load", ModelSpec.class,
          "model", ModelQuery.class,
          "none", NoArguments.class);

  private static RagbusException refused(String json, Class<? extends Record> type) {
    RagbusException failure =
        catchThrowableOfType(
            RagbusException.class, () -> JsonBodies.parse(new JsonObject(json), type));
    assertThat(failure).as(json).isNotNull();
    RagbusException fromBytes =
        catchThrowableOfType(
            RagbusException.class,
            () -> JsonBodies.parse(json.getBytes(StandardCharsets.UTF_8), type));
    assertThat(fromBytes).as("%s as bytes", json).isNotNull();
    assertThat(fromBytes.getMessage()).isEqualTo(failure.getMessage());
    return failure;
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "embed | 'texts': ['a']",
        "rerank | 'query': 'q', 'texts': ['a']",
        "tokenize | 'texts': ['a']",
        "decode | 'ids': [[1]]",
        "load | 'model_name': 'm'",
        "model | 'model': 'm'",
      })
  void noRequestTrustsRemoteCode(String request, String required) {
    String body = "{" + required.replace('\'', '"') + ", \"trust_remote_code\": true}";
    assertThat(refused(body, REQUESTS.get(request)))
        .hasMessageContaining("trust_remote_code")
        .extracting(RagbusException::kind)
        .isEqualTo(Kind.INVALID);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "embed|{}|texts is required",
        "embed|{\"texts\": null}|texts is required",
        "embed|{\"texts\": \"a\"}|texts must be a list",
        "embed|{\"texts\": {}}|texts must be a list",
        "embed|{\"texts\": [1]}|texts[0] must be a string",
        "embed|{\"texts\": [true]}|texts[0] must be a string",
        "embed|{\"texts\": [1.5]}|texts[0] must be a string",
        "embed|{\"texts\": [[\"a\"]]}|texts[0] must be a string",
        "embed|{\"texts\": [{}]}|texts[0] must be a string",
        "embed|{\"texts\": [\"a\", null]}|texts[1] must be a string, not null",
        "embed|{\"texts\": [], \"model\": 1}|model must be a string",
        "embed|{\"texts\": [], \"model\": \" \"}|model must not be blank",
        "embed|{\"texts\": [], \"model\": \"\"}|model must not be blank",
        "embed|{\"texts\": [], \"normalize\": \"true\"}|normalize must be true or false",
        "embed|{\"texts\": [], \"normalize\": 1}|normalize must be true or false",
        "embed|{\"texts\": [], \"normalize\": \"\"}|normalize must be true or false",
        "embed|{\"texts\": [], \"dimensions\": \"8\"}|dimensions must be an integer",
        "embed|{\"texts\": [], \"dimensions\": \"\"}|dimensions must be an integer",
        "embed|{\"texts\": [], \"dimensions\": 8.5}|dimensions must be an integer",
        "embed|{\"texts\": [], \"dimensions\": true}|dimensions must be an integer",
        "embed|{\"texts\": [], \"dimensions\": 3000000000}|dimensions",
        "embed|{\"texts\": [], \"dimensions\": 0}|dimensions must be at least 1, not 0",
        "embed|{\"texts\": [], \"dimensions\": -1}|dimensions must be at least 1, not -1",
        "embed|{\"texts\": [], \"embedding_type\": \"int4\"}|embedding_type must be one of [float, int8, uint8, binary, ubinary]",
        "embed|{\"texts\": [], \"embedding_type\": \"\"}|embedding_type must be one of",
        "embed|{\"texts\": [], \"embedding_type\": 1}|embedding_type must be one of",
        "embed|{\"texts\": [], \"embedding_type\": \"FLOAT\"}|embedding_type must be one of",
        "embed|{\"texts\": [], \"prompt\": \"a\", \"prompt_name\": \"b\"}|prompt and prompt_name exclude each other",
        "embed|{\"texts\": [], \"prompt\": 1}|prompt must be a string",
        "embed|{\"texts\": [], \"prompt_name\": []}|prompt_name must be a string",
        "embed|{\"texts\": [], \"truncate\": \"no\"}|truncate must be true or false",
        "embed|{\"texts\": [], \"truncation_direction\": \"up\"}|truncation_direction must be one of [right, left]",
        "embed|{\"texts\": [], \"embeddingType\": \"int8\"}|embeddingType is not a field",
        "embed|{\"texts\": [], \"extra\": 1}|extra is not a field",
        "rerank|{\"texts\": []}|query is required",
        "rerank|{\"query\": null, \"texts\": []}|query is required",
        "rerank|{\"query\": 1, \"texts\": []}|query must be a string",
        "rerank|{\"query\": \"q\"}|texts is required",
        "rerank|{\"query\": \"q\", \"texts\": [null]}|texts[0] must be a string, not null",
        "rerank|{\"query\": \"q\", \"texts\": [], \"top_n\": -1}|top_n must be at least 1, not -1",
        "rerank|{\"query\": \"q\", \"texts\": [], \"top_n\": 0}|top_n must be at least 1, not 0",
        "rerank|{\"query\": \"q\", \"texts\": [], \"top_n\": \"1\"}|top_n must be an integer",
        "rerank|{\"query\": \"q\", \"texts\": [], \"return_texts\": 0}|return_texts must be true or false",
        "rerank|{\"query\": \"q\", \"texts\": [], \"raw_scores\": \"x\"}|raw_scores must be true or false",
        "rerank|{\"query\": \"q\", \"texts\": [], \"max_tokens_per_doc\": 0}|max_tokens_per_doc must be at least 1",
        "rerank|{\"query\": \"q\", \"texts\": [], \"max_chunks_per_doc\": 0}|max_chunks_per_doc must be at least 1",
        "rerank|{\"query\": \"q\", \"texts\": [], \"topN\": 1}|topN is not a field",
        "tokenize|{}|texts is required",
        "tokenize|{\"texts\": [2]}|texts[0] must be a string",
        "tokenize|{\"texts\": [], \"add_special_tokens\": \"x\"}|add_special_tokens must be true or false",
        "decode|{}|ids is required",
        "decode|{\"ids\": [1]}|ids[0] must be a list",
        "decode|{\"ids\": [[1, null]]}|ids[0] must be a list of integers without null",
        "decode|{\"ids\": [null]}|ids[0] must be a list of integers without null",
        "decode|{\"ids\": [[\"1\"]]}|ids[0][0] must be an integer",
        "decode|{\"ids\": [[1.5]]}|ids[0][0] must be an integer",
        "decode|{\"ids\": [[3000000000]]}|ids[0][0]",
        "decode|{\"ids\": [], \"skip_special_tokens\": 1}|skip_special_tokens must be true or false",
        "load|{}|model_name is required",
        "load|{\"model_name\": \" \"}|model_name must not be blank",
        "load|{\"model_name\": 1}|model_name must be a string",
        "load|{\"model_name\": \"m\", \"model_type\": \"x\"}|model_type must be one of [embedding, sparse,"
            + " classifier, cross-encoder]",
        "load|{\"model_name\": \"m\", \"model_type\": \"\"}|model_type must be one of",
        "load|{\"model_name\": \"m\", \"model_type\": 0}|model_type must be one of",
        "load|{\"model_name\": \"m\", \"force_reload\": \"yes\"}|force_reload must be true or false",
        "load|{\"model_name\": \"m\", \"source\": \"web\"}|source must be one of [auto, packaged, local, hub]",
        "load|{\"model_name\": \"m\", \"max_tokens\": 0}|max_tokens must be at least 1, not 0",
        "load|{\"model_name\": \"m\", \"prompts\": []}|prompts must be an object",
        "load|{\"model_name\": \"m\", \"prompts\": {\"query\": 1}}|prompts.query must be a string",
        "load|{\"model_name\": \"m\", \"prompts\": {\"query\": null}}|prompts.query must be a string, not null",
        "load|{\"model_name\": \"m\", \"cache_key\": \"x\"}|cache_key is not a field",
        "model|{\"model\": 1}|model must be a string",
        "model|{\"model\": \"\"}|model must not be blank",
        "model|{\"name\": \"m\"}|name is not a field",
        "none|{\"any\": 1}|any is not a field"
      })
  void isRefusedNamingTheField(String request, String json, String message) {
    RagbusException failure = refused(json, REQUESTS.get(request));
    assertThat(failure.kind()).isEqualTo(Kind.INVALID);
    assertThat(failure.code()).isEqualTo(400);
    assertThat(failure.getMessage()).startsWith("INVALID: " + message);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "`",
        "{",
        "[]",
        "1",
        "null",
        "\"a\"",
        "{\"texts\": [}",
        "{\"texts\": []} {}",
        "{\"texts\": [], \"texts\": []}"
      })
  void bytesThatAreNoBodyAreRefused(String text) {
    byte[] bytes = text == null ? new byte[0] : text.getBytes(StandardCharsets.UTF_8);
    RagbusException failure =
        catchThrowableOfType(
            RagbusException.class, () -> JsonBodies.parse(bytes, EmbedRequest.class));
    assertThat(failure.kind()).isEqualTo(Kind.INVALID);
  }

  @Test
  void badUtf8IsRefusedWithoutRepeatingIt() {
    byte[] bytes = "{\"texts\": [\"secret_\"]}".getBytes(StandardCharsets.UTF_8);
    bytes[bytes.length - 4] = (byte) 0xFF;
    RagbusException failure =
        catchThrowableOfType(
            RagbusException.class, () -> JsonBodies.parse(bytes, EmbedRequest.class));
    assertThat(failure.getMessage()).startsWith("INVALID").doesNotContain("secret");
  }

  private static <T extends Record> void reads(String json, T expected) {
    assertThat(JsonBodies.parse(new JsonObject(json), expected.getClass())).isEqualTo(expected);
    assertThat(JsonBodies.parse(json.getBytes(StandardCharsets.UTF_8), expected.getClass()))
        .isEqualTo(expected);
  }

  @Test
  void requestsAreReadToTheLetter() {
    reads("{\"texts\": [\"a\", \"\"]}", EmbedRequest.of("a", ""));
    reads(
        """
        {"texts": ["a"], "model": "m", "normalize": false, "dimensions": 8,
         "embedding_type": "ubinary", "prompt": "p", "prompt_name": null, "input_type": "query", "truncate": false,
         "truncation_direction": "left"}
        """,
        new EmbedRequest(
            List.of("a"),
            "m",
            false,
            8,
            EmbeddingType.UBINARY,
            "p",
            null,
            InputType.QUERY,
            false,
            TruncationDirection.LEFT,
            null));
    reads("{\"query\": \"q\", \"texts\": [\"a\"]}", RerankRequest.of("q", "a"));
    reads(
        """
        {"query": "q", "texts": ["a"], "model": "m", "top_n": 2, "return_texts": false,
         "raw_scores": true, "max_tokens_per_doc": 3, "max_chunks_per_doc": 4, "truncate": false,
         "truncation_direction": "right"}
        """,
        new RerankRequest(
            "q", List.of("a"), "m", 2, false, true, 3, 4, false, TruncationDirection.RIGHT, null));
    reads(
        "{\"texts\": [\"a\"], \"model\": \"m\", \"add_special_tokens\": false}",
        new TokenizeRequest(List.of("a"), "m", false));
    reads(
        "{\"ids\": [[1, 2], []], \"model\": \"m\", \"skip_special_tokens\": false}",
        new DecodeRequest(List.of(List.of(1, 2), List.of()), "m", false));
    reads("{\"model_name\": \"m\"}", ModelSpec.of("m", ModelType.EMBEDDING));
    reads(
        """
        {"model_name": "m", "model_type": "cross-encoder", "force_reload": true, "source": "local",
         "path": "p", "revision": "r", "engine": "onnx", "precision": "f32", "device": "cpu",
         "max_tokens": 9, "pooling": "cls", "normalize": false, "prompts": {"query": "q: "},
         "pinned": true, "workers": 2}
        """,
        EVERY_MODEL_OPTION);
    reads("{\"model\": \"m\"}", new ModelQuery("m"));
    reads("{}", new ModelQuery(null));
    reads("{}", NoArguments.INSTANCE);
  }

  @Test
  void aNewerNodesFrameIsUnderstood() {
    JsonObject newer =
        new JsonObject(
            """
            {"type": "partial", "id": "i", "done": 1, "added_later": {},
             "results": [{"index": 0, "score": 0.5, "added_later": 1}]}
            """);
    assertThat(JsonBodies.parseFrame(newer, RerankFrame.class))
        .isEqualTo(new RerankFrame.Partial("i", List.of(new RerankFrame.Score(0, 0.5f)), 1));
    assertThat(refused(newer.encode(), RerankFrame.Partial.class))
        .hasMessageContaining("added_later is not a field");
  }

  private static void writes(Record value, String json) {
    assertThat(JsonBodies.format(value)).isEqualTo(new JsonObject(json));
    assertThat(new JsonObject(new String(JsonBodies.bytes(value), StandardCharsets.UTF_8)))
        .isEqualTo(new JsonObject(json));
  }

  @Test
  void repliesAreWrittenToTheLetter() {
    writes(
        new Ranking(
            List.of(new Ranking.Result(1, "b", 0.5f), new Ranking.Result(0, null, 0.25f)),
            "m",
            Ranking.Method.CROSS_ENCODER,
            "q",
            new Usage(7, List.of(1))),
        """
        {"ranked_results": [{"index": 1, "text": "b", "score": 0.5}, {"index": 0, "score": 0.25}],
         "model": "m", "method": "cross-encoder", "query": "q",
         "usage": {"prompt_tokens": 7, "truncated": [1]}}
        """);
    writes(
        new Tokens(
            List.of(
                List.of(
                    new Tokens.Token(101, "[CLS]", true, null, null),
                    new Tokens.Token(7, "a", false, 0, 1))),
            "m"),
        """
        {"tokens": [[{"id": 101, "text": "[CLS]", "special": true, "start": null, "stop": null},
                     {"id": 7, "text": "a", "special": false, "start": 0, "stop": 1}]],
         "model": "m"}
        """);
    writes(new DecodedTexts(List.of("a"), "m"), "{\"texts\": [\"a\"], \"model\": \"m\"}");
    writes(
        new ModelLoad(
            ModelLoad.Status.ALREADY_LOADED,
            "m",
            ModelType.CROSS_ENCODER,
            null,
            "cross-encoder:m",
            List.of("cross-encoder:m")),
        """
        {"status": "already_loaded", "model_name": "m", "model_type": "cross-encoder",
         "dimensions": null, "cache_key": "cross-encoder:m", "cached_models": ["cross-encoder:m"]}
        """);
    ModelInfo embedding =
        new ModelInfo(
            "m",
            ModelType.EMBEDDING,
            "embedding:m",
            4,
            "mean",
            null,
            256,
            "onnx",
            "f32",
            "ready",
            1,
            2,
            3,
            null,
            null);
    String embeddingJson =
        """
        {"model_name": "m", "model_type": "embedding", "cache_key": "embedding:m",
         "dimensions": 4, "pooling": "mean", "max_tokens": 256, "engine": "onnx", "precision": "f32", "state": "ready",
         "memory_bytes": 1, "load_millis": 2, "last_used_millis_ago": 3}
        """;
    writes(embedding, embeddingJson);
    writes(
        new ModelList(List.of(embedding), 1),
        "{\"cached_models\": [" + embeddingJson + "], \"total_count\": 1}");
    ModelInfo reranker =
        new ModelInfo(
            "m",
            ModelType.CROSS_ENCODER,
            "cross-encoder:m",
            null,
            null,
            List.of("LABEL_0"),
            256,
            "onnx",
            "f32",
            "ready",
            1,
            2,
            3,
            null,
            null);
    assertThat(JsonBodies.format(reranker).fieldNames())
        .contains("labels")
        .doesNotContain("dimensions", "pooling");
    writes(
        new ModelInfo(
            "m",
            ModelType.EMBEDDING,
            "embedding:m",
            null,
            null,
            null,
            0,
            "auto",
            "auto",
            "loading",
            0,
            2,
            0,
            new ModelInfo.Progress("downloading", "onnx/model.onnx", 5, 90),
            null),
        """
        {"model_name": "m", "model_type": "embedding", "cache_key": "embedding:m",
         "max_tokens": 0, "engine": "auto", "precision": "auto", "state": "loading",
         "memory_bytes": 0, "load_millis": 2, "last_used_millis_ago": 0,
         "progress": {"phase": "downloading", "file": "onnx/model.onnx",
                      "done_bytes": 5, "total_bytes": 90}}
        """);
    writes(
        new ModelsCleared("cleared", List.of("a"), List.of("b")),
        "{\"status\": \"cleared\", \"cleared_models\": [\"a\"], \"remaining_models\": [\"b\"]}");
    writes(
        new Cleanup("cleaned", List.of("a"), 1, 2, 3),
        """
        {"status": "cleaned", "cleared_models": ["a"], "collected": 1,
         "resident_bytes_before": 2, "resident_bytes_after": 3}
        """);
    writes(
        new Health("UP", true, List.of(new Health.Check("lane", "UP", "idle"))),
        """
        {"status": "UP", "initialized": true,
         "checks": [{"id": "lane", "status": "UP", "detail": "idle"}]}
        """);
    writes(NoArguments.INSTANCE, "{}");
  }

  @Test
  void vectorsAreWrittenToTheLetter() {
    Embeddings floats =
        new Embeddings(
            new float[] {0.5f, 1, -1, 0}, "m", 2, 2, EmbeddingType.FLOAT, new Usage(3, List.of(0)));
    assertThat(floats.toJson())
        .isEqualTo(
            new JsonObject(
                """
                {"embeddings": [[0.5, 1.0], [-1.0, 0.0]], "model": "m", "dimensions": 2,
                 "count": 2, "usage": {"prompt_tokens": 3, "truncated": [0]}}
                """));
    Embeddings bits =
        new Embeddings(
            new float[] {255, 128}, "m", 9, 1, EmbeddingType.UBINARY, new Usage(3, List.of()));
    assertThat(bits.toJson().encode()).startsWith("{\"embeddings\":[[255,128]],");
    Embeddings none = new Embeddings(new float[0], "m", 0, 0, EmbeddingType.FLOAT, Usage.NONE);
    assertThat(none.toJson().getJsonArray("embeddings")).isEqualTo(new JsonArray());
  }
}
