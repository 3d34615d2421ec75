// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import static org.assertj.core.api.Assertions.assertThat;

import dev.ragbus.Await;
import dev.ragbus.EmbedRequest;
import dev.ragbus.EmbeddingType;
import dev.ragbus.Embeddings;
import dev.ragbus.Health;
import dev.ragbus.ModelLoad;
import dev.ragbus.ModelSpec;
import dev.ragbus.ModelType;
import dev.ragbus.Ragbus;
import dev.ragbus.RagbusException.Kind;
import dev.ragbus.Ranking;
import dev.ragbus.RerankRequest;
import dev.ragbus.TokenizeRequest;
import dev.ragbus.Tokens;
import dev.ragbus.TruncationDirection;
import io.vertx.core.Future;
import io.vertx.core.Vertx;
import io.vertx.core.eventbus.ReplyException;
import io.vertx.core.eventbus.ReplyFailure;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** One deployment with the real Python and the real model, asked everything it serves. */
class RagbusVerticleTest {
  private static final String MODEL = "all-MiniLM-L6-v2";

  private static Vertx vertx;
  private static TestService service;
  private static Ragbus ragbus;

  @BeforeAll
  static void deploy() {
    vertx = Vertx.vertx();
    service = TestService.start(vertx, new JsonObject());
    ragbus = service.ragbus();
  }

  @AfterAll
  static void undeploy() {
    service.close();
    Await.result(vertx.close());
  }

  @Test
  void embedsTypedRequests() {
    Embeddings vectors =
        Await.result(ragbus.embed("A cat purrs.", "A kitten purrs.", "Stocks fell on Monday."));

    assertThat(vectors.count()).isEqualTo(3);
    assertThat(vectors.dimensions()).isEqualTo(384);
    assertThat(vectors.model()).isEqualTo(MODEL);
    assertThat(vectors.usage().truncated()).isEmpty();
    assertThat(vectors.usage().promptTokens()).isBetween(15, 30);
    assertThat(vectors.dot(0, 0)).isBetween(0.999, 1.001);
    assertThat(vectors.dot(0, 1)).isGreaterThan(vectors.dot(0, 2) + 0.3);
    assertThat(vectors.row(1)).hasSize(384);
  }

  @Test
  void embedsJsonRequestsToTheLetter() {
    JsonObject body = new JsonObject().put("texts", new JsonArray().add("one").add("two"));

    JsonObject reply = Await.result(vertx.eventBus().<JsonObject>request("rag.embed", body)).body();

    assertThat(reply.fieldNames())
        .containsExactly("embeddings", "model", "dimensions", "count", "usage");
    assertThat(reply.getInteger("count")).isEqualTo(2);
    assertThat(reply.getJsonArray("embeddings").getJsonArray(1)).hasSize(384);
    assertThat(reply.getJsonObject("usage").fieldNames())
        .containsExactly("prompt_tokens", "truncated");
  }

  @Test
  void jsonFailuresCarryCodeKindAndField() {
    JsonObject body = new JsonObject().put("texts", "not a list");

    Throwable failure = Await.failure(vertx.eventBus().request("rag.embed", body));

    assertThat(failure).isInstanceOf(ReplyException.class);
    ReplyException reply = (ReplyException) failure;
    assertThat(reply.failureType()).isEqualTo(ReplyFailure.RECIPIENT_FAILURE);
    assertThat(reply.failureCode()).isEqualTo(400);
    assertThat(reply.getMessage()).startsWith("INVALID: texts ");
  }

  @Test
  void answersNothingForNothing() {
    Embeddings none = Await.result(ragbus.embed(EmbedRequest.of(List.of())));
    Ranking noRanking = Await.result(ragbus.rerank("query", List.of()));

    assertThat(none.count()).isZero();
    assertThat(none.dimensions()).isZero();
    assertThat(noRanking.rankedResults()).isEmpty();
  }

  @Test
  void keepsTheOrderOfManyTextsOfManyLengths() {
    List<String> texts = new ArrayList<>();
    for (int i = 0; i < 300; i++) {
      texts.add("number " + i + " " + "word ".repeat(i % 60));
    }
    Collections.shuffle(texts, new Random(7));

    Embeddings together = Await.result(ragbus.embed(EmbedRequest.of(texts)));

    for (int i = 0; i < texts.size(); i += 37) {
      Embeddings alone = Await.result(ragbus.embed(texts.get(i)));
      assertThat(cosine(together.row(i), alone.row(0))).isGreaterThan(0.999);
    }
  }

