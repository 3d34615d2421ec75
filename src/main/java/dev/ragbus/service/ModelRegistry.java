package dev.ragbus.service;

import dev.ragbus.ModelInfo;
import dev.ragbus.ModelList;
import dev.ragbus.ModelLoad;
import dev.ragbus.ModelSpec;
import dev.ragbus.ModelType;
import dev.ragbus.ModelsCleared;
import dev.ragbus.RagbusException;
import dev.ragbus.RagbusException.Kind;
import dev.ragbus.RagbusOptions;
import dev.ragbus.python.Engine;
import dev.ragbus.python.environment.PackagedModels;
import io.vertx.core.Context;
import io.vertx.core.Future;
import io.vertx.core.json.JsonObject;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.LongSupplier;

/**
 * The models of a deployment: which are loaded, which are being loaded, which one a request means.
 *
 * <p>Belongs to the service's event loop. A model that is cleared or replaced is forgotten at once
 * and unloaded when the last job that uses it has ended.
 */
final class ModelRegistry {
  private static final System.Logger LOG = System.getLogger(ModelRegistry.class.getName());

  private final Engine engine;
  private final RagbusOptions options;
  private final PackagedModels packaged;
  private final Context context;
  private final LongSupplier nanoClock;
  private final Map<String, String> canonicalNames = new HashMap<>();
  private final Map<String, LoadedModel> loaded = new LinkedHashMap<>();
  private final Map<String, Loading> loading = new LinkedHashMap<>();
  private ModelSpec defaultEmbedding;
  private Future<ModelSpec> defaultReranker = Future.succeededFuture();

  /** A load under way, which later callers join. */
  private record Loading(ModelSpec spec, Future<LoadedModel> result) {}

  /** Where a model was found and what its folder says it is. */
  private record Located(String path, ModelType type) {}

  /** Who asks for a model decides where it may come from. */
  enum Origin {
    /** The deployment's own configuration. */
    CONFIGURATION,
    /** An explicit load. */
    LOAD_REQUEST,
    /** Another request that names a model. */
    USE
  }

  ModelRegistry(
      Engine engine,
      RagbusOptions options,
      PackagedModels packaged,
      Context context,
      LongSupplier nanoClock) {
    this.engine = engine;
    this.options = options;
    this.packaged = packaged;
    this.context = context;
    this.nanoClock = nanoClock;
    packaged
        .names()
        .forEach((name, aliases) -> aliases.forEach(alias -> canonicalNames.put(alias, name)));
  }

  /**
   * Loads what the configuration names, and settles the default models for good. Completes without
   * waiting for the default reranker: the hub may be asked for it, which may never answer, and only
   * those who rank should wait for that.
   */
  Future<Void> start() {
    List<Future<?>> work = new ArrayList<>();
    for (ModelSpec spec : options.models().preload()) {
      work.add(load(spec, Origin.CONFIGURATION));
    }
    Future<LoadedModel> embedding =
        firstOf(options.models().embedding(), 0, ModelType.EMBEDDING, new ArrayList<>())
            .onSuccess(model -> defaultEmbedding = specOf(model));
    work.add(embedding);
    defaultReranker =
        embedding
            .transform(done -> firstOf(options.models().reranker(), 0, null, new ArrayList<>()))
            .map(ModelRegistry::specOf);
    return Future.all(work).mapEmpty();
  }

  private static ModelSpec specOf(LoadedModel model) {
    return model == null ? null : model.spec();
  }

