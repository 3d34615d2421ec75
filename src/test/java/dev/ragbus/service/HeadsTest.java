// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.ragbus.Await;
import dev.ragbus.DecodeRequest;
import dev.ragbus.EmbedRequest;
import dev.ragbus.EmbedSparseRequest;
import dev.ragbus.ModelInfo;
import dev.ragbus.ModelType;
import dev.ragbus.PredictRequest;
import dev.ragbus.PredictRequest.Input;
import dev.ragbus.Predictions;
import dev.ragbus.Predictions.Prediction;
import dev.ragbus.Ragbus;
import dev.ragbus.RagbusException;
import dev.ragbus.RagbusException.Kind;
import dev.ragbus.RerankRequest;
import dev.ragbus.SparseEmbeddings;
import dev.ragbus.TruncationDirection;
import io.vertx.core.Future;
import io.vertx.core.Vertx;
import io.vertx.core.eventbus.ReplyException;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Sparse vectors and predictions through the bus, against what sentence-transformers' SparseEncoder
 * and transformers' pipeline computed on torch; {@code python/tests/golden/README.md} says how.
 */
class HeadsTest {
  private static final Path GOLDEN = Path.of("python/tests/golden");

  private static Vertx vertx;
  private static TestService service;
  private static Ragbus ragbus;
  private static JsonObject golden;
  private static List<String> texts;

  @BeforeAll
  static void deploy() throws IOException {
    golden = new JsonObject(Files.readString(GOLDEN.resolve("heads.json")));
    texts = golden.getJsonArray("texts").stream().map(String.class::cast).toList();
    vertx = Vertx.vertx();
    JsonArray preload = new JsonArray();
    for (String name : List.of("splade", "classifier")) {
      String type = name.equals("splade") ? "sparse" : "classifier";
      preload.add(
          new JsonObject().put("model_name", name).put("model_type", type).put("precision", "f32"));
    }
    JsonObject models =
        new JsonObject()
            .put("dir", GOLDEN.resolve("heads").toAbsolutePath().toString())
            .put("sparse", new JsonArray().add("missing").add("splade"))
            .put("classifier", new JsonArray().add("classifier"))
            .put("preload", preload);
    JsonObject batching = new JsonObject().put("cache_bytes", 1_000_000).put("coalesce", true);
    service =
        TestService.start(vertx, new JsonObject().put("models", models).put("batching", batching));
    ragbus = service.ragbus();
  }

  @AfterAll
  static void undeploy() {
    service.close();
    Await.result(vertx.close());
  }

  private static JsonObject head(String name) {
    return golden.getJsonObject("heads").getJsonObject(name);
  }

  /** Rows as the golden file packs them. */
  private static float[][] rows(String head, String field) {
    JsonObject packed = head(head).getJsonObject(field);
    FloatBuffer values =
        ByteBuffer.wrap(Base64.getDecoder().decode(packed.getString("values")))
            .order(ByteOrder.LITTLE_ENDIAN)
            .asFloatBuffer();
    JsonArray shape = packed.getJsonArray("shape");
    float[][] rows = new float[shape.getInteger(0)][shape.getInteger(1)];
    Stream.of(rows).forEach(values::get);
    return rows;
  }

  private static float[] dense(SparseEmbeddings made, int row) {
    float[] dense = new float[made.dimensions()];
    int[] indices = made.indices(row);
    for (int i = 0; i < indices.length; i++) {
      dense[indices[i]] = made.values(row)[i];
    }
    return dense;
  }

  private static void assertRows(SparseEmbeddings made, float[][] expected) {
    assertThat(made.count()).isEqualTo(expected.length);
    for (int row = 0; row < expected.length; row++) {
      assertThat(dense(made, row)).as("text %d", row).containsExactly(expected[row], within(1e-4f));
      assertThat(made.indices(row)).isSorted().doesNotHaveDuplicates();
      assertThat(made.values(row)).doesNotContain(0f);
    }
  }

  @Test
  void sparseVectorsEqualSparseEncoder() {
    SparseEmbeddings made = Await.result(ragbus.embedSparse(EmbedSparseRequest.of(texts)));

    assertRows(made, rows("splade", "vectors"));
    assertThat(made.model()).isEqualTo("splade");
    assertThat(made.usage().promptTokens()).isPositive();
    assertThat(made.dot(0, 0)).isGreaterThan(0);
    assertThat(made.dot(0, 1)).isEqualTo(made.dot(1, 0));
  }

  private static JsonObject load(String name, String type, String engine) {
    return ask(
        "rag.models.load",
        new JsonObject()
            .put("model_name", name)
            .put("model_type", type)
            .put("engine", engine)
            .put("precision", "f32")
            .put("force_reload", true));
  }