  @Test
  void honoursTheOptionsOfARequest() {
    EmbedRequest plain = EmbedRequest.of("The mountain is high.");

    Embeddings full = Await.result(ragbus.embed(plain));
    Embeddings sliced = Await.result(ragbus.embed(plain.withDimensions(64)));
    Embeddings raw = Await.result(ragbus.embed(plain.withNormalize(false)));
    Embeddings bytes = Await.result(ragbus.embed(plain.withEmbeddingType(EmbeddingType.INT8)));
    Embeddings bits = Await.result(ragbus.embed(plain.withEmbeddingType(EmbeddingType.UBINARY)));
    Embeddings prompted = Await.result(ragbus.embed(plain.withPrompt("query: ")));
    Embeddings spelledOut = Await.result(ragbus.embed("query: The mountain is high."));

    assertThat(sliced.dimensions()).isEqualTo(64);
    assertThat(sliced.dot(0, 0)).isBetween(0.999, 1.001);
    float[] firstOfFull = java.util.Arrays.copyOf(full.row(0), 64);
    assertThat(cosine(sliced.row(0), firstOfFull)).isGreaterThan(0.9999);
    assertThat(Math.sqrt(raw.dot(0, 0))).isGreaterThan(1.5);
    assertThat(cosine(raw.row(0), full.row(0))).isGreaterThan(0.9999);
    assertThat(bytes.row(0)).contains(127f).hasSize(384);
    assertThat(cosine(bytes.row(0), full.row(0))).isGreaterThan(0.999);
    assertThat(bits.row(0)).hasSize(48);
    assertThat(cosine(prompted.row(0), spelledOut.row(0))).isGreaterThan(0.9999);
  }

  @Test
  void truncatesAt256TokensAndSaysSo() {
    String long1 = "alpha ".repeat(400);
    EmbedRequest request = EmbedRequest.of("short", long1 + "omega", "omega " + long1);

    Embeddings right = Await.result(ragbus.embed(request));
    Embeddings left =
        Await.result(ragbus.embed(request.withTruncation(true, TruncationDirection.LEFT)));

    assertThat(right.usage().truncated()).containsExactly(1, 2);
    assertThat(right.usage().promptTokens()).isEqualTo(3 + 256 + 256);
    // Cut on the right, the last word is gone from the second text and the first is in the third.
    assertThat(cosine(right.row(1), left.row(2))).isGreaterThan(0.999);
    assertThat(
            Await.ragbusFailure(
                    ragbus.embed(request.withTruncation(false, TruncationDirection.RIGHT)))
                .kind())
        .isEqualTo(Kind.TOO_LARGE);
  }

