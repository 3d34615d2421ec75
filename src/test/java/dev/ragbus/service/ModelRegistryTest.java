// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import dev.ragbus.JsonBodies;
import dev.ragbus.ModelInfo;
import dev.ragbus.ModelLoad;
import dev.ragbus.ModelSpec;
import dev.ragbus.ModelType;
import dev.ragbus.ModelsCleared;
import dev.ragbus.RagbusException;
import dev.ragbus.RagbusException.Kind;
import dev.ragbus.RagbusOptions;
import dev.ragbus.Stats;
import dev.ragbus.python.Engine.Control;
import dev.ragbus.python.environment.PackagedModels;
import dev.ragbus.service.FakeEngine.Held;
import dev.ragbus.service.ModelLocator.Origin;
import io.vertx.core.Future;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import java.io.IOException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.stream.IntStream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ModelRegistryTest {
  @TempDir Path folder;

  private final ManualTime time = new ManualTime();
  private final FakeEngine engine = new FakeEngine(2);
  private ModelRegistry models;

  @BeforeEach
  void knownModels() throws IOException {
    engine.models.put("e1", "embedding");
    engine.models.put("e2", "embedding");
    engine.models.put("r1", "cross-encoder");
    engine.models.put("tiny", "embedding");
    models = registry(List.of("e1"), List.of("r1"), new JsonObject());
  }

  private ModelRegistry registry(List<String> embedding, List<String> reranker, JsonObject more)
      throws IOException {
    JsonObject section =
        more.copy()
            .put("embedding", new JsonArray(embedding))
            .put("reranker", new JsonArray(reranker));
    RagbusOptions options = FakeEngine.options(new JsonObject().put("models", section));
    return new ModelRegistry(engine, options, packaged(), ManualTime.context(), time::nanos);
  }

  /** One packaged model, {@code tiny}, also called {@code org/tiny}. */
  private PackagedModels packaged() throws IOException {
    Path jar = Files.createDirectories(folder.resolve("jar/META-INF/ragbus"));
    Files.writeString(
        jar.resolve("models.json"),
        """
        [{"name": "tiny", "aliases": ["org/tiny"], "files": {"config.json": "tiny.json"}}]
        """);
    Files.writeString(folder.resolve("jar/tiny.json"), "{}");
    URL[] urls = {folder.resolve("jar").toUri().toURL()};
    try (URLClassLoader loader = new URLClassLoader(urls, ClassLoader.getPlatformClassLoader())) {
      return PackagedModels.of(folder.resolve("cache"), loader);
    }
  }

  private static <T> T now(Future<T> future) {
    assertThat(future.isComplete()).as("complete").isTrue();
    assertThat(future.cause()).isNull();
    return future.result();
  }

  private static RagbusException failure(Future<?> future) {
    assertThat(future.failed()).as("failed").isTrue();
    assertThat(future.cause()).isInstanceOf(RagbusException.class);
    return (RagbusException) future.cause();
  }

  private static ModelSpec spec(String name) {
    return ModelSpec.of(name, ModelType.EMBEDDING);
  }

  private Future<ModelLoad> load(ModelSpec spec) {
    return models.load(spec, Origin.LOAD_REQUEST, null);
  }

  @Test
  void tenCallersCauseOneLoad() {
    engine.held.add(Held.LOAD);
    List<Future<ModelLoad>> callers =
        IntStream.range(0, 10).mapToObj(i -> load(spec("e1"))).toList();
    List<Future<LoadedModel>> users =
        IntStream.range(0, 10).mapToObj(i -> models.forEmbedding("e1", null)).toList();
    assertThat(engine.loads).hasSize(1);
    engine.finish(engine.loads.get(0));
    assertThat(callers)
        .extracting(caller -> now(caller).status())
        .containsOnly(ModelLoad.Status.LOADED);
    assertThat(users).extracting(ModelRegistryTest::now).containsOnly(now(users.get(0)));
    assertThat(now(load(spec("e1"))))
        .isEqualTo(
            new ModelLoad(
                ModelLoad.Status.ALREADY_LOADED,
                "e1",
                ModelType.EMBEDDING,
                4,
                "embedding:e1",
                List.of("embedding:e1")));
    assertThat(engine.loads).hasSize(1);
  }

  @Test
  void tenUsersOfAModelThatIsLookedForCauseOneLoad() {
    engine.held.add(Held.LOAD);
    engine.held.add(Held.CONTROL);
    List<Future<LoadedModel>> users =
        IntStream.range(0, 10).mapToObj(i -> models.forEmbedding("e1", null)).toList();
    for (int i = 0; i < engine.controls.size(); i++) {
      engine.answer(engine.controls.get(i));
    }
    assertThat(engine.loads).hasSize(1);
    engine.finish(engine.loads.get(0));
    assertThat(users).extracting(ModelRegistryTest::now).containsOnly(now(users.get(0)));
  }

  @Test
  void theLoadSaysEverythingToPython() {
    ModelSpec spec =
        new ModelSpec(
            "e1",
            ModelType.EMBEDDING,
            null,
            ModelSpec.Source.HUB,
            null,
            "rev",
            "openvino",
            "f32",
            "cpu",
            128,
            "cls",
            false,
            java.util.Map.of("query", "q: "),
            true,
            null);
    load(spec);
    String loadId = engine.loads.get(0).body().getString("load_id");
    assertThat(loadId).isNotBlank();
    assertThat(engine.controls(Control.LOCATE))
        .containsExactly(
            new JsonObject()
                .put("load_id", loadId)
                .put("name", "e1")
                .put("packaged", new JsonObject())
                .put("source", "hub")
                .put("engine", "openvino")
                .put("precision", "f32")
                .put("revision", "rev")
                .put("allow_hub", false));
    assertThat(engine.loads.get(0).body())
        .isEqualTo(
            new JsonObject()
                .put("load_id", loadId)
                .put("name", "e1")
                .put("type", "embedding")
                .put("path", "/at/e1")
                .put("lanes", 2)
                .put("precision", "f32")
                .put("engine", "openvino")
                .put("device", "cpu")
                .put("enable_gpu", true)
                .put("gpu_memory_fraction", 0.5)
                .put("min_int8_cosine", 0.99)
                .put("prompts", new JsonObject().put("query", "q: "))
                .put("max_tokens", 128)
                .put("pooling", "cls")
                .put("normalize", false));
  }

  @Test
  void otherOptionsDuringALoadAreAConflict() {
    engine.held.add(Held.LOAD);
    Future<ModelLoad> first = load(spec("e1"));
    assertThat(failure(load(spec("e1").withPrecision("f32"))).kind()).isEqualTo(Kind.CONFLICT);
    engine.finish(engine.loads.get(0));
    assertThat(now(first).status()).isEqualTo(ModelLoad.Status.LOADED);
  }

  @Test
  void requestsJoinALoadWithWhateverOptions() {
    now(models.start());
    models.clear(null);
    engine.held.add(Held.LOAD);
    engine.loads.clear();
    Future<ModelLoad> load = load(spec("e1").withPrecision("f32"));
    Future<LoadedModel> byDefault = models.forEmbedding(null, null);
    Future<LoadedModel> byName = models.forEmbedding("e1", null);
    assertThat(engine.loads).hasSize(1);
    engine.finish(engine.loads.get(0));
    assertThat(now(load).status()).isEqualTo(ModelLoad.Status.LOADED);
    assertThat(List.of(now(byDefault), now(byName)))
        .allMatch(model -> model.spec().precision().equals("f32"));
  }

  @Test
  void aFailedLoadIsToldToAllAndTriedAgainNextTime() {
    engine.held.add(Held.LOAD);
    List<Future<ModelLoad>> callers = List.of(load(spec("e1")), load(spec("e1")));
    engine.loads.get(0).promise().fail(RagbusException.of(Kind.PYTHON, "broken file"));
    assertThat(callers).allMatch(caller -> failure(caller).kind() == Kind.PYTHON);
    assertThat(models.list().totalCount()).isZero();
    load(spec("e1"));
    assertThat(engine.loads).hasSize(2);
  }

  @Test
  void aForcedReloadServesTheOldModelUntilTheNewOneIsReady() {
    LoadedModel old = now(models.forEmbedding("e1", null));
    engine.held.add(Held.LOAD);
    Future<ModelLoad> reload = load(spec("e1").withForceReload(true).withPrecision("f32"));
    assertThat(now(models.forEmbedding("e1", null))).isSameAs(old);
    assertThat(now(models.forRanking("e1", null))).isSameAs(old);
    assertThat(now(load(spec("e1"))).status()).isEqualTo(ModelLoad.Status.ALREADY_LOADED);
    assertThat(engine.unloaded()).isEmpty();
    engine.finish(engine.loads.get(1));
    assertThat(now(reload).status()).isEqualTo(ModelLoad.Status.LOADED);
    LoadedModel reloaded = now(models.forEmbedding("e1", null));
    assertThat(reloaded).isNotSameAs(old);
    assertThat(reloaded.spec().precision()).isEqualTo("f32");
    assertThat(engine.unloaded()).containsExactly(old.engineModel().handle());
    now(load(spec("e1")));
    assertThat(engine.loads).hasSize(2);
  }

  @Test
  void aFailedReloadKeepsTheOldModel() {
    LoadedModel old = now(models.forEmbedding("e1", null));
    engine.held.add(Held.LOAD);
    Future<ModelLoad> reload = load(spec("e1").withForceReload(true));
    engine.loads.get(1).promise().fail(RagbusException.of(Kind.PYTHON, "broken file"));
    assertThat(failure(reload).kind()).isEqualTo(Kind.PYTHON);
    assertThat(now(models.forEmbedding("e1", null))).isSameAs(old);
    assertThat(engine.unloaded()).isEmpty();
  }

  @Test
  void aReplacedModelIsUnloadedAfterItsLastUse() {
    LoadedModel old = now(models.forEmbedding("e1", null));
    models.acquire(old);
    now(load(spec("e1").withForceReload(true)));
    assertThat(engine.unloaded()).isEmpty();
    models.release(old);
    assertThat(engine.unloaded()).containsExactly(old.engineModel().handle());
  }

  @Test
  void aClearedModelIsUnloadedAfterItsLastUseAndOnce() {
    LoadedModel used = now(models.forEmbedding("e1", null));
    models.acquire(used);
    models.acquire(used);
    assertThat(models.clear(null))
        .isEqualTo(new ModelsCleared("cleared", List.of("embedding:e1"), List.of()));
    models.release(used);
    assertThat(engine.unloaded()).isEmpty();
    models.release(used);
    assertThat(engine.unloaded()).containsExactly(used.engineModel().handle());
    LoadedModel again = now(models.forEmbedding("e1", null));
    assertThat(again).isNotSameAs(used);
  }

  @Test
  void anUnusedModelIsUnloadedWhenCleared() {
    LoadedModel model = now(models.forEmbedding("e1", null));
    models.acquire(model);
    models.release(model);
    assertThat(engine.unloaded()).isEmpty();
    models.clear("e1");
    assertThat(engine.unloaded()).containsExactly(model.engineModel().handle());
  }

  @Test
  void clearingByNameOrKeyLeavesTheOthers() {
    load(spec("e1"));
    load(spec("e2"));
    load(ModelSpec.of("r1", ModelType.CROSS_ENCODER));
    assertThat(models.clear("embedding:e1").remainingModels())
        .containsExactly("embedding:e2", "cross-encoder:r1");
    assertThat(models.clear("r1").clearedModels()).containsExactly("cross-encoder:r1");
    assertThat(models.clear("nobody"))
        .isEqualTo(new ModelsCleared("cleared", List.of(), List.of("embedding:e2")));
  }

  @Test
  void theFirstThatCanBeHadIsTheDefault() throws IOException {
    models = registry(List.of("gone", "r1", "e2", "e1"), List.of("gone", "e1"), new JsonObject());
    now(models.start());
    assertThat(models.defaults().get("embedding")).isEqualTo("e2");
    assertThat(models.defaults().get("reranker")).isEqualTo("e1");
    assertThat(now(models.forEmbedding(null, null)).name()).isEqualTo("e2");
    assertThat(now(models.forRanking(null, null)).type()).isEqualTo(ModelType.EMBEDDING);
  }

  @Test
  void aModelWhoseLoadFailsIsPassedOver() throws IOException {
    models = registry(List.of("e1", "e2"), List.of(), new JsonObject());
    engine.held.add(Held.LOAD);
    Future<Void> start = models.start();
    engine.loads.get(0).promise().fail(RagbusException.of(Kind.PYTHON, "broken file"));
    engine.finish(engine.loads.get(1));
    now(start);
    assertThat(models.defaults().get("embedding")).isEqualTo("e2");
  }

  @Test
  void withoutAnyDefaultOnlyNamedModelsServe() throws IOException {
    models = registry(List.of("gone"), List.of(), new JsonObject());
    now(models.start());
    assertThat(models.defaults().get("embedding")).isNull();
    assertThat(models.defaults().get("reranker")).isNull();
    assertThat(failure(models.forEmbedding(null, null)).kind()).isEqualTo(Kind.MODEL_NOT_FOUND);
    assertThat(failure(models.forEmbedding(null, null)).getMessage()).contains("models.embedding");
    assertThat(failure(models.forRanking(null, null)).getMessage()).contains("models.reranker");
    assertThat(now(models.forEmbedding("e1", null)).name()).isEqualTo("e1");
  }

  @Test
  void aNamedModelIsUsedOrRefusedNeverReplaced() {
    now(models.start());
    assertThat(failure(models.forEmbedding("gone", null)).kind()).isEqualTo(Kind.MODEL_NOT_FOUND);
    assertThat(failure(models.forRanking("gone", null)).kind()).isEqualTo(Kind.MODEL_NOT_FOUND);
    assertThat(now(models.forEmbedding("e2", null)).name()).isEqualTo("e2");
  }

  @Test
  void aModelOfTheWrongTypeIsRefused() {
    RagbusException unloaded = failure(models.forEmbedding("r1", null));
    assertThat(unloaded.kind()).isEqualTo(Kind.TYPE_CONVERSION);
    assertThat(unloaded.getMessage()).contains("r1", "cross-encoder");
    now(models.forRanking("r1", null));
    assertThat(failure(models.forEmbedding("r1", null)).kind()).isEqualTo(Kind.TYPE_CONVERSION);
  }

  @Test
  void anExplicitLoadOfTheWrongTypeIsRefused() {
    RagbusException failure = failure(load(spec("r1")));
    assertThat(failure.kind()).isEqualTo(Kind.TYPE_CONVERSION);
    assertThat(failure.getMessage()).contains("r1", "cross-encoder");
    assertThat(engine.loads).isEmpty();
    assertThat(failure(load(ModelSpec.of("e1", ModelType.CROSS_ENCODER))).kind())
        .isEqualTo(Kind.TYPE_CONVERSION);
  }

  @Test
  void aDefaultModelThatWasClearedIsLoadedAgain() {
    now(models.start());
    LoadedModel first = now(models.forEmbedding(null, null));
    models.clear(null);
    assertThat(models.list().totalCount()).isZero();
    LoadedModel second = now(models.forEmbedding(null, null));
    assertThat(second.name()).isEqualTo("e1");
    assertThat(second).isNotSameAs(first);
    assertThat(now(models.forRanking(null, null)).name()).isEqualTo("r1");
  }

  @Test
  void preloadedModelsKeepTheirOptionsAsDefaultsToo() throws IOException {
    JsonArray preload =
        new JsonArray().add(new JsonObject().put("model_name", "e1").put("precision", "f32"));
    models = registry(List.of("e1"), List.of(), new JsonObject().put("preload", preload));
    now(models.start());
    assertThat(engine.loads).hasSize(1);
    assertThat(now(models.forEmbedding(null, null)).spec().precision()).isEqualTo("f32");
    models.clear(null);
    assertThat(now(models.forEmbedding(null, null)).spec().precision()).isEqualTo("f32");
  }

  @Test
  void aPackagedModelHasOneNameWhateverItIsCalled() {
    LoadedModel model = now(models.forEmbedding("org/tiny", null));
    assertThat(model.name()).isEqualTo("tiny");
    assertThat(now(models.forEmbedding("tiny", null))).isSameAs(model);
    assertThat(now(load(spec("org/tiny"))).cacheKey()).isEqualTo("embedding:tiny");
    assertThat(models.get("org/tiny").cacheKey()).isEqualTo("embedding:tiny");
    assertThat(engine.loads).hasSize(1);
    assertThat(engine.controls(Control.LOCATE).get(0).getJsonObject("packaged").getString("tiny"))
        .startsWith(folder.resolve("cache").toString());
    assertThat(models.clear("org/tiny").clearedModels()).containsExactly("embedding:tiny");
  }

  @Test
  void onlyALoadMayFetchFromTheHubUnlessAllowed() throws IOException {
    engine.hub.put("h1", "embedding");
    engine.hub.put("h2", "embedding");
    models =
        registry(List.of(), List.of(), new JsonObject().put("allow", new JsonArray().add("h2")));
    assertThat(failure(models.forEmbedding("h1", null)).kind()).isEqualTo(Kind.MODEL_NOT_FOUND);
    assertThat(engine.controls(Control.FETCH)).isEmpty();
    now(models.forEmbedding("h2", null));
    now(load(spec("h1")));
    assertThat(engine.controls(Control.FETCH))
        .extracting(body -> body.getString("name"))
        .containsExactly("h2", "h1");
    models = registry(List.of(), List.of(), new JsonObject().put("offline", true));
    assertThat(failure(load(spec("h1"))).kind()).isEqualTo(Kind.MODEL_NOT_FOUND);
    assertThat(engine.controls(Control.FETCH)).hasSize(2);
  }

  @Test
  void theHubIsAskedForNothingThatIsHere() {
    now(load(spec("e1")));
    assertThat(engine.controls(Control.LOCATE)).hasSize(1);
    assertThat(engine.controls(Control.FETCH)).isEmpty();
    engine.hub.put("h1", "embedding");
    for (ModelSpec.Source source : List.of(ModelSpec.Source.LOCAL, ModelSpec.Source.PACKAGED)) {
      JsonObject body =
          new JsonObject()
              .put("model_name", "h1")
              .put("source", source.name().toLowerCase(Locale.ROOT));
      failure(load(JsonBodies.parse(body, ModelSpec.class)));
    }
    assertThat(engine.controls(Control.FETCH)).isEmpty();
  }

  private static ModelSpec at(String path) {
    return new ModelSpec(
        "e1",
        null,
        null,
        ModelSpec.Source.LOCAL,
        path,
        null,
        null,
        null,
        null,
        null,
        null,
        null,
        null,
        null,
        null);
  }

  @Test
  void aPathOfARequestStaysInTheFolderOfModels() throws IOException {
    Path dir = Files.createDirectories(folder.resolve("models"));
    Path own = Files.createDirectories(dir.resolve("own"));
    Path outside = Files.createDirectories(folder.resolve("models-outside"));
    Files.createSymbolicLink(dir.resolve("link"), outside);
    Files.writeString(dir.resolve("file"), "");
    models = registry(List.of(), List.of(), new JsonObject().put("dir", dir.toString()));
    now(load(at("own")));
    assertThat(engine.controls(Control.LOCATE).get(0).getString("path"))
        .isEqualTo(own.toRealPath().toString());
    for (String path : List.of("..", "../models-outside", outside.toString(), "link", "/etc")) {
      assertThat(failure(load(at(path).withForceReload(true))).kind())
          .as(path)
          .isEqualTo(Kind.FORBIDDEN);
    }
    for (String path : List.of("none", "a\0b", "x".repeat(5_000), "file/below")) {
      assertThat(failure(load(at(path).withForceReload(true))).kind())
          .as(path)
          .isEqualTo(Kind.MODEL_NOT_FOUND);
    }
    assertThat(engine.loads).hasSize(1);
  }

  @Test
  void aPathNeedsAFolderOfModelsUnlessItIsConfigured() {
    assertThat(failure(load(at("own"))).kind()).isEqualTo(Kind.FORBIDDEN);
    now(models.load(at("/anywhere"), Origin.CONFIGURATION, null));
    assertThat(engine.controls(Control.LOCATE).get(0).getString("path")).isEqualTo("/anywhere");
  }

  @Test
  void describesTheLoadedModels() {
    now(models.forEmbedding("e1", null));
    LoadedModel reranker = now(models.forRanking("r1", null));
    time.advanceMillis(500);
    models.acquire(reranker);
    time.advanceMillis(1_000);
    assertThat(models.list().cachedModels())
        .containsExactly(
            new ModelInfo(
                "e1",
                ModelType.EMBEDDING,
                "embedding:e1",
                4,
                "mean",
                null,
                64,
                "fake",
                "f32",
                "ready",
                1_000,
                5,
                1_500,
                null,
                null),
            new ModelInfo(
                "r1",
                ModelType.CROSS_ENCODER,
                "cross-encoder:r1",
                null,
                null,
                List.of("LABEL_0"),
                64,
                "fake",
                "f32",
                "ready",
                1_000,
                5,
                0,
                null,
                null));
    assertThat(models.list().totalCount()).isEqualTo(2);
    assertThat(models.get("cross-encoder:r1").modelName()).isEqualTo("r1");
  }

  @Test
  void aModelThatIsNotLoadedCannotBeDescribed() {
    RagbusException unknown = catchThrowableOfType(RagbusException.class, () -> models.get("gone"));
    assertThat(unknown.kind()).isEqualTo(Kind.MODEL_NOT_FOUND);
    RagbusException missing = catchThrowableOfType(RagbusException.class, () -> models.get(null));
    assertThat(missing.kind()).isEqualTo(Kind.INVALID);
    assertThat(missing.getMessage()).contains("model");
  }

  @Test
  void aFailureToUnloadTroublesNobody() {
    now(models.forEmbedding("e1", null));
    engine.held.add(Held.CONTROL);
    models.clear(null);
    engine
        .controls
        .get(engine.controls.size() - 1)
        .promise()
        .fail(RagbusException.of(Kind.PYTHON, "odd"));
    assertThat(models.list().totalCount()).isZero();
  }

  private ModelRegistry caching(int maxModels, String timeout) throws IOException {
    RagbusOptions options =
        FakeEngine.options(
            new JsonObject()
                .put(
                    "python",
                    new JsonObject()
                        .put("max_cached_models", maxModels)
                        .put("model_cache_timeout", timeout))
                .put(
                    "models",
                    new JsonObject()
                        .put("embedding", new JsonArray().add("e1"))
                        .put("reranker", new JsonArray().add("e1"))));
    return new ModelRegistry(engine, options, packaged(), ManualTime.context(), time::nanos);
  }

  private List<String> keys() {
    return models.list().cachedModels().stream().map(ModelInfo::cacheKey).toList();
  }

  private LoadedModel used(String name) {
    time.advanceMillis(1);
    LoadedModel model = now(models.forRanking(name, null));
    models.acquire(model);
    models.release(model);
    return model;
  }

  @Test
  void theLeastRecentlyUsedModelGoesWhenAnotherIsLoaded() throws IOException {
    models = caching(2, "1h");
    used("e1");
    LoadedModel second = used("e2");
    used("e1");
    used("r1");
    assertThat(keys()).containsExactly("embedding:e1", "cross-encoder:r1");
    assertThat(engine.unloaded()).containsExactly(second.engineModel().handle());
    assertThat(models.stats().evictions()).isOne();
  }

  @Test
  void aModelInUseIsNotEvictedNorOneUsedMoreRecentlyInItsPlace() throws IOException {
    models = caching(2, "1s");
    LoadedModel busy = now(models.forEmbedding("e1", null));
    models.acquire(busy);
    used("e2");
    used("r1");
    time.advanceMillis(900);
    models.tick();
    assertThat(keys()).containsExactly("embedding:e1", "embedding:e2", "cross-encoder:r1");
    models.release(busy);
    assertThat(engine.unloaded()).isEmpty();
    models.tick();
    assertThat(keys()).containsExactly("embedding:e1", "cross-encoder:r1");
  }

  @Test
  void anIdleModelGoesAfterItsTime() throws IOException {
    models = caching(5, "1h");
    LoadedModel idle = used("e1");
    LoadedModel busy = now(models.forEmbedding("e2", null));
    models.acquire(busy);
    time.advanceMillis(3_599_999);
    models.tick();
    assertThat(keys()).hasSize(2);
    time.advanceMillis(1);
    models.tick();
    assertThat(keys()).containsExactly("embedding:e2");
    assertThat(engine.unloaded()).containsExactly(idle.engineModel().handle());
    models.release(busy);
    time.advanceMillis(3_599_999);
    models.tick();
    assertThat(keys()).containsExactly("embedding:e2");
  }

  @Test
  void aPinnedModelNeverGoesAndDoesNotCount() throws IOException {
    models = caching(1, "1s");
    JsonObject pinned = new JsonObject().put("model_name", "e2").put("pinned", true);
    now(load(JsonBodies.parse(pinned, ModelSpec.class)));
    used("e1");
    assertThat(keys()).containsExactly("embedding:e2", "embedding:e1");
    used("r1");
    assertThat(keys()).containsExactly("embedding:e2", "cross-encoder:r1");
    time.advanceMillis(10_000);
    models.tick();
    assertThat(keys()).containsExactly("embedding:e2");
    assertThat(models.clear(null).remainingModels()).containsExactly("embedding:e2");
    assertThat(models.clear("e2").remainingModels()).isEmpty();
  }

  @Test
  void anEvictedDefaultModelIsLoadedAgainWhenItIsUsed() throws IOException {
    models = caching(5, "1s");
    now(models.start());
    time.advanceMillis(1_000);
    models.tick();
    assertThat(keys()).isEmpty();
    assertThat(models.defaults().get("embedding")).isEqualTo("e1");
    assertThat(now(models.forEmbedding(null, null)).name()).isEqualTo("e1");
    assertThat(keys()).containsExactly("embedding:e1");
  }

  @Test
  void anEvictedModelComesBackAsItWasLoadedAClearedOneDoesNot() throws IOException {
    models = caching(5, "1s");
    now(load(spec("e1").withPrecision("f32")));
    time.advanceMillis(1_000);
    models.tick();
    assertThat(now(models.forEmbedding("e1", null)).spec().precision()).isEqualTo("f32");
    models.clear("e1");
    assertThat(now(models.forEmbedding("e1", null)).spec().precision()).isEqualTo("auto");
  }

  @Test
  void aConfiguredModelComesBackAsConfiguredEvenWhenCleared() throws IOException {
    JsonArray preload =
        new JsonArray()
            .add(
                new JsonObject()
                    .put("model_name", "e2")
                    .put("source", "local")
                    .put("path", "/anywhere"));
    models = registry(List.of("e1"), List.of(), new JsonObject().put("preload", preload));
    now(models.start());
    models.clear(null);
    assertThat(now(models.forEmbedding("e2", null)).spec().path()).isEqualTo("/anywhere");
  }

  @Test
  void hitsMissesAndLoadsAreCounted() {
    now(models.forEmbedding("e1", null));
    now(models.forEmbedding("e1", null));
    now(models.forRanking("e1", null));
    now(load(spec("e2")));
    failure(models.forEmbedding("gone", null));
    assertThat(models.stats()).isEqualTo(new Stats.ModelCache(2, 2, 2, 1, 0, 0, 10));
  }

  @Test
  void anAliasAndAKeyMadeOfOneNameTheModel() {
    now(models.forEmbedding("tiny", null));
    assertThat(models.get("embedding:org/tiny").modelName()).isEqualTo("tiny");
    assertThat(models.clear("cross-encoder:org/tiny").clearedModels()).isEmpty();
    assertThat(models.clear("embedding:org/tiny").clearedModels())
        .containsExactly("embedding:tiny");
  }

  @Test
  void aModelBeingLoadedIsListedWithItsProgress() {
    engine.held.add(Held.LOAD);
    load(spec("e1").withPrecision("f32"));
    time.advanceMillis(40);
    assertThat(models.list().cachedModels())
        .containsExactly(
            new ModelInfo(
                "e1",
                ModelType.EMBEDDING,
                "embedding:e1",
                null,
                null,
                null,
                0,
                "auto",
                "f32",
                "loading",
                0,
                40,
                0,
                new ModelInfo.Progress("waiting", null, 0, 0),
                null));
    assertThat(models.list().totalCount()).isOne();
    engine.progress =
        new JsonObject()
            .put("phase", "downloading")
            .put("file", "model.onnx")
            .put("done_bytes", 3)
            .put("total_bytes", 9);
    models.tick();
    assertThat(engine.controls(Control.PROGRESS))
        .containsExactly(
            new JsonObject().put("load_id", engine.loads.get(0).body().getString("load_id")));
    assertThat(models.get("e1").progress())
        .isEqualTo(new ModelInfo.Progress("downloading", "model.onnx", 3, 9));
    engine.finish(engine.loads.get(0));
    assertThat(models.get("e1").state()).isEqualTo("ready");
    assertThat(models.get("e1").progress()).isNull();
    models.tick();
    assertThat(engine.controls(Control.PROGRESS)).hasSize(1);
  }

  @Test
  void progressIsAskedForOneAtATimeAndItsFailureTroublesNobody() {
    engine.held.add(Held.LOAD);
    load(spec("e1"));
    engine.held.add(Held.CONTROL);
    models.tick();
    models.tick();
    assertThat(engine.controls(Control.PROGRESS)).hasSize(1);
    engine
        .controls
        .get(engine.controls.size() - 1)
        .promise()
        .fail(RagbusException.of(Kind.LANE_LOST, "gone"));
    models.tick();
    assertThat(engine.controls(Control.PROGRESS)).hasSize(2);
    assertThat(models.get("e1").progress().phase()).isEqualTo("waiting");
  }

  @Test
  void aModelLoadedAgainIsReadyWithProgress() {
    now(load(spec("e1")));
    engine.held.add(Held.LOAD);
    load(spec("e1").withForceReload(true));
    models.tick();
    assertThat(keys()).containsExactly("embedding:e1");
    assertThat(models.get("e1").state()).isEqualTo("ready");
    assertThat(models.get("e1").progress().phase()).isEqualTo("loading");
  }

  @Test
  void clearingAModelThatIsBeingLoadedCancelsTheLoad() {
    engine.held.add(Held.LOAD);
    List<Future<?>> callers =
        List.of(load(spec("e1")), load(spec("e1")), models.forRanking("e1", null));
    String loadId = engine.loads.get(0).body().getString("load_id");
    assertThat(models.clear("e1").clearedModels()).containsExactly("embedding:e1");
    assertThat(callers).allMatch(caller -> failure(caller).kind() == Kind.CANCELLED);
    assertThat(engine.controls(Control.CANCEL_LOAD))
        .containsExactly(new JsonObject().put("load_id", loadId));
    assertThat(keys()).isEmpty();
    Future<ModelLoad> again = load(spec("e1"));
    assertThat(engine.loads).hasSize(2);
    engine.finish(engine.loads.get(1));
    assertThat(now(again).status()).isEqualTo(ModelLoad.Status.LOADED);
    LoadedModel second = now(models.forEmbedding("e1", null));
    engine.finish(engine.loads.get(0));
    assertThat(now(models.forEmbedding("e1", null))).isSameAs(second);
    assertThat(engine.unloaded()).containsExactly(second.engineModel().handle() + 1);
    assertThat(models.stats().cancelledLoads()).isOne();
    assertThat(models.stats().failedLoads()).isZero();
  }

  @Test
  void clearingAllLeavesLoadsAlone() {
    engine.held.add(Held.LOAD);
    Future<ModelLoad> caller = load(spec("e1"));
    assertThat(models.clear(null).clearedModels()).isEmpty();
    engine.finish(engine.loads.get(0));
    now(caller);
  }

  @Test
  void closingEndsLoads() {
    now(load(spec("e2")));
    engine.held.add(Held.LOAD);
    Future<ModelLoad> caller = load(spec("e1"));
    models.close();
    assertThat(failure(caller).kind()).isEqualTo(Kind.UNAVAILABLE);
    assertThat(engine.controls(Control.CANCEL_LOAD)).hasSize(1);
    assertThat(keys()).isEmpty();
  }

  @Test
  void aLoadIsCancelledWithTheLastOfItsCallers() {
    engine.held.add(Held.LOAD);
    Future<ModelLoad> first = models.load(spec("e1"), Origin.LOAD_REQUEST, "first");
    Future<ModelLoad> second = models.load(spec("e1"), Origin.LOAD_REQUEST, "second");
    models.cancel("stranger");
    models.cancel("first");
    assertThat(failure(first).kind()).isEqualTo(Kind.CANCELLED);
    assertThat(engine.controls(Control.CANCEL_LOAD)).isEmpty();
    assertThat(second.isComplete()).isFalse();
    models.cancel("second");
    assertThat(failure(second).kind()).isEqualTo(Kind.CANCELLED);
    assertThat(engine.controls(Control.CANCEL_LOAD)).hasSize(1);
    engine.loads.get(0).promise().fail(RagbusException.of(Kind.CANCELLED, "at a checkpoint"));
    assertThat(keys()).isEmpty();
  }

  @Test
  void aRequestThatWaitsForItsModelIsCancelledAndTheLoadWithTheLastOfThem() {
    engine.held.add(Held.LOAD);
    Future<LoadedModel> embedding = models.forEmbedding("e1", "embed");
    Future<LoadedModel> ranking = models.forRanking("e1", "rank");
    models.cancel("embed");
    assertThat(failure(embedding).kind()).isEqualTo(Kind.CANCELLED);
    assertThat(engine.controls(Control.CANCEL_LOAD)).isEmpty();
    models.cancel("rank");
    assertThat(failure(ranking).kind()).isEqualTo(Kind.CANCELLED);
    assertThat(engine.controls(Control.CANCEL_LOAD)).hasSize(1);
  }

  @Test
  void aLoadThatOthersWaitForGoesOn() {
    engine.held.add(Held.LOAD);
    Future<ModelLoad> caller = models.load(spec("e1"), Origin.LOAD_REQUEST, "id");
    Future<LoadedModel> user = models.forEmbedding("e1", null);
    models.cancel("id");
    assertThat(failure(caller).kind()).isEqualTo(Kind.CANCELLED);
    engine.finish(engine.loads.get(0));
    assertThat(now(user).name()).isEqualTo("e1");
  }

  @Test
  void anUntypedUseAndATypedOneMeetInOneLoad() {
    engine.held.add(Held.CONTROL);
    engine.held.add(Held.LOAD);
    Future<LoadedModel> ranking = models.forRanking("r1", null);
    Future<LoadedModel> embedding = models.forEmbedding("r1", null);
    Future<ModelLoad> load = load(ModelSpec.of("r1", ModelType.CROSS_ENCODER));
    assertThat(engine.controls).hasSize(1);
    engine.answer(engine.controls.get(0));
    engine.finish(engine.loads.get(0));
    assertThat(now(ranking).type()).isEqualTo(ModelType.CROSS_ENCODER);
    assertThat(failure(embedding).kind()).isEqualTo(Kind.TYPE_CONVERSION);
    assertThat(now(load).cacheKey()).isEqualTo("cross-encoder:r1");
  }

  @Test
  void anotherPrecisionOfALoadedModelChangesNothing() {
    now(load(spec("e1")));
    ModelLoad again = now(load(spec("e1").withPrecision("f32")));
    assertThat(again.status()).isEqualTo(ModelLoad.Status.ALREADY_LOADED);
    assertThat(now(models.forEmbedding("e1", null)).spec().precision()).isEqualTo("auto");
  }
}