  @ParameterizedTest
  @ValueSource(strings = {"openvino", "onnx"})
  void everyEngineGivesTheSame(String engine) {
    assertThat(load("splade-sum", "sparse", engine).getInteger("dimensions")).isEqualTo(193);
    EmbedSparseRequest request = EmbedSparseRequest.of(texts).withModel("splade-sum");
    assertRows(Await.result(ragbus.embedSparse(request)), rows("splade-sum", "vectors"));

    JsonObject topics = load("classifier-topics", "classifier", engine);
    assertThat(topics.getValue("dimensions")).isNull();
    assertThat(topics.getString("cache_key")).isEqualTo("classifier:classifier-topics");
    PredictRequest asked =
        PredictRequest.of(texts.toArray(String[]::new)).withModel("classifier-topics");
    assertScores(asked, "classifier-topics", "scores", 1e-4f);
    assertScores(asked.withRawScores(true), "classifier-topics", "raw", 1e-4f);
  }

  @Test
  void theLargestValuesAndPrompts() {
    EmbedSparseRequest request = EmbedSparseRequest.of(texts);
    SparseEmbeddings best =
        Await.result(ragbus.embedSparse(request.withTopK(golden.getInteger("top_k"))));
    assertRows(best, rows("splade", "top"));
    EmbedSparseRequest asked = EmbedSparseRequest.of(texts.subList(0, 3)).withPromptName("query");
    assertRows(Await.result(ragbus.embedSparse(asked)), rows("splade", "prompted"));
  }

  @Test
  void indicesAreTheTokensOfTheModel() {
    SparseEmbeddings made =
        Await.result(ragbus.embedSparse(EmbedSparseRequest.of("refund").withTopK(3)));
    List<Integer> ids = IntStream.of(made.indices(0)).boxed().toList();
    List<List<Integer>> each = ids.stream().map(List::of).toList();
    assertThat(Await.result(ragbus.decode(new DecodeRequest(each, "splade", false))).texts())
        .hasSize(3)
        .doesNotHaveDuplicates();
  }

  @Test
  void tokenIdsAreRunAsTheyAre() {
    List<List<Integer>> ids =
        head("splade").getJsonArray("ids").stream()
            .limit(3)
            .map(row -> ((JsonArray) row).stream().map(Integer.class::cast).toList())
            .toList();
    EmbedSparseRequest request =
        new EmbedSparseRequest(null, null, null, null, null, null, null, null, ids);
    float[][] all = rows("splade", "vectors");
    assertRows(Await.result(ragbus.embedSparse(request)), new float[][] {all[0], all[1], all[2]});
  }

  @Test
  void whatWasAskedBeforeIsKept() {
    EmbedSparseRequest request = EmbedSparseRequest.of("a text that comes again", "and another");
    SparseEmbeddings first = Await.result(ragbus.embedSparse(request));
    long before = Await.result(ragbus.stats()).queue().cached();
    assertThat(Await.result(ragbus.embedSparse(request))).isEqualTo(first);
    Predictions predicted = Await.result(ragbus.predict(PredictRequest.of("and another")));
    assertThat(Await.result(ragbus.predict(PredictRequest.of("and another")))).isEqualTo(predicted);
    assertThat(Await.result(ragbus.stats()).queue().cached()).isEqualTo(before + 3);
  }

  private static void assertScores(
      PredictRequest request, String head, String field, float tolerance) {
    Predictions made = Await.result(ragbus.predict(request));
    List<String> labels =
        head(head).getJsonArray("labels").stream().map(String.class::cast).toList();
    float[][] expected = rows(head, field);
    assertThat(made.predictions()).hasSize(expected.length);
    for (int row = 0; row < expected.length; row++) {
      List<Prediction> got = made.predictions().get(row);
      assertThat(got)
          .isSortedAccordingTo(Comparator.comparingDouble(it -> 0.0 - it.score()))
          .extracting(Prediction::label)
          .containsExactlyInAnyOrderElementsOf(labels);
      for (Prediction prediction : got) {
        assertThat(prediction.score())
            .as("%s of text %d", prediction.label(), row)
            .isCloseTo(expected[row][labels.indexOf(prediction.label())], within(tolerance));
      }
    }
  }

  @Test
  void scoresEqualThePipeline() {
    PredictRequest request = PredictRequest.of(texts.toArray(String[]::new));
    assertScores(request, "classifier", "scores", 1e-4f);
    assertScores(request.withRawScores(true), "classifier", "raw", 1e-4f);
    List<Input> pairs =
        golden.getJsonArray("pairs").stream()
            .map(JsonArray.class::cast)
            .map(pair -> new Input(pair.getString(0), pair.getString(1)))
            .toList();
    assertScores(PredictRequest.of(pairs), "classifier", "pair_scores", 1e-4f);
    Predictions best = Await.result(ragbus.predict(request.withTopN(1)));
    assertThat(best.predictions()).allMatch(labels -> labels.size() == 1);
  }

