// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.ragbus.Await;
import dev.ragbus.EmbedRequest;
import dev.ragbus.Embeddings;
import dev.ragbus.Ragbus;
import dev.ragbus.Ranking;
import dev.ragbus.RerankRequest;
import io.vertx.core.Vertx;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * What arrives through the bus against what sentence-transformers computed on torch from the
 * original weights; {@code python/tests/golden/README.md} says how the files were made.
 */
class GoldenTest {
  private static final Path FOLDER = Path.of("python/tests/golden");

  private static JsonObject read(String file) throws IOException {
    return new JsonObject(Files.readString(FOLDER.resolve(file)));
  }

  private static List<JsonObject> objects(JsonArray array) {
    return array.stream().map(JsonObject.class::cast).toList();
  }

  private static List<String> strings(JsonArray array) {
    return array.stream().map(String.class::cast).toList();
  }

  private static JsonObject model(String name, String type, String precision) {
    JsonObject spec =
        new JsonObject()
            .put("model_name", name)
            .put("model_type", type)
            .put("precision", precision);
    return new JsonObject()
        .put(
            "models",
            new JsonObject()
                .put("dir", FOLDER.toAbsolutePath().toString())
                .put("preload", new JsonArray().add(spec)));
  }

  @ParameterizedTest
  @CsvSource({"f32, 0.99999", "bf16, 0.9999", "auto, 0.9999"})
  void vectorsEqualSentenceTransformers(String precision, double floor) throws IOException {
    List<JsonObject> items = objects(read("all-minilm-l6-v2.json").getJsonArray("items"));
    List<String> texts = items.stream().map(item -> item.getString("text")).toList();
    Vertx vertx = Vertx.vertx();
    try (TestService service =
        TestService.start(vertx, model("all-MiniLM-L6-v2", "embedding", precision))) {
      Embeddings vectors = Await.result(service.ragbus().embed(EmbedRequest.of(texts)));

      for (int i = 0; i < items.size(); i++) {
        assertThat(RagbusVerticleTest.cosine(vectors.row(i), vector(items.get(i))))
            .as("text %d: %.40s", i, texts.get(i))
            .isGreaterThanOrEqualTo(floor);
      }
      assertThat(vectors.usage().truncated())
          .isEqualTo(
              java.util.stream.IntStream.range(0, items.size())
                  .filter(i -> items.get(i).getInteger("tokens") > 256)
                  .boxed()
                  .toList());
    } finally {
      Await.result(vertx.close());
    }
  }

  private static float[] vector(JsonObject item) {
    byte[] bytes = Base64.getDecoder().decode(item.getString("vector"));
    float[] vector = new float[bytes.length / Float.BYTES];
    ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer().get(vector);
    return vector;
  }

  @Test
  void scoresEqualCrossEncoderPredict() throws IOException {
    JsonObject golden = read("cross-encoder.json");
    List<String> documents = strings(golden.getJsonArray("documents"));
    Vertx vertx = Vertx.vertx();
    try (TestService service =
        TestService.start(vertx, model("cross-encoder", "cross-encoder", "f32"))) {
      for (JsonObject query : objects(golden.getJsonArray("queries"))) {
        RerankRequest request =
            RerankRequest.of(query.getString("query"), documents).withModel("cross-encoder");
        check(service.ragbus(), request, query.getJsonArray("sigmoid"));
        check(service.ragbus(), request.withRawScores(true), query.getJsonArray("raw"));
      }
    } finally {
      Await.result(vertx.close());
    }
  }

  private static void check(Ragbus ragbus, RerankRequest request, JsonArray scores) {
    Ranking ranking = Await.result(ragbus.rerank(request));

    assertThat(ranking.model()).isEqualTo("cross-encoder");
    assertThat(ranking.method()).isEqualTo(Ranking.Method.CROSS_ENCODER);
    assertThat(ranking.rankedResults()).hasSize(request.texts().size());
    for (Ranking.Result result : ranking.rankedResults()) {
      assertThat(result.score()).isCloseTo(scores.getFloat(result.index()), within(1e-4f));
      assertThat(result.text()).isEqualTo(request.texts().get(result.index()));
    }
    assertThat(ranking.rankedResults())
        .extracting(Ranking.Result::index)
        .isNotEqualTo(java.util.stream.IntStream.range(0, request.texts().size()).boxed().toList());
  }
}
