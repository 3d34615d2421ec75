// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import dev.ragbus.RagbusException.Kind;
import io.vertx.core.eventbus.ReplyFailure;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class RecordsTest {
  private static void invalid(Runnable make, String field) {
    RagbusException failure = catchThrowableOfType(RagbusException.class, make::run);
    assertThat(failure.kind()).isEqualTo(Kind.INVALID);
    assertThat(failure.detail()).startsWith(field);
  }

  @Test
  void typedRequestsAreCheckedLikeJsonOnes() {
    invalid(() -> EmbedRequest.of((List<String>) null), "texts");
    invalid(() -> EmbedRequest.of("a", null), "texts[1]");
    invalid(() -> EmbedRequest.of("a").withDimensions(0), "dimensions");
    invalid(() -> EmbedRequest.of("a").withModel(" "), "model");
    invalid(() -> RerankRequest.of(null, "a"), "query");
    invalid(() -> RerankRequest.of("q", "a", null), "texts[1]");
    invalid(() -> RerankRequest.of("q", "a").withTopN(-1), "top_n");
    invalid(() -> RerankRequest.of("q", "a").withLongTexts(0, 1), "max_tokens_per_doc");
    invalid(() -> RerankRequest.of("q", "a").withLongTexts(1, 0), "max_chunks_per_doc");
    invalid(() -> ModelSpec.of("", ModelType.EMBEDDING), "model_name");
    invalid(() -> new DecodeRequest(List.of(Arrays.asList(1, null)), null, null), "ids[0]");
    invalid(() -> new ModelQuery(""), "model");
  }

  @Test
  void requestsDoNotChangeAfterwards() {
    List<String> texts = new ArrayList<>(List.of("a"));
    EmbedRequest embed = EmbedRequest.of(texts);
    RerankRequest rerank = RerankRequest.of("q", texts);
    texts.add("b");
    assertThat(embed.texts()).containsExactly("a");
    assertThat(rerank.texts()).containsExactly("a");
    assertThatThrownBy(() -> embed.texts().add("c"))
        .isInstanceOf(UnsupportedOperationException.class);
  }

  @Test
  void changedCopiesChangeOneThing() {
    EmbedRequest embed = EmbedRequest.of("a").withPromptName("old");
    assertThat(
            embed
                .withModel("m")
                .withNormalize(false)
                .withDimensions(2)
                .withEmbeddingType(EmbeddingType.INT8)
                .withPrompt("p")
                .withInputType(InputType.QUERY)
                .withTruncation(false, TruncationDirection.LEFT))
        .isEqualTo(
            new EmbedRequest(
                List.of("a"),
                "m",
                false,
                2,
                EmbeddingType.INT8,
                "p",
                null,
                InputType.QUERY,
                false,
                TruncationDirection.LEFT,
                null));
    assertThat(embed.withPrompt("p").withPromptName("n").prompt()).isNull();
    assertThat(embed).isEqualTo(EmbedRequest.of("a").withPromptName("old"));
    assertThat(
            RerankRequest.of("q", "a")
                .withModel("m")
                .withTopN(1)
                .withReturnTexts(false)
                .withRawScores(true)
                .withLongTexts(3, 4)
                .withTruncation(false, TruncationDirection.LEFT)
                .withRunningTop(true))
        .isEqualTo(
            new RerankRequest(
                "q",
                List.of("a"),
                "m",
                1,
                false,
                true,
                3,
                4,
                false,
                TruncationDirection.LEFT,
                true));
    ModelSpec spec = ModelSpec.of("m", ModelType.CROSS_ENCODER);
    assertThat(spec.withForceReload(true).withPrecision("f32"))
        .isEqualTo(
            new ModelSpec(
                "m",
                ModelType.CROSS_ENCODER,
                true,
                null,
                null,
                null,
                null,
                "f32",
                null,
                null,
                null,
                null,
                Map.of(),
                null,
                null));
    assertThat(spec.sameOptions(spec.withForceReload(true))).isTrue();
    assertThat(spec.sameOptions(spec.withWorkers(2))).isTrue();
    assertThat(spec.sameOptions(spec.withPrecision("f32"))).isFalse();
    assertThat(spec.cacheKey()).isEqualTo("cross-encoder:m");
  }

  @Test
  void vectorsAreReadByRow() {
    Embeddings vectors =
        new Embeddings(new float[] {1, 0, 0.6f, 0.8f}, "m", 2, 2, EmbeddingType.FLOAT, Usage.NONE);
    assertThat(vectors.row(1)).containsExactly(0.6f, 0.8f);
    assertThat(vectors.dot(0, 1)).isEqualTo(0.6f);
    assertThat(vectors.width()).isEqualTo(2);
    vectors.row(0)[0] = 9;
    assertThat(vectors.values()[0]).isEqualTo(1);
    assertThat(vectors).hasToString("Embeddings[2 x 2 FLOAT by m]");
    assertThatThrownBy(() -> vectors.row(2)).isInstanceOf(IndexOutOfBoundsException.class);
    assertThatThrownBy(() -> vectors.row(-1)).isInstanceOf(IndexOutOfBoundsException.class);
    assertThatThrownBy(() -> vectors.dot(0, 2)).isInstanceOf(IndexOutOfBoundsException.class);
  }

  @Test
  void vectorsAreEqualByTheirNumbers() {
    Embeddings one = new Embeddings(new float[] {1, 2}, "m", 2, 1, EmbeddingType.FLOAT, Usage.NONE);
    Embeddings same =
        new Embeddings(new float[] {1, 2}, "m", 2, 1, EmbeddingType.FLOAT, Usage.NONE);
    Embeddings other =
        new Embeddings(new float[] {1, 3}, "m", 2, 1, EmbeddingType.FLOAT, Usage.NONE);
    assertThat(one).isEqualTo(same).hasSameHashCodeAs(same).isNotEqualTo(other);
  }

  @Test
  void vectorsFitTheirShape() {
    assertThatIllegalArgumentException()
        .isThrownBy(() -> new Embeddings(new float[3], "m", 2, 2, EmbeddingType.FLOAT, Usage.NONE));
    for (int[] shape : new int[][] {{-1, -3}, {1 << 16, 1 << 16}, {-1, 0}, {0, -1}}) {
      int length = shape[0] == -1 && shape[1] == -3 ? 3 : 0;
      assertThatIllegalArgumentException()
          .isThrownBy(
              () ->
                  new Embeddings(
                      new float[length], "m", shape[1], shape[0], EmbeddingType.INT8, Usage.NONE));
    }
    assertThat(new Embeddings(new float[4], "m", 9, 2, EmbeddingType.BINARY, Usage.NONE).width())
        .isEqualTo(2);
  }

  @ParameterizedTest
  @CsvSource({
    "INT8, -129",
    "INT8, 128",
    "INT8, 0.5",
    "INT8, NaN",
    "BINARY, 128",
    "UINT8, -1",
    "UINT8, 256",
    "UBINARY, -1",
    "UBINARY, Infinity"
  })
  void bytesAreBytes(EmbeddingType type, float number) {
    assertThatIllegalArgumentException()
        .isThrownBy(() -> new Embeddings(new float[] {number}, "m", 1, 1, type, Usage.NONE))
        .withMessage(number + " is no number of " + type);
  }

  @Test
  void everyKindHasItsCode() {
    for (Kind kind : Kind.values()) {
      RagbusException failure = RagbusException.of(kind, "detail");
      assertThat(failure.code()).isEqualTo(failure.failureCode()).isEqualTo(kind.code());
      assertThat(failure.getMessage()).isEqualTo(kind + ": detail");
      assertThat(failure.detail()).isEqualTo("detail");
      assertThat(failure.failureType()).isEqualTo(ReplyFailure.RECIPIENT_FAILURE);
      assertThat(failure.retryable()).isEqualTo(kind.code() == 429 || kind.code() == 503);
      assertThat(failure.getStackTrace()).isEmpty();
    }
    assertThat(RagbusException.of(Kind.RUNTIME, null).detail()).isEmpty();
  }

  @Test
  void addressesAreThoseOfTheContract() {
    Addresses rag = Addresses.defaults();
    assertThat(
            List.of(
                rag.embed(),
                rag.rerank(),
                rag.tokenize(),
                rag.decode(),
                rag.loadModel(),
                rag.listModels(),
                rag.getModel(),
                rag.clearModels(),
                rag.cleanup(),
                rag.health(),
                rag.stats(),
                rag.cancel()))
        .containsExactly(
            "rag.embed",
            "rag.rerank",
            "rag.tokenize",
            "rag.decode",
            "rag.models.load",
            "rag.models.list",
            "rag.models.get",
            "rag.models.clear",
            "rag.memory.cleanup",
            "rag.health",
            "rag.stats",
            "rag.cancel");
    assertThat(new Addresses("my.own").embed()).isEqualTo("my.own.embed");
    for (String bad : List.of("", "a b", "a/b", "x".repeat(65))) {
      assertThatIllegalArgumentException().isThrownBy(() -> new Addresses(bad));
    }
  }

  @Test
  void requestIdsAreShortAndPlain() {
    for (String good : List.of("a", "A-z_0.9", "x".repeat(64))) {
      assertThat(RequestIds.valid(good)).isTrue();
      assertThat(RequestIds.validOrNew(good)).isEqualTo(good);
    }
    for (String bad : Arrays.asList(null, "", "a b", "a\n", "ä", "x".repeat(65))) {
      assertThat(RequestIds.valid(bad)).isFalse();
      assertThat(RequestIds.valid(RequestIds.validOrNew(bad))).isTrue();
    }
  }
}