  @Test
  void textsAndPairsInOneRequest() {
    Input text = Input.of("refund");
    Input pair = new Input("refund", "policy");
    List<List<Prediction>> together =
        Await.result(ragbus.predict(PredictRequest.of(List.of(pair, text)))).predictions();
    assertThat(together.get(0))
        .isEqualTo(
            Await.result(ragbus.predict(PredictRequest.of(List.of(pair)))).predictions().get(0));
    assertThat(together.get(1)).isNotEqualTo(together.get(0));
  }

  @Test
  void aCrossEncoderGivesItsOwnLabel() {
    Path folder = GOLDEN.resolve("families/cross-encoder-raw").toAbsolutePath();
    Vertx other = Vertx.vertx();
    JsonObject models =
        new JsonObject()
            .put("dir", folder.getParent().toString())
            .put("classifier", new JsonArray().add("cross-encoder-raw"));
    JsonObject config =
        new JsonObject()
            .put("models", models)
            .put("bus", new JsonObject().put("address_prefix", "other"));
    try (TestService own = TestService.start(other, config)) {
      Predictions made =
          Await.result(own.ragbus().predict(PredictRequest.of(List.of(new Input("a", "b")))));
      assertThat(made.predictions().get(0))
          .singleElement()
          .extracting(Prediction::label)
          .isEqualTo("LABEL_0");
      ModelInfo info = Await.result(own.ragbus().model("cross-encoder-raw"));
      assertThat(info.modelType()).isEqualTo(ModelType.CROSS_ENCODER);
      assertThat(info.labels()).containsExactly("LABEL_0");
    } finally {
      Await.result(other.close());
    }
  }

  @Test
  void jsonIsToTheLetter() {
    JsonObject sparse =
        ask("rag.embed_sparse", new JsonObject().put("texts", new JsonArray().add("refund")));
    assertThat(sparse.fieldNames())
        .containsExactly("embeddings", "model", "dimensions", "count", "usage");
    JsonObject row = sparse.getJsonArray("embeddings").getJsonObject(0);
    assertThat(row.fieldNames()).containsExactly("indices", "values");
    assertThat(row.getJsonArray("indices")).hasSameSizeAs(row.getJsonArray("values"));

    JsonArray pair = new JsonArray().add("refund").add("policy");
    JsonObject predicted =
        ask("rag.predict", new JsonObject().put("texts", new JsonArray().add("a").add(pair)));
    assertThat(predicted.fieldNames()).containsExactly("predictions", "model", "usage");
    JsonArray labels = predicted.getJsonArray("predictions").getJsonArray(1);
    assertThat(labels).hasSize(3);
    assertThat(labels.getJsonObject(0).fieldNames()).containsExactly("label", "score");
  }

  private static JsonObject ask(String address, JsonObject body) {
    return Await.result(vertx.eventBus().<JsonObject>request(address, body)).body();
  }

