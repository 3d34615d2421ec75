// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import static org.assertj.core.api.Assertions.assertThat;

import dev.ragbus.Await;
import dev.ragbus.EmbedRequest;
import dev.ragbus.ModelSpec;
import dev.ragbus.ModelType;
import dev.ragbus.Ragbus;
import dev.ragbus.RagbusException;
import dev.ragbus.RagbusException.Kind;
import dev.ragbus.RerankRequest;
import io.vertx.core.Vertx;
import io.vertx.core.json.JsonObject;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Models that cannot be loaded or used: the reason is told, and what serves goes on serving. */
class BrokenModelTest {
  private static final Path GOOD = Path.of("python/tests/golden/cross-encoder");

  @TempDir private static Path models;

  private static Vertx vertx;
  private static TestService service;
  private static Ragbus ragbus;

  @BeforeAll
  static void deploy() throws IOException {
    copy("ranker");
    vertx = Vertx.vertx();
    service =
        TestService.start(
            vertx, new JsonObject().put("models", new JsonObject().put("dir", models.toString())));
    ragbus = service.ragbus();
  }

  @AfterAll
  static void undeploy() {
    service.close();
    Await.result(vertx.close());
  }

  private static Path copy(String name) throws IOException {
    Path folder = models.resolve(name);
    try (var files = Files.walk(GOOD)) {
      for (Path file : files.filter(Files::isRegularFile).toList()) {
        Path target = folder.resolve(GOOD.relativize(file).toString());
        Files.createDirectories(target.getParent());
        Files.copy(file, target);
      }
    }
    return folder;
  }

  private static RagbusException load(String name, ModelType type) {
    return Await.ragbusFailure(ragbus.loadModel(ModelSpec.of(name, type)));
  }

  private static void assertStillServing() {
    assertThat(Await.result(ragbus.embed("still served")).count()).isOne();
  }

  @Test
  void aBrokenFileFailsTheLoadAndIsNamed() throws IOException {
    Files.write(copy("broken").resolve("onnx/model.onnx"), new byte[] {1, 2, 3});

    RagbusException failure = load("broken", ModelType.CROSS_ENCODER);

    assertThat(failure.kind()).isEqualTo(Kind.RUNTIME);
    assertThat(failure.getMessage()).contains("model.onnx");
    assertStillServing();
  }

  @Test
  void aFolderWithoutTokenizerIsNoModel() throws IOException {
    Files.delete(copy("mute").resolve("tokenizer.json"));

    RagbusException failure = load("mute", ModelType.CROSS_ENCODER);

    assertThat(failure.kind()).isEqualTo(Kind.MODEL_NOT_FOUND);
    assertThat(failure.getMessage()).contains("tokenizer.json");
    assertStillServing();
  }

  @Test
  void aModelOfTheWrongTypeIsRefused() {
    var embedding = Await.ragbusFailure(ragbus.embed(EmbedRequest.of("x").withModel("ranker")));
    var crossEncoder = load("all-MiniLM-L6-v2", ModelType.CROSS_ENCODER);

    assertThat(embedding.kind()).isEqualTo(Kind.TYPE_CONVERSION);
    assertThat(crossEncoder.kind()).isEqualTo(Kind.TYPE_CONVERSION);
    assertStillServing();
  }

  @Test
  void aFailedReloadLeavesTheOldModelServing() throws IOException {
    Path folder = copy("worn");
    ModelSpec spec = ModelSpec.of("worn", ModelType.CROSS_ENCODER);
    Await.result(ragbus.loadModel(spec));
    RerankRequest request = RerankRequest.of("query", "one", "two").withModel("worn");
    var before = Await.result(ragbus.rerank(request));

    Files.write(folder.resolve("onnx/model.onnx"), new byte[100]);
    var failure = Await.ragbusFailure(ragbus.loadModel(spec.withForceReload(true)));

    assertThat(failure.getMessage()).contains("model.onnx");
    assertThat(Await.result(ragbus.rerank(request)).rankedResults())
        .isEqualTo(before.rankedResults());
  }

  @Test
  void noNameLeadsOutOfTheFolderOfModels() {
    for (String name : List.of("../golden", "..", "/etc", "a/../../b", "nul\u0000l")) {
      assertThat(load(name, ModelType.CROSS_ENCODER).kind())
          .as(name)
          .isIn(Kind.MODEL_NOT_FOUND, Kind.INVALID);
    }
  }

  @Test
  void anUnknownOptionIsRefusedByName() {
    ModelSpec spec = ModelSpec.of("ranker", ModelType.CROSS_ENCODER).withPrecision("int3");

    assertThat(Await.ragbusFailure(ragbus.loadModel(spec)).kind()).isEqualTo(Kind.INVALID);
  }
}