  /** The first model of a preference list that can be had; null when there is none. */
  private Future<LoadedModel> firstOf(
      List<String> names, int index, ModelType type, List<String> reasons) {
    if (index == names.size()) {
      if (!names.isEmpty()) {
        LOG.log(System.Logger.Level.WARNING, "none of {0} can be had: {1}", names, reasons);
      }
      return Future.succeededFuture();
    }
    String name = names.get(index);
    return typed(canonical(name), type, Origin.CONFIGURATION)
        .compose(spec -> loadModel(spec, Origin.CONFIGURATION))
        .onSuccess(
            model ->
                LOG.log(
                    System.Logger.Level.INFO,
                    "default {0}: {1} ({2}, {3})",
                    type == null ? "reranker" : "embedding model",
                    name,
                    model.engineModel().engine(),
                    model.engineModel().precision()))
        .recover(
            failure -> {
              LOG.log(
                  System.Logger.Level.INFO, "{0} is passed over: {1}", name, failure.getMessage());
              reasons.add(failure.getMessage());
              return firstOf(names, index + 1, type, reasons);
            });
  }

  /** The model that embeds for a request: the named one, or the default for null. */
  Future<LoadedModel> forEmbedding(String name) {
    if (name == null) {
      return ofDefault(defaultEmbedding, "models.embedding");
    }
    String canonical = canonical(name);
    if (find(canonical, ModelType.EMBEDDING) == null
        && find(canonical, ModelType.CROSS_ENCODER) != null) {
      return Future.failedFuture(wrongType(name, ModelType.CROSS_ENCODER, "embed"));
    }
    return typed(canonical, ModelType.EMBEDDING, Origin.USE).compose(spec -> use(spec, Origin.USE));
  }

  /** The model that ranks for a request: the named one, or the default for null. */
  Future<LoadedModel> forRanking(String name) {
    if (name == null) {
      return defaultReranker.compose(spec -> ofDefault(spec, "models.reranker"));
    }
    return typed(canonical(name), null, Origin.USE).compose(spec -> use(spec, Origin.USE));
  }

  private Future<LoadedModel> ofDefault(ModelSpec spec, String key) {
    if (spec == null) {
      return Future.failedFuture(
          RagbusException.of(
              Kind.MODEL_NOT_FOUND, "no model was named and none of " + key + " could be had"));
    }
    return use(spec, Origin.CONFIGURATION);
  }

  /** A model as it is loaded or being loaded, with whatever options; else it is loaded now. */
  private Future<LoadedModel> use(ModelSpec spec, Origin origin) {
    Loading underWay = loading.get(spec.cacheKey());
    return underWay == null || loaded.containsKey(spec.cacheKey())
        ? loadModel(spec, origin)
        : underWay.result;
  }

  /** The name of the default embedding model; null where there is none. */
  String defaultEmbedding() {
    return defaultEmbedding == null ? null : defaultEmbedding.modelName();
  }

  /** The name of the default reranker; null where there is none, or none yet. */
  String defaultReranker() {
    ModelSpec spec = defaultReranker.result();
    return spec == null ? null : spec.modelName();
  }

  /** A name and what it is used for, as a spec; without a type, the model's own decides. */
  private Future<ModelSpec> typed(String name, ModelType type, Origin origin) {
    for (ModelType known : type == null ? ModelType.values() : new ModelType[] {type}) {
      LoadedModel model = find(name, known);
      if (model != null) {
        return Future.succeededFuture(model.spec());
      }
      Loading underWay = loading.get(known.cacheKey(name));
      if (underWay != null) {
        return Future.succeededFuture(underWay.spec);
      }
    }
    ModelSpec unknown = ModelSpec.of(name, type);
    return locate(unknown, origin)
        .compose(
            located ->
                type != null && located.type != type
                    ? Future.failedFuture(wrongType(name, located.type, type.wireName()))
                    : Future.succeededFuture(ModelSpec.of(name, located.type)));
  }

  private static RagbusException wrongType(String name, ModelType is, String use) {
    return RagbusException.of(
        Kind.TYPE_CONVERSION,
        "model '" + name + "' is of type " + is.wireName() + " and cannot be used for " + use);
  }

