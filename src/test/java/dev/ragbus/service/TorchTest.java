// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.ragbus.Await;
import dev.ragbus.ChildProcess;
import dev.ragbus.EmbedRequest;
import dev.ragbus.Embeddings;
import dev.ragbus.ModelInfo;
import dev.ragbus.Ranking;
import dev.ragbus.RerankRequest;
import dev.ragbus.python.environment.PackagedModels;
import dev.ragbus.python.environment.PythonEnvironment;
import io.vertx.core.Vertx;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/**
 * What needs the extras torch and quantize, which the profile {@code torch} sets: models served on
 * torch against what sentence-transformers computed ({@code python/tests/golden/README.md}), one
 * made int8, and the Python tests of the same kind.
 */
@Tag("torch")
class TorchTest {
  private static final Path GOLDEN = Path.of("python/tests/golden");

  /** The one that is served from comes first: the other takes over what it has. */
  @BeforeAll
  static void install() {
    prepare(List.of("quantize", "torch"));
  }

  private static PythonEnvironment prepare(List<String> extras) {
    Path cache = PythonEnvironment.Settings.defaultCacheFolder();
    return PythonEnvironment.prepare(
        new PythonEnvironment.Settings("python3", Optional.empty(), cache, extras),
        System.out::println);
  }

  private static JsonObject preload(JsonObject... specs) {
    return new JsonObject()
        .put(
            "models",
            new JsonObject()
                .put("dir", GOLDEN.resolve("families").toAbsolutePath().toString())
                .put("preload", new JsonArray(List.of(specs))));
  }

  private static JsonObject spec(String name, String type) {
    return new JsonObject().put("model_name", name).put("model_type", type);
  }

  private static FloatBuffer floats(JsonObject array) {
    byte[] bytes = Base64.getDecoder().decode(array.getString("values"));
    return ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer();
  }

  @Test
  void servesEmbeddingsAndRankingsOnTorch() throws Exception {
    JsonObject golden = new JsonObject(Files.readString(GOLDEN.resolve("families.json")));
    List<String> texts = golden.getJsonArray("texts").stream().map(String.class::cast).toList();
    JsonObject families = golden.getJsonObject("families");
    Vertx vertx = Vertx.vertx();
    JsonObject config =
        preload(
            spec("mpnet", "embedding").put("engine", "torch").put("precision", "f32"),
            spec("cross-encoder-raw", "cross-encoder")
                .put("engine", "torch")
                .put("precision", "f32"));
    try (TestService service = TestService.start(vertx, config)) {
      Embeddings embeddings =
          Await.result(service.ragbus().embed(EmbedRequest.of(texts).withModel("mpnet")));
      FloatBuffer vectors = floats(families.getJsonObject("mpnet").getJsonObject("vectors"));
      for (int i = 0; i < texts.size(); i++) {
        float[] expected = new float[embeddings.dimensions()];
        vectors.get(expected);
        assertThat(RagbusVerticleTest.cosine(embeddings.row(i), expected))
            .as(texts.get(i))
            .isGreaterThan(0.99999);
      }

      RerankRequest request =
          RerankRequest.of(golden.getString("query"), texts)
              .withModel("cross-encoder-raw")
              .withRawScores(true);
      Ranking ranking = Await.result(service.ragbus().rerank(request));
      FloatBuffer scores = floats(families.getJsonObject("cross-encoder-raw").getJsonObject("raw"));
      assertThat(ranking.rankedResults()).hasSize(texts.size());
      for (Ranking.Result result : ranking.rankedResults()) {
        assertThat(result.score()).isCloseTo(scores.get(result.index()), within(1e-4f));
      }
      assertThat(Await.result(service.ragbus().listModels()).cachedModels())
          .filteredOn(model -> !model.modelName().startsWith("all-"))
          .extracting(ModelInfo::engine)
          .containsOnly("torch");
    } finally {
      Await.result(vertx.close());
    }
  }

  @Test
  void servesAModelThatIsMadeInt8() {
    Vertx vertx = Vertx.vertx();
    JsonObject config = preload(spec("all-MiniLM-L6-v2", "embedding").put("precision", "int8"));
    try (TestService service = TestService.start(vertx, config)) {
      ModelInfo model = Await.result(service.ragbus().model("all-MiniLM-L6-v2"));
      assertThat(model.precision()).isEqualTo("int8");
      assertThat(model.quality().statistic()).isEqualTo("mean_cosine");
      assertThat(model.quality().value()).isBetween(0.99, 1.0);
      assertThat(Await.result(service.ragbus().embed("How tall is Mont Blanc?")).dimensions())
          .isEqualTo(384);
    } finally {
      Await.result(vertx.close());
    }
  }

  @Test
  void thePythonTestsPass() throws Exception {
    Path python = prepare(List.of("dev", "quantize", "torch")).python();
    Path model =
        PackagedModels.of(
                PythonEnvironment.Settings.defaultCacheFolder(), TorchTest.class.getClassLoader())
            .folder("all-MiniLM-L6-v2")
            .orElseThrow();
    ProcessBuilder pytest =
        new ProcessBuilder(python.toString(), "-m", "pytest", "-q", "-m", "torch");
    pytest.directory(Path.of("python").toFile());
    pytest.environment().put("RAGBUS_TEST_MODEL", model.toString());
    pytest.environment().put("PYTHONDONTWRITEBYTECODE", "1");
    assertThat(ChildProcess.run(pytest)).isZero();
  }
}