  @Test
  void ranksBySimilarity() {
    RerankRequest request =
        RerankRequest.of(
            "How do cats sound?",
            "Stocks fell on Monday.",
            "A cat purrs and meows.",
            "Stocks fell on Monday.",
            "Dogs bark.");

    Ranking ranking = Await.result(ragbus.rerank(request));
    Ranking best = Await.result(ragbus.rerank(request.withTopN(1).withReturnTexts(false)));

    assertThat(ranking.method()).isEqualTo(Ranking.Method.SIMILARITY);
    assertThat(ranking.model()).isEqualTo(MODEL);
    assertThat(ranking.query()).isEqualTo("How do cats sound?");
    assertThat(ranking.rankedResults()).extracting(Ranking.Result::index).startsWith(1, 3);
    assertThat(ranking.rankedResults())
        .isSortedAccordingTo(java.util.Comparator.comparingDouble(result -> -result.score()));
    assertThat(best.rankedResults()).hasSize(1);
    assertThat(best.rankedResults().get(0).text()).isNull();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "lone \ud83d surrogate",
        "\udc00",
        "nul \u0000 inside",
        "\ufffestarts with a reversed byte order mark",
        "\ufeffstarts with a byte order mark",
        "emoji \ud83d\ude00 and 漢字 and עברית",
        "\u0085\u2028\u202e controls \u001b[31m",
      })
  void hostileTextHarmsNobody(String text) {
    float[] before = Await.result(ragbus.embed("an innocent text")).row(0);

    Embeddings hostile = Await.result(ragbus.embed(text));
    float[] after = Await.result(ragbus.embed("an innocent text")).row(0);

    assertThat(hostile.dot(0, 0)).isBetween(0.99, 1.01);
    assertThat(cosine(before, after)).isGreaterThan(0.99999);
  }

  /**
   * Strings of random UTF-16 code units, among them every kind that jep or JSON could trip over.
   */
  @Test
  @Tag("slow")
  void thousandsOfHostileTextsHarmNobody() {
    Random random = new Random(11);
    float[] innocent = Await.result(ragbus.embed("an innocent text")).row(0);
    for (int round = 0; round < 100; round++) {
      List<String> texts = new ArrayList<>();
      for (int i = 0; i < 100; i++) {
        StringBuilder text = new StringBuilder();
        for (int length = random.nextInt(40); length > 0; length--) {
          char any = (char) random.nextInt(0x10000);
          char nasty = "\u0000\ud83d\ude00\ufffe\ufeff\uffff\u2028".charAt(random.nextInt(7));
          text.append(random.nextBoolean() ? any : nasty);
        }
        texts.add(text.toString());
      }
      texts.set(50, "an innocent text");

      Embeddings vectors = Await.result(ragbus.embed(EmbedRequest.of(texts)));

      assertThat(vectors.count()).isEqualTo(100);
      assertThat(cosine(vectors.row(50), innocent)).isGreaterThan(0.999);
    }
  }

  @Test
  void aLoneSurrogateIsReadAsTheReplacementCharacter() {
    Tokens hostile = Await.result(ragbus.tokenize(request("a \ud83d b")));
    Tokens replaced = Await.result(ragbus.tokenize(request("a \ufffd b")));

    assertThat(hostile.tokens()).isEqualTo(replaced.tokens());
  }

  @ParameterizedTest
  @ValueSource(strings = {"\ufffetwo words", "\ufefftwo words", "lone \udc00 words"})
  void aTextIsReadAsItIsWhateverItBeginsWith(String text) {
    Embeddings byText = Await.result(ragbus.embed(text));

    // The other way into Python, as JSON.
    List<Integer> ids =
        Await.result(ragbus.tokenize(request(text))).tokens().get(0).stream()
            .map(Tokens.Token::id)
            .toList();
    Embeddings byTokens = Await.result(ragbus.embed(EmbedRequest.ofTokens(List.of(ids))));
    assertThat(byText.usage().promptTokens()).isEqualTo(ids.size());
    assertThat(cosine(byText.row(0), byTokens.row(0))).isGreaterThan(0.9999);
  }

  @Test
  void aTextOfTenMegabytesIsRefusedAtOnce() {
    String text = "many words ".repeat(1_000_000);
    long begun = System.nanoTime();

    var failure = Await.ragbusFailure(ragbus.embed(text));
    long refusedMillis = (System.nanoTime() - begun) / 1_000_000;

    assertThat(failure.kind()).isEqualTo(Kind.TOO_LARGE);
    assertThat(refusedMillis).isLessThan(1_000);
    assertThat(Await.result(ragbus.embed("served meanwhile")).count()).isOne();
  }

  @Test
  void tokenisesMoreTextsThanOneCallTakes() {
    List<String> texts =
        java.util.stream.IntStream.range(0, 150).mapToObj(i -> "number " + i).toList();

    Tokens tokens = Await.result(ragbus.tokenize(new TokenizeRequest(texts, null, false)));

    assertThat(tokens.tokens()).hasSize(150);
    assertThat(tokens.tokens().get(149).get(1).text()).isEqualTo("149");
  }

  private static TokenizeRequest request(String text) {
    return new TokenizeRequest(List.of(text), null, null);
  }

  @Test
  void refusesWhatIsTooLargeNamingLimitAndValue() {
    var tooLong = Await.ragbusFailure(ragbus.embed("ok", "x".repeat(1_000_000)));
    var tooMany =
        Await.ragbusFailure(ragbus.embed(EmbedRequest.of(Collections.nCopies(2_049, "x"))));

    assertThat(tooLong.kind()).isEqualTo(Kind.TOO_LARGE);
    assertThat(tooLong.getMessage())
        .contains("texts[1]", "1000000", "limits.max_text_chars", "200000");
    assertThat(tooMany.getMessage()).contains("2049", "limits.max_texts", "2048");
    assertThat(Await.result(ragbus.embed("x".repeat(200_000))).count()).isOne();
  }

  @Test
  void anUnknownModelIsRefusedNeverReplaced() {
    var failure =
        Await.ragbusFailure(ragbus.embed(EmbedRequest.of("x").withModel("no-such-model")));

    assertThat(failure.kind()).isEqualTo(Kind.MODEL_NOT_FOUND);
    assertThat(failure.getMessage()).contains("no-such-model");
  }

  @Test
  void aModelIsKnownByItsLongName() {
    EmbedRequest request = EmbedRequest.of("x").withModel("sentence-transformers/" + MODEL);

    assertThat(Await.result(ragbus.embed(request)).model()).isEqualTo(MODEL);
    assertThat(Await.result(ragbus.listModels()).totalCount()).isOne();
  }

  @Test
  void loadsListsAndClearsToTheLetterOfTheContract() {
    ModelLoad again = Await.result(ragbus.loadModel(ModelSpec.of(MODEL, ModelType.EMBEDDING)));
    JsonObject json =
        Await.result(
                vertx
                    .eventBus()
                    .<JsonObject>request(
                        "rag.models.load", new JsonObject().put("model_name", MODEL)))
            .body();

    assertThat(again.status()).isEqualTo(ModelLoad.Status.ALREADY_LOADED);
    assertThat(json.encode())
        .isEqualTo(
            "{\"status\":\"already_loaded\",\"model_name\":\"all-MiniLM-L6-v2\","
                + "\"model_type\":\"embedding\",\"dimensions\":384,"
                + "\"cache_key\":\"embedding:all-MiniLM-L6-v2\","
                + "\"cached_models\":[\"embedding:all-MiniLM-L6-v2\"]}");

    JsonObject cleared =
        Await.result(
                vertx
                    .eventBus()
                    .<JsonObject>request("rag.models.clear", new JsonObject().put("model", MODEL)))
            .body();
    assertThat(cleared.encode())
        .isEqualTo(
            "{\"status\":\"cleared\",\"cleared_models\":[\"embedding:all-MiniLM-L6-v2\"],"
                + "\"remaining_models\":[]}");
    assertThat(Await.result(ragbus.clearModels("unknown")).clearedModels()).isEmpty();
    assertThat(Await.result(ragbus.embed("loads it again")).count()).isOne();
    assertThat(Await.result(ragbus.model(MODEL)).engine()).isEqualTo("openvino");
  }

  @Test
  void reloadingUnderLoadLosesNothing() {
    List<Future<Embeddings>> answers = new ArrayList<>();
    for (int i = 0; i < 60; i++) {
      answers.add(ragbus.embed("text " + i, "another " + i));
      if (i == 20) {
        answers.add(
            ragbus
                .loadModel(ModelSpec.of(MODEL, ModelType.EMBEDDING).withForceReload(true))
                .compose(load -> ragbus.embed("after the load")));
      }
    }

    answers.forEach(answer -> assertThat(Await.result(answer).count()).isPositive());
  }

  @Test
  void ensureModelLoadedAndClearMemory() {
    Await.result(ragbus.ensureModelLoaded(MODEL, ModelType.EMBEDDING));
    var cleanup = Await.result(ragbus.clearMemory());
    Await.result(ragbus.ensureModelLoaded(MODEL, ModelType.EMBEDDING));

    assertThat(cleanup.status()).isEqualTo("cleaned");
    assertThat(cleanup.clearedModels()).containsExactly("embedding:" + MODEL);
    assertThat(cleanup.residentBytesAfter()).isPositive();
    assertThat(Await.result(ragbus.listModels()).totalCount()).isOne();
  }

  @Test
  void missesADeadlineCleanly() {
    List<String> texts = Collections.nCopies(500, "many words make the work long ".repeat(40));

    var failure =
        Await.ragbusFailure(
            ragbus.withTimeout(Duration.ofMillis(40)).embed(EmbedRequest.of(texts)));

    assertThat(failure.kind()).isEqualTo(Kind.TIMEOUT);
    assertThat(failure.code()).isEqualTo(504);
    assertThat(Await.result(ragbus.embed("and the next one is served")).count()).isOne();
  }

  @Test
  void cancelsByRequestId() {
    List<String> texts = Collections.nCopies(500, "many words make the work long ".repeat(40));

    Future<Embeddings> running = ragbus.withRequestId("to-cancel").embed(EmbedRequest.of(texts));
    ragbus.cancel("to-cancel");

    assertThat(Await.ragbusFailure(running).kind()).isEqualTo(Kind.CANCELLED);
  }

  @Test
  void tellsItsHealthAndStatistics() {
    Await.result(ragbus.embed("counted"));

    Health health = Await.result(ragbus.health());
    var stats = Await.result(ragbus.stats());

    assertThat(health.up()).isTrue();
    assertThat(health.checks()).extracting(Health.Check::status).containsOnly("UP");
    assertThat(stats.operations().get("embed").answered()).isPositive();
    assertThat(stats.residentBytes()).isGreaterThan(100_000_000);
    assertThat(stats.lanes()).extracting(lane -> lane.role()).contains("inference", "control");
  }

  static double cosine(float[] a, float[] b) {
    double dot = 0;
    double ofA = 0;
    double ofB = 0;
    for (int i = 0; i < a.length; i++) {
      dot += (double) a[i] * b[i];
      ofA += (double) a[i] * a[i];
      ofB += (double) b[i] * b[i];
    }
    return dot / Math.sqrt(ofA * ofB);
  }
}
