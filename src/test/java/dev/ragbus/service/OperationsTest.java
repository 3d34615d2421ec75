// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.ragbus.Cleanup;
import dev.ragbus.DecodeRequest;
import dev.ragbus.DecodedTexts;
import dev.ragbus.EmbedRequest;
import dev.ragbus.EmbedSparseRequest;
import dev.ragbus.EmbeddingType;
import dev.ragbus.Embeddings;
import dev.ragbus.InputType;
import dev.ragbus.JsonBodies;
import dev.ragbus.ModelQuery;
import dev.ragbus.ModelSpec;
import dev.ragbus.ModelType;
import dev.ragbus.NoArguments;
import dev.ragbus.PredictRequest;
import dev.ragbus.PredictRequest.Input;
import dev.ragbus.Predictions;
import dev.ragbus.Predictions.Prediction;
import dev.ragbus.RagbusException;
import dev.ragbus.RagbusException.Kind;
import dev.ragbus.RagbusOptions;
import dev.ragbus.Ranking;
import dev.ragbus.RerankRequest;
import dev.ragbus.SparseEmbeddings;
import dev.ragbus.TokenizeRequest;
import dev.ragbus.Tokens;
import dev.ragbus.TruncationDirection;
import dev.ragbus.Usage;
import dev.ragbus.python.Engine;
import dev.ragbus.python.Engine.Control;
import dev.ragbus.python.environment.PackagedModels;
import dev.ragbus.service.FakeEngine.Held;
import io.vertx.core.Future;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.function.Supplier;
import java.util.stream.IntStream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class OperationsTest {
  @TempDir Path folder;

  private final ManualTime time = new ManualTime();
  private final FakeEngine engine = new FakeEngine(1);
  private ModelRegistry models;
  private Operations operations;

  @BeforeEach
  void start() {
    engine.held.clear();
    engine.models.put("e", "embedding");
    engine.models.put("prompted", "embedding");
    engine.models.put("r", "cross-encoder");
    engine.models.put("labels", "classifier cross-encoder");
    engine.models.put("s", "embedding sparse");
    engine.described.put(
        "s",
        new Engine.Model(
            0,
            4,
            4,
            true,
            "max",
            null,
            64,
            0,
            8,
            false,
            "fake",
            "asked for",
            "f32",
            0,
            0,
            Map.of(),
            null,
            false,
            null));
    engine.described.put(
        "prompted",
        new Engine.Model(
            0,
            4,
            4,
            false,
            "mean",
            null,
            64,
            0,
            8,
            false,
            "fake",
            "it was asked for",
            "f32",
            0,
            0,
            Map.of("query", "Q: ", "none", ""),
            "query",
            true,
            null));
    engine.described.put(
        "labels",
        new Engine.Model(
            0,
            3,
            null,
            false,
            null,
            List.of("a", "b", "c"),
            64,
            0,
            8,
            false,
            "fake",
            "asked for",
            "f32",
            0,
            0,
            Map.of(),
            null,
            false,
            null));
    restart(new JsonObject());
  }

  private void restart(JsonObject limits) {
    JsonObject preferred =
        new JsonObject()
            .put("embedding", new JsonArray().add("e"))
            .put("reranker", new JsonArray().add("r"));
    RagbusOptions options =
        FakeEngine.options(new JsonObject().put("models", preferred).put("limits", limits));
    PackagedModels none = PackagedModels.of(folder, ClassLoader.getPlatformClassLoader());
    models = new ModelRegistry(engine, options, none, ManualTime.context(), time::nanos);
    Batcher batcher =
        new Batcher(
            time.vertx(),
            engine,
            options,
            new ServiceMetrics("rag"),
            FakeEngine.requests(),
            time::nanos);
    operations =
        new Operations(
            options,
            engine,
            models,
            batcher,
            new BusStreams(time.vertx(), time::nanos),
            time::nanos);
    assertThat(models.start().succeeded()).isTrue();
  }

  private Call call() {
    return new Call("id", time.inMillis(1_000), null);
  }

  private static <T> T now(Future<T> future) {
    assertThat(future.cause()).isNull();
    assertThat(future.isComplete()).as("complete").isTrue();
    return future.result();
  }

  private Embeddings embed(EmbedRequest request) {
    return now(operations.embed(request, call()));
  }

  private Ranking rerank(RerankRequest request) {
    return now(operations.rerank(request, call()));
  }

  /** The failure of an operation, whether thrown or of its future. */
  private static RagbusException failure(Supplier<Future<?>> operation) {
    try {
      Future<?> future = operation.get();
      assertThat(future.failed()).as("failed").isTrue();
      assertThat(future.cause()).isInstanceOf(RagbusException.class);
      return (RagbusException) future.cause();
    } catch (RagbusException thrown) {
      return thrown;
    }
  }

  private RagbusException embedFailure(EmbedRequest request) {
    return failure(() -> operations.embed(request, call()));
  }

  private RagbusException rerankFailure(RerankRequest request) {
    return failure(() -> operations.rerank(request, call()));
  }

  @Test
  void tokenIdsAreRunAsTheyAre() {
    Embeddings vectors = embed(EmbedRequest.ofTokens(List.of(List.of(7, 8), List.of(9))));
    assertThat(vectors.count()).isEqualTo(2);
    assertThat(vectors.usage()).isEqualTo(new Usage(3, List.of()));
    assertThat(engine.tokenized).isEmpty();
    assertThat(embed(EmbedRequest.ofTokens(List.of())).count()).isZero();
  }

  @Test
  void tokenIdsThatAreTooManyAreCutOrRefused() {
    List<Integer> many = IntStream.range(0, 65).boxed().toList();
    EmbedRequest request = EmbedRequest.ofTokens(List.of(List.of(1), many));
    assertThat(embed(request).usage()).isEqualTo(new Usage(65, List.of(1)));
    RagbusException refused =
        embedFailure(request.withTruncation(false, TruncationDirection.RIGHT));
    assertThat(refused.kind()).isEqualTo(Kind.TOO_LARGE);
    assertThat(refused.detail()).startsWith("tokens[1] has 65 tokens, the limit is 64");
    RagbusException empty = embedFailure(EmbedRequest.ofTokens(List.of(List.of(1), List.of())));
    assertThat(empty.getMessage()).isEqualTo("INVALID: tokens[1] must not be empty");
  }

  @Test
  void textsForSomethingGetTheModelsOwnPromptForIt() {
    EmbedRequest request = EmbedRequest.of("a").withModel("prompted");
    embed(request.withInputType(InputType.QUERY));
    embed(request.withInputType(InputType.DOCUMENT).withPromptName("none"));
    assertThat(engine.tokenized).extracting(c -> c.texts().get(0)).containsExactly("Q: a", "a");
  }

  @Test
  void vectorsComeInTheOrderOfTheTexts() {
    Embeddings vectors = embed(EmbedRequest.of("longest", "b", ""));
    assertThat(vectors)
        .isEqualTo(
            new Embeddings(
                new float[] {7, 'l', 't', 1, 1, 'b', 'b', 1, 1, 0, 0, 1},
                "e",
                4,
                3,
                EmbeddingType.FLOAT,
                new Usage(9, List.of())));
  }

  @Test
  void noTextsAreNoVectors() {
    assertThat(embed(EmbedRequest.of()))
        .isEqualTo(new Embeddings(new float[0], "e", 0, 0, EmbeddingType.FLOAT, Usage.NONE));
    assertThat(engine.tokenized).isEmpty();
  }

  @Test
  void optionsReachTheEngine() {
    embed(
        EmbedRequest.of("x".repeat(70))
            .withNormalize(false)
            .withTruncation(true, TruncationDirection.LEFT));
    assertThat(engine.tokenized.get(0).truncateLeft()).isTrue();
    assertThat(engine.tokenized.get(0).maxTokens()).isZero();
    Engine.TokenRow row = engine.forwarded.get(0).rows().get(0);
    assertThat(row.finish()).isFalse();
    assertThat(row.dimensions()).isZero();
    embed(EmbedRequest.of("y"));
    assertThat(engine.forwarded.get(1).rows().get(0).finish()).isTrue();
    assertThat(engine.tokenized.get(1).truncateLeft()).isFalse();
  }

  @Test
  void theModelsOptionSaysWhetherToNormaliseWhereTheRequestDoesNot() {
    JsonObject body =
        new JsonObject().put("model_name", "e").put("normalize", false).put("force_reload", true);
    now(operations.load(JsonBodies.parse(body, ModelSpec.class), call()));
    EmbedRequest request = EmbedRequest.of("y");
    for (Boolean asked : Arrays.asList(null, true, false)) {
      engine.forwarded.clear();
      embed(request.withNormalize(asked));
      assertThat(engine.forwarded.get(0).rows().get(0).finish())
          .as("asked %s", asked)
          .isEqualTo(asked != null && asked);
    }
  }

  @Test
  void fewerDimensionsAreTheLeadingOnes() {
    Embeddings vectors = embed(EmbedRequest.of("ab", "c").withDimensions(2));
    assertThat(vectors.values()).containsExactly(2, 'a', 1, 'c');
    assertThat(vectors.dimensions()).isEqualTo(2);
    assertThat(engine.forwarded.get(0).rows().get(0).dimensions()).isEqualTo(2);
    assertThat(embed(EmbedRequest.of("ab").withDimensions(4)).dimensions()).isEqualTo(4);
  }

  @Test
  void moreDimensionsThanThereAreAreRefused() {
    RagbusException failure = embedFailure(EmbedRequest.of("a").withDimensions(5));
    assertThat(failure.kind()).isEqualTo(Kind.TYPE_CONVERSION);
    assertThat(failure.getMessage()).contains("dimensions", "4", "5", "'e'");
  }

  @Test
  void vectorsComeInTheNumbersAskedFor() {
    Embeddings int8 = embed(EmbedRequest.of("d").withEmbeddingType(EmbeddingType.INT8));
    assertThat(int8.values()).containsExactly(1, 127, 127, 1);
    Embeddings bits = embed(EmbedRequest.of("d").withEmbeddingType(EmbeddingType.UBINARY));
    assertThat(bits.values()).containsExactly(0xF0);
    assertThat(bits.dimensions()).isEqualTo(4);
  }

  @Test
  void aPromptGoesInFrontOfEveryText() {
    embed(EmbedRequest.of("a", "b").withPrompt("P-"));
    assertThat(engine.tokenized.get(0).texts()).containsExactly("P-a", "P-b");
  }

  @Test
  void theModelsOwnPromptsAreUsed() {
    EmbedRequest request = EmbedRequest.of("a").withModel("prompted");
    embed(request);
    embed(request.withPromptName("none"));
    embed(request.withPrompt(""));
    embed(request.withPrompt("own "));
    assertThat(engine.tokenized)
        .extracting(call -> call.texts().get(0))
        .containsExactly("Q: a", "a", "a", "own a");
    RagbusException failure = embedFailure(request.withPromptName("other"));
    assertThat(failure.kind()).isEqualTo(Kind.INVALID);
    assertThat(failure.getMessage()).contains("prompt_name", "query", "other");
  }

  @Test
  void cutTextsAreTold() {
    Embeddings vectors = embed(EmbedRequest.of("a", "x".repeat(65)));
    assertThat(vectors.usage()).isEqualTo(new Usage(65, List.of(1)));
    RagbusException failure =
        embedFailure(
            EmbedRequest.of("a", "x".repeat(65)).withTruncation(false, TruncationDirection.RIGHT));
    assertThat(failure.kind()).isEqualTo(Kind.TOO_LARGE);
    assertThat(failure.getMessage()).contains("texts[1]", "65", "64");
  }

  @Test
  void eachLimitIsNamedWithItsValue() {
    restart(
        new JsonObject()
            .put("max_texts", 3)
            .put("max_documents", 4)
            .put("max_text_chars", 10)
            .put("max_request_chars", 20));
    embed(EmbedRequest.of("x".repeat(10), "x".repeat(10), ""));
    assertTooLarge(embedFailure(EmbedRequest.of("", "", "", "")), "texts", "4", "max_texts is 3");
    assertTooLarge(
        embedFailure(EmbedRequest.of("a", "x".repeat(11))),
        "texts[1]",
        "11",
        "max_text_chars is 10");
    assertTooLarge(
        embedFailure(EmbedRequest.of("x".repeat(7), "x".repeat(7), "x".repeat(7))),
        "texts",
        "21",
        "max_request_chars is 20");
    assertTooLarge(
        embedFailure(EmbedRequest.of("a").withPrompt("x".repeat(11))),
        "prompt",
        "11",
        "max_text_chars is 10");
    assertTooLarge(
        embedFailure(EmbedRequest.of("a", "b", "c").withPrompt("x".repeat(9))),
        "texts",
        "30",
        "max_request_chars is 20");
    List<String> five = Collections.nCopies(5, "");
    assertTooLarge(rerankFailure(RerankRequest.of("q", five)), "texts", "5", "max_documents is 4");
    assertTooLarge(
        rerankFailure(RerankRequest.of("x".repeat(11), "a")),
        "query",
        "11",
        "max_text_chars is 10");
    assertTooLarge(
        rerankFailure(RerankRequest.of("x".repeat(7), "x".repeat(7), "x".repeat(7))),
        "texts",
        "21",
        "max_request_chars is 20");
    assertTooLarge(
        failure(() -> operations.tokenize(new TokenizeRequest(five, null, null), call())),
        "texts",
        "5",
        "max_texts is 3");
    List<List<Integer>> ids = Collections.nCopies(5, List.of(1));
    assertTooLarge(
        failure(() -> operations.decode(new DecodeRequest(ids, null, null), call())),
        "ids",
        "5",
        "max_texts is 3");
    List<List<Integer>> longIds = List.of(List.of(1), Collections.nCopies(11, 1));
    assertTooLarge(
        failure(() -> operations.decode(new DecodeRequest(longIds, null, null), call())),
        "ids[1]",
        "11",
        "max_text_chars is 10");
  }

  private static void assertTooLarge(RagbusException failure, String... parts) {
    assertThat(failure.kind()).isEqualTo(Kind.TOO_LARGE);
    assertThat(failure.getMessage()).contains(parts);
  }

  @Test
  void aCrossEncoderRanksBestFirstEqualScoresByIndex() {
    Ranking ranking = rerank(RerankRequest.of("query", "b", "z", "b", "a"));
    assertThat(ranking)
        .isEqualTo(
            new Ranking(
                List.of(
                    new Ranking.Result(1, "z", 'z'),
                    new Ranking.Result(0, "b", 'b'),
                    new Ranking.Result(2, "b", 'b'),
                    new Ranking.Result(3, "a", 'a')),
                "r",
                Ranking.Method.CROSS_ENCODER,
                "query",
                new Usage(24, List.of())));
  }

  @Test
  void bothZerosAreEqualScores() {
    engine.held.add(Held.FORWARD);
    Future<Ranking> ranking = operations.rerank(RerankRequest.of("q", "a", "b"), call());
    engine.finishWith(0, new float[] {-0f, 0f});
    assertThat(now(ranking).rankedResults())
        .extracting(Ranking.Result::index)
        .containsExactly(0, 1);
  }

  @Test
  void onlyTheBestAreReturnedWithoutTextsIfAskedSo() {
    RerankRequest request = RerankRequest.of("q", "b", "z", "a");
    assertThat(rerank(request.withTopN(2).withReturnTexts(false)).rankedResults())
        .containsExactly(new Ranking.Result(1, null, 'z'), new Ranking.Result(0, null, 'b'));
    assertThat(rerank(request.withTopN(9)).rankedResults()).hasSize(3);
  }

  @Test
  void noTextsAreAnEmptyRanking() {
    assertThat(rerank(RerankRequest.of("q")))
        .isEqualTo(new Ranking(List.of(), "r", Ranking.Method.CROSS_ENCODER, "q", Usage.NONE));
    assertThat(rerank(RerankRequest.of("q").withModel("e")))
        .isEqualTo(new Ranking(List.of(), "e", Ranking.Method.SIMILARITY, "q", Usage.NONE));
  }

  @Test
  void rankingOptionsReachTheEngine() {
    rerank(RerankRequest.of("q", "a").withRawScores(true).withLongTexts(7, 3));
    Engine.TokenizeCall call = engine.tokenized.get(0);
    assertThat(call.pair()).isTrue();
    assertThat(call.texts()).containsExactly("q", "a");
    assertThat(call.maxTokens()).isEqualTo(7);
    assertThat(call.maxChunks()).isEqualTo(3);
    assertThat(engine.forwarded.get(0).rows().get(0).finish()).isFalse();
    rerank(RerankRequest.of("q", "a"));
    assertThat(engine.forwarded.get(1).rows().get(0).finish()).isTrue();
  }

  @Test
  void theBestWindowOfALongTextCounts() {
    Ranking ranking = rerank(RerankRequest.of("q", "aazzbb", "y").withLongTexts(2, 3));
    assertThat(ranking.rankedResults())
        .containsExactly(new Ranking.Result(0, "aazzbb", 'z'), new Ranking.Result(1, "y", 'y'));
    assertThat(ranking.usage().promptTokens()).isEqualTo(3 * 3 + 2);
    assertThat(ranking.usage().truncated()).isEmpty();
  }

  @Test
  void aTextTooLongForItsWindowsIsTruncatedOrRefused() {
    RerankRequest request = RerankRequest.of("q", "abcd", "abcde", "y").withLongTexts(2, 2);
    assertThat(rerank(request).usage().truncated()).containsExactly(1);
    RagbusException refused =
        rerankFailure(request.withTruncation(false, TruncationDirection.RIGHT));
    assertThat(refused.kind()).isEqualTo(Kind.TOO_LARGE);
    assertThat(refused.getMessage())
        .contains("texts[1] is 1 tokens too long", "max_chunks_per_doc 2");
  }

  @Test
  void withoutADefaultThereIsNoModel() {
    for (RagbusException failure :
        List.of(
            failure(() -> operations.embedSparse(EmbedSparseRequest.of("a"), call())),
            failure(() -> operations.predict(PredictRequest.of("a"), call())))) {
      assertThat(failure.kind()).isEqualTo(Kind.MODEL_NOT_FOUND);
      assertThat(failure.getMessage())
          .containsPattern("no model was named, and models.(sparse|classifier) names none");
    }
  }

  @Test
  void sparseVectorsComeInTheOrderOfTheTexts() {
    EmbedSparseRequest request = EmbedSparseRequest.of("longest", "b").withModel("s").withTopK(4);
    SparseEmbeddings made = now(operations.embedSparse(request, call()));
    assertThat(made.values(0)).containsExactly(7, 'l', 't', 1);
    assertThat(made.values(1)).containsExactly(1, 'b', 'b', 1);
    assertThat(made.indices(1)).containsExactly(0, 1, 2, 3);
    assertThat(made.usage()).isEqualTo(new Usage(8, List.of()));
    assertThat(engine.forwarded.get(0).rows()).allMatch(row -> row.dimensions() == 4);
    RagbusException embedded = embedFailure(EmbedRequest.of("a").withModel("s"));
    assertThat(embedded.kind()).isEqualTo(Kind.TYPE_CONVERSION);
    assertThat(embedded.getMessage()).contains("type sparse", "it can embed_sparse");
  }

  @Test
  void aSparseVectorThatIsNotFiniteIsAFailure() {
    engine.held.add(Held.FORWARD);
    Future<SparseEmbeddings> asked =
        operations.embedSparse(EmbedSparseRequest.of("a").withModel("s"), call());
    engine.finishWith(0, new float[] {1, Float.NaN, 0, 0});
    RagbusException failure = failure(() -> asked);
    assertThat(failure.kind()).isEqualTo(Kind.RUNTIME);
    assertThat(failure.getMessage()).contains("'s' gave a result that is not finite for texts[0]");
  }

  @Test
  void labelsComeBestFirstAndEqualOnesInTheModelsOrder() {
    engine.held.add(Held.FORWARD);
    PredictRequest request =
        PredictRequest.of(List.of(Input.of("x"), new Input("y", "z"))).withModel("labels");
    Future<Predictions> asked = operations.predict(request.withTopN(2), call());
    assertThat(engine.forwarded.get(0).rows().get(1).boundary()).isEqualTo(1);
    engine.finishWith(0, new float[] {-0f, 0f, -1, 1, 2, 3});
    assertThat(now(asked).predictions())
        .containsExactly(
            List.of(new Prediction("a", -0f), new Prediction("b", 0f)),
            List.of(new Prediction("c", 3), new Prediction("b", 2)));
    assertThat(now(asked).model()).isEqualTo("labels");
  }

  @Test
  void aCancelledPredictionIsOver() {
    engine.held.add(Held.FORWARD);
    Future<Predictions> asked =
        operations.predict(PredictRequest.of("x").withModel("labels"), call());
    operations.cancel("id");
    assertThat(failure(() -> asked).kind()).isEqualTo(Kind.CANCELLED);
  }

  @Test
  void aModelWithSeveralLabelsCannotRank() {
    RagbusException failure = rerankFailure(RerankRequest.of("q", "a").withModel("labels"));
    assertThat(failure.kind()).isEqualTo(Kind.TYPE_CONVERSION);
    assertThat(failure.getMessage()).contains("'labels'", "3");
  }

  @Test
  void anEmbeddingModelRanksByTheDotProduct() {
    engine.held.add(Held.FORWARD);
    RerankRequest request = RerankRequest.of("q", "x", "y", "z").withModel("e");
    Future<Ranking> ranking = operations.rerank(request, call());
    engine.finishWith(
        0,
        new float[] {
          0.6f, 0.8f, 0, 0, //
          0, 1, 0, 0, //
          0.6f, 0.8f, 0, 0, //
          -1, 0, 0, 0
        });
    assertThat(now(ranking).method()).isEqualTo(Ranking.Method.SIMILARITY);
    assertThat(now(ranking).model()).isEqualTo("e");
    assertThat(now(ranking).rankedResults())
        .extracting(Ranking.Result::text)
        .containsExactly("y", "x", "z");
    assertThat(now(ranking).rankedResults().get(1).score()).isCloseTo(0.8f, within(1e-6f));
    assertThat(engine.forwarded.get(0).rows()).allMatch(Engine.TokenRow::finish);
  }

  @Test
  void aSimilarityIsThatOfTheVectorsThatEmbedGives() {
    rerank(RerankRequest.of("q", "a").withModel("prompted"));
    assertThat(FakeEngine.texts(engine.forwarded.get(0))).containsExactlyInAnyOrder("Q: q", "Q: a");
  }

  @Test
  void aSimilarityCountsTextsFromZeroAndNamesTheQuery() {
    String tooLong = "x".repeat(65);
    RerankRequest request = RerankRequest.of("q", "a", tooLong).withModel("e");
    assertThat(rerank(request).usage()).isEqualTo(new Usage(66, List.of(1)));
    RerankRequest uncut = request.withTruncation(false, TruncationDirection.RIGHT);
    assertThat(rerankFailure(uncut).getMessage()).contains("texts[1] has 65 tokens");
    RerankRequest longQuery =
        RerankRequest.of(tooLong, "a")
            .withModel("e")
            .withTruncation(false, TruncationDirection.RIGHT);
    assertThat(rerankFailure(longQuery).getMessage()).contains("query has 65 tokens");
    RerankRequest cutQuery = longQuery.withTruncation(true, TruncationDirection.RIGHT);
    assertThat(rerank(cutQuery).usage()).isEqualTo(new Usage(65, List.of(0)));
  }

  @Test
  void aQueryIsNotCutToTheTokensOfADocument() {
    rerank(RerankRequest.of("query", "document").withModel("e").withLongTexts(3, 1));
    assertThat(engine.forwarded)
        .flatExtracting(FakeEngine::texts)
        .containsExactlyInAnyOrder("query", "doc");
  }

  @Test
  void aSimilarityHasNoWindows() {
    RagbusException failure =
        rerankFailure(RerankRequest.of("q", "a").withModel("e").withLongTexts(null, 2));
    assertThat(failure.kind()).isEqualTo(Kind.INVALID);
    assertThat(failure.getMessage()).contains("max_chunks_per_doc");
  }

  @Test
  void modelsAreReleasedWhateverBecomesOfTheRequest() {
    embed(EmbedRequest.of("a"));
    embedFailure(EmbedRequest.of("x".repeat(65)).withTruncation(false, TruncationDirection.RIGHT));
    engine.held.add(Held.FORWARD);
    Future<Embeddings> running = operations.embed(EmbedRequest.of("a"), call());
    Future<Embeddings> late =
        operations.embed(EmbedRequest.of("a"), new Call("id", time.nanos(), null));
    assertThat(late.failed()).isTrue();
    now(operations.clear(new ModelQuery("e"), call()));
    assertThat(engine.unloaded()).isEmpty();
    engine.finish();
    now(running);
    assertThat(engine.unloaded()).hasSize(1);
  }

  @Test
  void cancellingDropsTheRequestsOfAnId() {
    engine.held.add(Held.FORWARD);
    Future<Embeddings> running = operations.embed(EmbedRequest.of("a"), call());
    operations.cancel("id");
    assertThat(failure(() -> running).kind()).isEqualTo(Kind.CANCELLED);
  }

  @Test
  void cancellingReachesARequestWhoseTokensAreLookedAt() {
    engine.held.add(Held.CONTROL);
    engine.controls.clear();
    List<Future<?>> asked =
        List.of(
            operations.embed(EmbedRequest.ofTokens(List.of(List.of(1))), call()),
            operations.tokenize(new TokenizeRequest(List.of("a"), null, false), call()),
            operations.decode(new DecodeRequest(List.of(List.of(1)), "e", null), call()));
    operations.cancel("id");
    asked.forEach(each -> assertThat(failure(() -> each).kind()).isEqualTo(Kind.CANCELLED));
    List.copyOf(engine.controls).forEach(engine::answer);
    assertThat(engine.forwarded).isEmpty();
    now(operations.clear(new ModelQuery(null), call()));
    assertThat(engine.unloaded()).as("nobody holds a model").hasSize(2);
  }

  @Test
  void aRequestWhoseTimeIsOverAsksTheTokenizerNoMore() {
    engine.held.add(Held.CONTROL);
    engine.controls.clear();
    List<String> texts = Collections.nCopies(1_000, "a");
    Future<Tokens> tokens = operations.tokenize(new TokenizeRequest(texts, null, false), call());
    engine.answer(engine.controls.get(0));
    time.advanceMillis(1_000);
    engine.answer(engine.controls.get(1));
    assertThat(failure(() -> tokens).kind()).isEqualTo(Kind.TIMEOUT);
    assertThat(engine.controls).hasSize(2);
  }

  @Test
  void aModelStaysForARequestWhoseTokensAreLookedAt() {
    List<Function<Call, Future<? extends Record>>> operations =
        List.of(
            call -> this.operations.embed(EmbedRequest.ofTokens(List.of(List.of(1))), call),
            call ->
                this.operations.tokenize(
                    new TokenizeRequest(Collections.nCopies(100, "a"), null, false), call));
    for (Function<Call, Future<? extends Record>> operation : operations) {
      embed(EmbedRequest.of("loads it"));
      int before = engine.unloaded().size();
      engine.held.add(Held.CONTROL);
      Future<?> running = operation.apply(call());
      now(this.operations.clear(new ModelQuery("e"), call()));
      while (!running.isComplete()) {
        assertThat(engine.unloaded()).hasSize(before);
        engine.answer(engine.controls.get(engine.controls.size() - 1));
      }
      now(running);
      assertThat(engine.unloaded()).hasSize(before + 1);
      engine.held.clear();
    }
  }

  @Test
  void tokensAndTextsComeFromTheModel() {
    Tokens tokens =
        now(operations.tokenize(new TokenizeRequest(List.of("a"), null, false), call()));
    assertThat(tokens)
        .isEqualTo(new Tokens(List.of(List.of(new Tokens.Token(97, "a", false, 0, 1))), "e"));
    assertThat(engine.controls(Control.TOKENS).get(0).getBoolean("add_special_tokens")).isFalse();
    DecodeRequest ids = new DecodeRequest(List.of(List.of(1, 2)), "e", null);
    assertThat(now(operations.decode(ids, call()))).isEqualTo(new DecodedTexts(List.of("a"), "e"));
    JsonObject sent = engine.controls(Control.DECODE).get(0);
    assertThat(sent.getJsonArray("ids").encode()).isEqualTo("[[1,2]]");
    assertThat(sent.getBoolean("skip_special_tokens")).isTrue();
    assertThat(sent.getInteger("handle"))
        .isEqualTo(models.forEmbedding("e", null).result().engineModel().handle());
  }

  @Test
  void modelsAreLoadedListedDescribedAndCleared() {
    assertThat(
            now(operations.load(ModelSpec.of("prompted", ModelType.EMBEDDING), call())).cacheKey())
        .isEqualTo("embedding:prompted");
    assertThat(now(operations.list(NoArguments.INSTANCE, call())).totalCount()).isEqualTo(3);
    assertThat(now(operations.get(new ModelQuery("r"), call())).modelType())
        .isEqualTo(ModelType.CROSS_ENCODER);
    assertThat(now(operations.clear(new ModelQuery("r"), call())).clearedModels())
        .containsExactly("cross-encoder:r");
    assertThat(operations.models()).hasSize(2);
  }

  @Test
  void cleaningClearsCollectsAndTellsTheMemory() {
    assertThat(now(operations.cleanup(NoArguments.INSTANCE, call())))
        .isEqualTo(new Cleanup("cleaned", List.of("embedding:e", "cross-encoder:r"), 7, 200, 100));
    assertThat(operations.models()).isEmpty();
  }
}