  /** Loads a model, or tells that it is loaded. */
  Future<ModelLoad> load(ModelSpec requested, Origin origin) {
    ModelSpec spec = requested.withModelName(canonical(requested.modelName()));
    boolean before = loaded.containsKey(spec.cacheKey()) && !spec.forceReload();
    return loadModel(spec, origin)
        .map(
            model ->
                new ModelLoad(
                    before ? ModelLoad.Status.ALREADY_LOADED : ModelLoad.Status.LOADED,
                    model.name(),
                    model.type(),
                    model.engineModel().dimensions(),
                    spec.cacheKey(),
                    List.copyOf(loaded.keySet())));
  }

  private Future<LoadedModel> loadModel(ModelSpec spec, Origin origin) {
    String key = spec.cacheKey();
    LoadedModel ready = loaded.get(key);
    if (ready != null && !spec.forceReload()) {
      return Future.succeededFuture(ready);
    }
    Loading underWay = loading.get(key);
    if (underWay != null) {
      return underWay.spec.sameOptions(spec)
          ? underWay.result
          : Future.failedFuture(
              RagbusException.of(
                  Kind.CONFLICT, "'" + key + "' is being loaded with other options"));
    }
    Future<LoadedModel> result = locate(spec, origin).compose(located -> loadFrom(spec, located));
    if (!result.isComplete()) {
      loading.put(key, new Loading(spec, result));
      result.onComplete(done -> loading.remove(key));
    }
    return result;
  }

  private Future<LoadedModel> loadFrom(ModelSpec spec, Located located) {
    if (located.type != spec.modelType()) {
      return Future.failedFuture(
          wrongType(spec.modelName(), located.type, spec.modelType().wireName()));
    }
    JsonObject body =
        new JsonObject()
            .put("name", spec.modelName())
            .put("type", spec.modelType().wireName())
            .put("path", located.path)
            .put("lanes", engine.inferenceLanes())
            .put("precision", spec.precision())
            .put("engine", spec.engine())
            .put("device", spec.device())
            .put("enable_gpu", options.python().enableGpu())
            .put("gpu_memory_fraction", options.python().gpuMemoryFraction())
            .put("prompts", new JsonObject(new LinkedHashMap<>(spec.prompts())));
    putIfPresent(body, "max_tokens", spec.maxTokens());
    putIfPresent(body, "pooling", spec.pooling());
    putIfPresent(body, "normalize", spec.normalize());
    return engine.load(body).map(described -> install(spec, described));
  }

  private LoadedModel install(ModelSpec spec, Engine.Model described) {
    LoadedModel model =
        new LoadedModel(spec.withForceReload(false), described, nanoClock.getAsLong());
    LoadedModel old = loaded.put(spec.cacheKey(), model);
    if (old != null) {
      retire(old);
    }
    LOG.log(
        System.Logger.Level.INFO,
        "loaded {0} in {1} ms ({2}, {3})",
        spec.cacheKey(),
        described.loadMillis(),
        described.engine(),
        described.precision());
    return model;
  }

  private Future<Located> locate(ModelSpec spec, Origin origin) {
    boolean mayFetch = origin != Origin.USE || options.models().allow().contains(spec.modelName());
    return context
        .executeBlocking(() -> folders(spec, origin), false)
        .compose(
            body -> {
              body.put("allow_hub", mayFetch && !options.models().offline());
              return engine.control(Engine.Control.LOCATE, body);
            })
        .map(
            found ->
                new Located(
                    found.getString("path"),
                    found.getString("type").equals(ModelType.CROSS_ENCODER.wireName())
                        ? ModelType.CROSS_ENCODER
                        : ModelType.EMBEDDING));
  }

  /** What Python needs to find a model; touches the disk, so it runs on a worker thread. */
  private JsonObject folders(ModelSpec spec, Origin origin) throws IOException {
    JsonObject folders = new JsonObject();
    Optional<Path> own = packaged.folder(spec.modelName());
    own.ifPresent(folder -> folders.put(spec.modelName(), folder.toString()));
    JsonObject body =
        new JsonObject()
            .put("name", spec.modelName())
            .put("packaged", folders)
            .put("source", spec.source().name().toLowerCase(java.util.Locale.ROOT));
    putIfPresent(body, "revision", spec.revision());
    putIfPresent(body, "models_dir", options.models().dir());
    if (spec.path() != null) {
      body.put("path", confined(spec.path(), origin).toString());
    }
    return body;
  }