  @Test
  void answersNothingForNothing() {
    SparseEmbeddings none = Await.result(ragbus.embedSparse(EmbedSparseRequest.of()));
    assertThat(none.count()).isZero();
    assertThat(none.dimensions()).isZero();
    Predictions nothing = Await.result(ragbus.predict(PredictRequest.of()));
    assertThat(nothing.predictions()).isEmpty();
    assertThat(nothing.model()).isEqualTo("classifier");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "rag.embed_sparse | {} | INVALID: texts is required",
        "rag.embed_sparse | {\"texts\": [null]} | INVALID: texts[0] must be a string, not null",
        "rag.embed_sparse | {\"texts\": [[\"a\", \"b\"]]} | INVALID: texts[0] must be a string",
        "rag.embed_sparse | {\"texts\": [\"a\"], \"top_k\": 0} | INVALID: top_k must be at least 1",
        "rag.embed_sparse | {\"texts\": [\"a\"], \"normalize\": true} | INVALID: normalize is not",
        "rag.embed_sparse | {\"texts\": [\"a\"], \"prompt_name\": \"x\"} | INVALID: prompt_name",
        "rag.embed_sparse | {\"tokens\": [[999]]} | INVALID: tokens: 999 is outside",
        "rag.predict | {} | INVALID: texts is required",
        "rag.predict | {\"texts\": \"a\"} | INVALID: texts must be a list",
        "rag.predict | {\"texts\": [\"a\", 1]} | INVALID: texts[1] must be a string or a list of",
        "rag.predict | {\"texts\": [[\"a\"]]} | INVALID: texts[0] must be a string or a list of",
        "rag.predict | {\"texts\": [[\"a\", \"b\", \"c\"]]} | INVALID: texts[0] must be a string or",
        "rag.predict | {\"texts\": [[\"a\", null]]} | INVALID: texts[0] must be a string or a list",
        "rag.predict | {\"texts\": [null]} | INVALID: texts[0] must be a string or a list of two",
        "rag.predict | {\"texts\": [{}]} | INVALID: texts[0] must be a string or a list of two",
        "rag.predict | {\"texts\": [\"a\"], \"top_n\": 0} | INVALID: top_n must be at least 1",
        "rag.predict | {\"texts\": [\"a\"], \"prompt\": \"x\"} | INVALID: prompt is not a field",
        "rag.predict | {\"texts\": [\"a\"], \"model\": \"none\"} | MODEL_NOT_FOUND: no model 'none'",
      })
  void badInputIsNamed(String address, String body, String message) {
    Throwable failure =
        Await.failure(vertx.eventBus().<JsonObject>request(address, new JsonObject(body)));
    assertThat(failure).isInstanceOf(ReplyException.class).hasMessageStartingWith(message);
  }

  private static void assertRefused(Future<?> asked, Kind kind, String... parts) {
    Throwable failure = Await.failure(asked);
    assertThat(failure).isInstanceOf(RagbusException.class);
    assertThat(((RagbusException) failure).kind()).isEqualTo(kind);
    assertThat(failure.getMessage()).contains(parts);
  }

  @Test
  void modelsOfOtherKindsAreRefusedByWhatTheyDo() {
    assertRefused(
        ragbus.embedSparse(EmbedSparseRequest.of("a").withModel("all-MiniLM-L6-v2")),
        Kind.TYPE_CONVERSION,
        "'all-MiniLM-L6-v2' is of type embedding and cannot be used for embed_sparse",
        "it can embed, rerank");
    assertRefused(
        ragbus.embed(EmbedRequest.of("a").withModel("splade")),
        Kind.TYPE_CONVERSION,
        "'splade' is of type sparse and cannot be used for embed",
        "it can embed_sparse");
    assertRefused(
        ragbus.rerank(RerankRequest.of("q", "a").withModel("classifier")),
        Kind.TYPE_CONVERSION,
        "'classifier' is of type classifier and cannot be used for rerank",
        "it can predict");
    assertRefused(
        ragbus.predict(PredictRequest.of("a").withModel("splade")),
        Kind.TYPE_CONVERSION,
        "is of type sparse and cannot be used for predict");
  }

  @Test
  void aTextThatIsTooLongIsCutOrRefused() {
    String words = "refund ".repeat(60);
    PredictRequest pair = PredictRequest.of(List.of(Input.of("a"), new Input("policy", words)));
    assertThat(Await.result(ragbus.predict(pair)).usage().truncated()).containsExactly(1);
    assertRefused(
        ragbus.predict(pair.withTruncation(false, TruncationDirection.RIGHT)),
        Kind.TOO_LARGE,
        "texts[1] has ",
        "the limit is 48 and truncate is false");
    EmbedSparseRequest sparse = EmbedSparseRequest.of(words);
    assertThat(Await.result(ragbus.embedSparse(sparse)).usage().truncated()).containsExactly(0);
    assertRefused(
        ragbus.embedSparse(sparse.withTruncation(false, TruncationDirection.LEFT)),
        Kind.TOO_LARGE,
        "texts[0] has ");
  }

  @Test
  void tooMuchIsRefused() {
    assertRefused(
        ragbus.embedSparse(EmbedSparseRequest.of(Collections.nCopies(2_049, "a"))),
        Kind.TOO_LARGE,
        "the number of texts is 2049, limits.max_texts is 2048");
    Input long1 = new Input("a", "b".repeat(200_001));
    assertRefused(
        ragbus.predict(PredictRequest.of(List.of(long1))),
        Kind.TOO_LARGE,
        "texts[0] is 200001 characters");
  }

  @Test
  void hostileTextsAreTextsLikeOthers() {
    String hostile = "\uD800 \0 \uFEFF \u202E e\u0301\u0301\u0301 \uDFFF";
    List<Input> inputs = List.of(new Input(hostile, hostile), new Input("", ""), Input.of(""));
    assertThat(Await.result(ragbus.predict(PredictRequest.of(inputs))).predictions())
        .allMatch(labels -> labels.stream().allMatch(it -> Float.isFinite(it.score())));
    assertThat(Await.result(ragbus.embedSparse(EmbedSparseRequest.of(hostile, ""))).count())
        .isEqualTo(2);
  }

  @Test
  void manyAtOnceAreAnsweredEachWithItsOwn() {
    float[][] expected = rows("splade", "vectors");
    List<Future<SparseEmbeddings>> asked =
        IntStream.range(0, 60)
            .mapToObj(i -> ragbus.embedSparse(EmbedSparseRequest.of(texts.get(i % texts.size()))))
            .toList();
    for (int i = 0; i < asked.size(); i++) {
      assertRows(Await.result(asked.get(i)), new float[][] {expected[i % texts.size()]});
    }
  }
}