  /** A folder named by a request must lie in the folder of models. */
  private Path confined(String path, Origin origin) throws IOException {
    if (origin == Origin.CONFIGURATION) {
      return Path.of(path).toAbsolutePath();
    }
    if (options.models().dir() == null) {
      throw RagbusException.of(Kind.FORBIDDEN, "path needs [models] dir, which is not set");
    }
    try {
      Path folder = Path.of(options.models().dir()).toRealPath();
      Path wanted = folder.resolve(path).toRealPath();
      if (wanted.startsWith(folder)) {
        return wanted;
      }
    } catch (java.nio.file.FileSystemException | java.nio.file.InvalidPathException missing) {
      throw RagbusException.of(Kind.MODEL_NOT_FOUND, "path names no folder in [models] dir");
    }
    throw RagbusException.of(Kind.FORBIDDEN, "path leads out of [models] dir");
  }

  private static void putIfPresent(JsonObject body, String key, Object value) {
    if (value != null) {
      body.put(key, value);
    }
  }

  /** {@code sentence-transformers/X} and {@code X} are one model where X is packaged. */
  private String canonical(String name) {
    return canonicalNames.getOrDefault(name, name);
  }

  private LoadedModel find(String name, ModelType type) {
    return loaded.get(type.cacheKey(name));
  }

  /** A job begins to use a model. */
  void acquire(LoadedModel model) {
    model.acquire(nanoClock.getAsLong());
  }

  /** A job that used a model has ended. */
  void release(LoadedModel model) {
    if (model.release()) {
      unload(model);
    }
  }

  private void retire(LoadedModel model) {
    if (model.retire()) {
      unload(model);
    }
  }

  private void unload(LoadedModel model) {
    engine
        .control(
            Engine.Control.UNLOAD, new JsonObject().put("handle", model.engineModel().handle()))
        .onFailure(
            failure ->
                LOG.log(
                    System.Logger.Level.WARNING,
                    "unloading {0}: {1}",
                    model.name(),
                    failure.getMessage()));
  }

  /** The loaded models. */
  ModelList list() {
    long now = nanoClock.getAsLong();
    List<ModelInfo> infos = new ArrayList<>();
    loaded.values().forEach(model -> infos.add(model.info(now)));
    return new ModelList(List.copyOf(infos), infos.size());
  }

  /** One loaded model, by name or cache key. */
  ModelInfo get(String nameOrKey) {
    return matching(nameOrKey).stream()
        .findFirst()
        .map(key -> loaded.get(key).info(nanoClock.getAsLong()))
        .orElseThrow(
            () ->
                RagbusException.of(
                    Kind.MODEL_NOT_FOUND,
                    "no model '" + nameOrKey + "' is loaded; loaded are " + loaded.keySet()));
  }

  /** Forgets models by name or cache key, or all of them for null. */
  ModelsCleared clear(String nameOrKey) {
    List<String> keys = nameOrKey == null ? List.copyOf(loaded.keySet()) : matching(nameOrKey);
    keys.forEach(key -> retire(loaded.remove(key)));
    return new ModelsCleared("cleared", keys, List.copyOf(loaded.keySet()));
  }

  private List<String> matching(String nameOrKey) {
    if (nameOrKey == null) {
      throw RagbusException.invalid("model is required");
    }
    String canonical = canonical(nameOrKey);
    return loaded.entrySet().stream()
        .filter(e -> e.getKey().equals(nameOrKey) || e.getValue().name().equals(canonical))
        .map(Map.Entry::getKey)
        .toList();
  }
}
