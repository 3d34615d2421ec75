// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import dev.ragbus.JsonBodies;
import dev.ragbus.ModelInfo;
import dev.ragbus.ModelList;
import dev.ragbus.ModelLoad;
import dev.ragbus.ModelSpec;
import dev.ragbus.ModelType;
import dev.ragbus.ModelsCleared;
import dev.ragbus.RagbusException;
import dev.ragbus.RagbusException.Kind;
import dev.ragbus.RagbusOptions;
import dev.ragbus.Stats;
import dev.ragbus.python.Engine;
import dev.ragbus.python.environment.PackagedModels;
import dev.ragbus.service.ModelLocator.Located;
import dev.ragbus.service.ModelLocator.Origin;
import io.vertx.core.AsyncResult;
import io.vertx.core.Context;
import io.vertx.core.Future;
import io.vertx.core.json.JsonObject;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.function.LongSupplier;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * The models of a deployment: which are loaded, which are being loaded, which one a request means,
 * and which ones go.
 *
 * <p>Belongs to the service's event loop. A model that is cleared, replaced or evicted is forgotten
 * at once and unloaded when the last job that uses it has ended. An evicted one comes back as it
 * was loaded when it is asked for again.
 *
 * <p>Whoever is handed a model must {@link #acquire} it before the event loop goes on: {@link
 * #tick} lets go of models that nobody uses.
 */
final class ModelRegistry {
  private static final System.Logger LOG = System.getLogger(ModelRegistry.class.getName());

  private final Engine engine;
  private final RagbusOptions options;
  private final LongSupplier nanoClock;
  private final ModelLocator locator;
  private final CachePolicy policy;
  private final Map<String, String> canonicalNames = new HashMap<>();
  private final Map<String, LoadedModel> loaded = new LinkedHashMap<>();
  private final Set<ModelLoading> loading = new LinkedHashSet<>();
  private final Map<String, Recipe> configured = new HashMap<>();
  private final Map<String, Recipe> recipes = new HashMap<>();

  /** The models for who names none, by what they are for; null where none can be had. */
  private final Map<String, Future<ModelSpec>> defaults = new LinkedHashMap<>();

  private long hits;
  private long misses;
  private long loads;
  private long failedLoads;
  private long cancelledLoads;
  private long evictions;
  private long loadMillis;

  /** What models are asked for: what that is called, which default does it, and who can do it. */
  private record Use(String operation, String preferred, String title, Set<ModelType> types) {
    private static final Use EMBED =
        new Use("embed", "embedding", "embedding model", EnumSet.of(ModelType.EMBEDDING));
    private static final Use RERANK =
        new Use(
            "rerank",
            "reranker",
            "reranker",
            EnumSet.of(ModelType.EMBEDDING, ModelType.CROSS_ENCODER));
    private static final Use EMBED_SPARSE =
        new Use("embed_sparse", "sparse", "sparse model", EnumSet.of(ModelType.SPARSE));
    private static final Use PREDICT =
        new Use(
            "predict",
            "classifier",
            "classifier",
            EnumSet.of(ModelType.CLASSIFIER, ModelType.CROSS_ENCODER));
    private static final Use TOKENIZE =
        new Use("tokenize", "embedding", "embedding model", EnumSet.allOf(ModelType.class));

    /** What a model of a type can be used for. */
    static String of(ModelType type) {
      return Stream.of(EMBED, RERANK, EMBED_SPARSE, PREDICT, TOKENIZE)
          .filter(use -> use.types.contains(type))
          .map(Use::operation)
          .collect(Collectors.joining(", "));
    }
  }

  /** How a model was loaded. */
  private record Recipe(ModelSpec spec, Origin origin) {
    Set<ModelType> types() {
      return Set.of(spec.modelType());
    }
  }

  ModelRegistry(
      Engine engine,
      RagbusOptions options,
      PackagedModels packaged,
      Context context,
      LongSupplier nanoClock) {
    this.engine = engine;
    this.options = options;
    this.nanoClock = nanoClock;
    this.locator = new ModelLocator(engine, options.models(), packaged, context);
    this.policy =
        new CachePolicy(
            options.python().maxCachedModels(), options.python().modelCacheTimeout().toNanos());
    packaged
        .names()
        .forEach((name, aliases) -> aliases.forEach(alias -> canonicalNames.put(alias, name)));
    for (ModelSpec each : options.models().preload()) {
      ModelSpec spec = canonical(each);
      configured.put(spec.cacheKey(), new Recipe(spec, Origin.CONFIGURATION));
    }
  }

  /**
   * Loads what the configuration names, and settles the default models for good. Completes without
   * waiting for any but the default embedding model: the hub may be asked for the others, which may
   * never answer, and only those who need them should wait for that.
   */
  Future<Void> start() {
    List<Future<?>> work = new ArrayList<>();
    for (ModelSpec spec : options.models().preload()) {
      work.add(load(spec, Origin.CONFIGURATION, null));
    }
    Future<ModelSpec> embedding =
        settle(Use.EMBED, options.models().embedding(), Future.succeededFuture());
    work.add(embedding);
    settle(Use.RERANK, options.models().reranker(), embedding);
    settle(Use.EMBED_SPARSE, options.models().sparse(), embedding);
    settle(Use.PREDICT, options.models().classifier(), embedding);
    return Future.all(work).mapEmpty();
  }

  /** Looks for a default model, after something else. */
  private Future<ModelSpec> settle(Use use, List<String> names, Future<?> first) {
    Future<ModelSpec> found =
        first
            .transform(done -> firstOf(names, 0, use, new ArrayList<>()))
            .map(ModelRegistry::specOf);
    defaults.put(use.preferred, found);
    return found;
  }

  private static ModelSpec specOf(LoadedModel model) {
    return model == null ? null : model.spec();
  }

  /** The first model of a preference list that can be had; null when there is none. */
  private Future<LoadedModel> firstOf(
      List<String> names, int index, Use use, List<String> reasons) {
    if (index == names.size()) {
      if (!names.isEmpty()) {
        LOG.log(System.Logger.Level.WARNING, "none of {0} can be had: {1}", names, reasons);
      }
      return Future.succeededFuture();
    }
    String name = names.get(index);
    return use(specOf(canonical(name), use.types), use, Origin.CONFIGURATION, null)
        .onSuccess(
            model ->
                LOG.log(
                    System.Logger.Level.INFO,
                    "default {0}: {1} ({2}, {3})",
                    use.title,
                    name,
                    model.engineModel().engine(),
                    model.engineModel().precision()))
        .recover(
            failure -> {
              LOG.log(
                  System.Logger.Level.INFO, "{0} is passed over: {1}", name, failure.getMessage());
              reasons.add(failure.getMessage());
              return firstOf(names, index + 1, use, reasons);
            });
  }

  /**
   * The model that embeds for a request: the named one, or the default for null.
   *
   * @param requestId what {@link #cancel} calls the caller; null for one that cannot be cancelled
   */
  Future<LoadedModel> forEmbedding(String name, String requestId) {
    return forUse(Use.EMBED, name, requestId);
  }

  /**
   * The model that ranks for a request: the named one, or the default for null.
   *
   * @param requestId what {@link #cancel} calls the caller; null for one that cannot be cancelled
   */
  Future<LoadedModel> forRanking(String name, String requestId) {
    return forUse(Use.RERANK, name, requestId);
  }

  /**
   * The model that makes sparse vectors for a request: the named one, or the default for null.
   *
   * @param requestId what {@link #cancel} calls the caller; null for one that cannot be cancelled
   */
  Future<LoadedModel> forSparse(String name, String requestId) {
    return forUse(Use.EMBED_SPARSE, name, requestId);
  }

  /**
   * The model that classifies for a request: the named one, or the default for null.
   *
   * @param requestId what {@link #cancel} calls the caller; null for one that cannot be cancelled
   */
  Future<LoadedModel> forPrediction(String name, String requestId) {
    return forUse(Use.PREDICT, name, requestId);
  }

  /**
   * The model whose tokens a request means: the named one, whatever it does, or the default
   * embedding model for null.
   *
   * @param requestId what {@link #cancel} calls the caller; null for one that cannot be cancelled
   */
  Future<LoadedModel> forTokens(String name, String requestId) {
    return forUse(Use.TOKENIZE, name, requestId);
  }

  private Future<LoadedModel> forUse(Use use, String name, String requestId) {
    if (name == null) {
      return defaults
          .getOrDefault(use.preferred, Future.succeededFuture())
          .compose(spec -> ofDefault(spec, use, requestId));
    }
    String canonical = canonical(name);
    LoadedModel other = ready(canonical, EnumSet.allOf(ModelType.class));
    if (other != null && ready(canonical, use.types) == null) {
      return Future.failedFuture(wrongType(name, List.of(other.type()), use.operation));
    }
    return request(specOf(canonical, use.types), use, Origin.USE, requestId);
  }

  /** A spec by which a model may come to be of one of these types. */
  private static ModelSpec specOf(String name, Set<ModelType> types) {
    return ModelSpec.of(name, types.iterator().next());
  }

  private Future<LoadedModel> ofDefault(ModelSpec spec, Use use, String requestId) {
    if (spec == null) {
      return Future.failedFuture(
          RagbusException.of(
              Kind.MODEL_NOT_FOUND,
              "no model was named, and "
                  + "models."
                  + use.preferred
                  + " names none that could be had"));
    }
    return request(spec, use, Origin.CONFIGURATION, requestId);
  }

  private Future<LoadedModel> request(ModelSpec spec, Use use, Origin origin, String requestId) {
    LoadedModel ready = ready(spec.modelName(), use.types);
    if (ready == null) {
      misses++;
    } else {
      hits++;
      ready.touch(nanoClock.getAsLong());
    }
    return use(spec, use, origin, requestId);
  }

  /**
   * A model as it is loaded or being loaded, with whatever options; else it is loaded now, as it
   * was the last time.
   */
  private Future<LoadedModel> use(ModelSpec spec, Use use, Origin origin, String requestId) {
    LoadedModel ready = ready(spec.modelName(), use.types);
    if (ready != null) {
      return Future.succeededFuture(ready);
    }
    ModelLoading underWay = underWay(spec.modelName(), use.types);
    if (underWay == null) {
      return keys(spec.modelName(), use.types)
          .map(this::recipe)
          .filter(Objects::nonNull)
          .findFirst()
          .map(recipe -> begin(recipe.spec, recipe.types(), recipe.origin, requestId))
          .orElseGet(() -> begin(spec, use.types, origin, requestId));
    }
    return ofType(use.types, use.operation, underWay.join(requestId));
  }

  /** What was joined may turn out to be of another type. */
  private static Future<LoadedModel> ofType(
      Set<ModelType> types, String use, Future<LoadedModel> joined) {
    return joined.compose(
        model ->
            types.contains(model.type())
                ? Future.succeededFuture(model)
                : Future.failedFuture(wrongType(model.name(), List.of(model.type()), use)));
  }

  private static RagbusException wrongType(String name, List<ModelType> is, String use) {
    String types = is.stream().map(ModelType::wireName).collect(Collectors.joining(" or "));
    String uses = is.stream().map(Use::of).distinct().collect(Collectors.joining(" or "));
    return RagbusException.of(
        Kind.TYPE_CONVERSION,
        "model '"
            + name
            + "' is of type "
            + types
            + " and cannot be used for "
            + use
            + "; it can "
            + uses);
  }

  /** The names that the loaded models are asked for by. */
  List<String> names() {
    Set<String> names = new LinkedHashSet<>();
    loaded.values().forEach(model -> names.add(model.name()));
    canonicalNames.forEach(
        (alias, name) -> {
          if (names.contains(name)) {
            names.add(alias);
          }
        });
    return List.copyOf(names);
  }

  /**
   * The names of the default models by what they are for ({@code embedding}, {@code reranker},
   * {@code sparse}, {@code classifier}); without those for which there is none, or none yet.
   */
  Map<String, String> defaults() {
    Map<String, String> names = new LinkedHashMap<>();
    defaults.forEach(
        (use, settled) -> {
          if (settled.result() != null) {
            names.put(use, settled.result().modelName());
          }
        });
    return names;
  }

  /**
   * Loads a model, or tells that it is loaded; with other options too, which {@code force_reload}
   * would load it with.
   *
   * @param requestId what {@link #cancel} calls the caller; null for one that cannot be cancelled
   */
  Future<ModelLoad> load(ModelSpec requested, Origin origin, String requestId) {
    ModelSpec spec = canonical(requested);
    LoadedModel ready = loaded.get(spec.cacheKey());
    if (ready != null && !spec.forceReload()) {
      warnOfDifferences(ready.spec(), spec);
      return Future.succeededFuture(answer(ModelLoad.Status.ALREADY_LOADED, ready));
    }
    Set<ModelType> types = Set.of(spec.modelType());
    ModelLoading underWay = underWay(spec.modelName(), types);
    if (underWay != null && !underWay.mayBecome(spec)) {
      return Future.failedFuture(
          RagbusException.of(
              Kind.CONFLICT, "'" + spec.cacheKey() + "' is being loaded with other options"));
    }
    Future<LoadedModel> result =
        underWay == null
            ? begin(spec, types, origin, requestId)
            : ofType(types, spec.modelType().wireName(), underWay.join(requestId));
    return result.map(model -> answer(ModelLoad.Status.LOADED, model));
  }

  private static void warnOfDifferences(ModelSpec is, ModelSpec asked) {
    JsonObject present = JsonBodies.format(is);
    JsonObject defaults = JsonBodies.format(ModelSpec.of(asked.modelName(), asked.modelType()));
    JsonObject wanted = JsonBodies.format(asked);
    List<String> different =
        wanted.fieldNames().stream()
            .filter(key -> !Objects.equals(wanted.getValue(key), defaults.getValue(key)))
            .filter(key -> !Objects.equals(wanted.getValue(key), present.getValue(key)))
            .toList();
    if (!different.isEmpty()) {
      LOG.log(
          System.Logger.Level.WARNING,
          "{0} stays loaded as it is, though it was asked for with other {1}; force_reload loads"
              + " it again",
          is.cacheKey(),
          different);
    }
  }

  private ModelLoad answer(ModelLoad.Status status, LoadedModel model) {
    return new ModelLoad(
        status,
        model.name(),
        model.type(),
        model.engineModel().dimensions(),
        model.spec().cacheKey(),
        List.copyOf(loaded.keySet()));
  }

  private Future<LoadedModel> begin(
      ModelSpec spec, Set<ModelType> types, Origin origin, String requestId) {
    ModelLoading load = new ModelLoading(spec, types, nanoClock.getAsLong());
    loading.add(load);
    Future<LoadedModel> caller = load.join(requestId);
    locator
        .locate(load.spec(), origin, load.id())
        .compose(located -> loadFrom(load, located))
        .onComplete(described -> ended(load, origin, described));
    return caller;
  }

  private Future<Engine.Model> loadFrom(ModelLoading load, Located located) {
    if (!load.found(located.types())) {
      String wanted = load.spec().modelType().wireName();
      return Future.failedFuture(wrongType(load.spec().modelName(), located.types(), wanted));
    }
    ModelSpec spec = load.spec();
    JsonObject body =
        new JsonObject()
            .put("load_id", load.id())
            .put("name", spec.modelName())
            .put("type", spec.modelType().wireName())
            .put("path", located.path())
            .put("lanes", engine.inferenceLanes())
            .put("precision", spec.precision())
            .put("engine", spec.engine())
            .put("device", spec.device())
            .put("enable_gpu", options.python().enableGpu())
            .put("gpu_memory_fraction", options.python().gpuMemoryFraction())
            .put("min_int8_cosine", options.models().minInt8Cosine())
            .put("prompts", new JsonObject(new LinkedHashMap<>(spec.prompts())));
    putIfPresent(body, "calibration", options.models().calibration());
    putIfPresent(body, "max_tokens", spec.maxTokens());
    putIfPresent(body, "pooling", spec.pooling());
    putIfPresent(body, "normalize", spec.normalize());
    return engine.load(body);
  }

  private static void putIfPresent(JsonObject body, String key, Object value) {
    if (value != null) {
      body.put(key, value);
    }
  }

  /** A load has ended, or the cancelled one has been noticed. */
  private void ended(ModelLoading load, Origin origin, AsyncResult<Engine.Model> described) {
    boolean wanted = loading.remove(load);
    if (wanted && described.succeeded()) {
      loads++;
      loadMillis += described.result().loadMillis();
      load.succeed(install(load.spec(), origin, described.result()));
    } else if (wanted) {
      failedLoads++;
      load.fail(described.cause());
    } else if (described.succeeded()) {
      unload(load.spec().cacheKey(), described.result());
    }
  }

  private LoadedModel install(ModelSpec spec, Origin origin, Engine.Model described) {
    LoadedModel model = new LoadedModel(spec, described, nanoClock.getAsLong());
    String key = spec.cacheKey();
    LoadedModel old = loaded.remove(key);
    loaded.put(key, model);
    recipes.put(key, new Recipe(spec, origin));
    if (old != null) {
      retire(old);
    }
    LOG.log(
        System.Logger.Level.INFO,
        "loaded {0} in {1} ms ({2}, {3}): {4}",
        key,
        described.loadMillis(),
        described.engine(),
        described.precision(),
        described.reason());
    evict();
    return model;
  }

  private void evict() {
    for (LoadedModel model : policy.leaving(loaded.values(), nanoClock.getAsLong())) {
      LOG.log(System.Logger.Level.INFO, "{0} goes: not used lately", model.spec().cacheKey());
      evictions++;
      loaded.remove(model.spec().cacheKey());
      retire(model);
    }
  }

  /** Lets go of models, and asks how far loads are; to be called about once a second. */
  void tick() {
    evict();
    loading.forEach(this::follow);
  }

  private void follow(ModelLoading load) {
    if (!load.ask()) {
      return;
    }
    engine
        .control(Engine.Control.PROGRESS, new JsonObject().put("load_id", load.id()))
        .map(answer -> JsonBodies.parse(answer, ModelInfo.Progress.class))
        .onComplete(
            answer -> {
              load.answered(answer.result());
              load.line(nanoClock.getAsLong())
                  .ifPresent(line -> LOG.log(System.Logger.Level.INFO, line));
            });
  }

  /** Ends loads that nobody but this request waits for; its callers fail with CANCELLED. */
  void cancel(String requestId) {
    for (ModelLoading load : List.copyOf(loading)) {
      RagbusException reason =
          RagbusException.of(Kind.CANCELLED, "the caller cancelled " + requestId);
      if (load.leave(requestId, reason)) {
        abandon(load, reason);
      }
    }
  }

  /** Python ends it at its next checkpoint; who asks for the model meanwhile begins anew. */
  private void abandon(ModelLoading load, RagbusException reason) {
    String key = load.spec().cacheKey();
    cancelledLoads++;
    loading.remove(load);
    load.fail(reason);
    LOG.log(System.Logger.Level.INFO, "the load of {0} is cancelled", key);
    engine
        .control(Engine.Control.CANCEL_LOAD, new JsonObject().put("load_id", load.id()))
        .onFailure(failure -> warn("cancelling the load of " + key, failure));
  }

  /** {@code sentence-transformers/X} and {@code X} are one model where X is packaged. */
  private String canonical(String name) {
    return canonicalNames.getOrDefault(name, name);
  }

  private ModelSpec canonical(ModelSpec spec) {
    return spec.withModelName(canonical(spec.modelName()));
  }

  /** The cache keys that a name has as these types. */
  private static Stream<String> keys(String name, Set<ModelType> types) {
    return types.stream().map(type -> type.cacheKey(name));
  }

  private LoadedModel ready(String name, Set<ModelType> types) {
    return keys(name, types).map(loaded::get).filter(Objects::nonNull).findFirst().orElse(null);
  }

  private ModelLoading underWay(String name, Set<ModelType> types) {
    return loading.stream().filter(load -> load.isOf(name, types)).findFirst().orElse(null);
  }

  private Recipe recipe(String key) {
    return recipes.getOrDefault(key, configured.get(key));
  }

  /** A job begins to use a model. */
  void acquire(LoadedModel model) {
    model.acquire(nanoClock.getAsLong());
  }

  /** A job that used a model has ended. */
  void release(LoadedModel model) {
    if (model.release(nanoClock.getAsLong())) {
      unload(model.spec().cacheKey(), model.engineModel());
    }
  }

  private void retire(LoadedModel model) {
    if (model.retire()) {
      unload(model.spec().cacheKey(), model.engineModel());
    }
  }

  private void unload(String key, Engine.Model model) {
    engine
        .control(Engine.Control.UNLOAD, new JsonObject().put("handle", model.handle()))
        .onFailure(failure -> warn("unloading " + key, failure));
  }

  private static void warn(String what, Throwable failure) {
    LOG.log(System.Logger.Level.WARNING, "{0}: {1}", what, failure.getMessage());
  }

  /** The models that are loaded or being loaded. */
  ModelList list() {
    long now = nanoClock.getAsLong();
    Map<String, ModelInfo> infos = new LinkedHashMap<>();
    loaded.forEach((key, model) -> infos.put(key, model.info(now, null)));
    for (ModelLoading load : loading) {
      String key = load.spec().cacheKey();
      LoadedModel ready = loaded.get(key);
      infos.put(key, ready == null ? load.info(now) : ready.info(now, load.progress()));
    }
    return new ModelList(List.copyOf(infos.values()), infos.size());
  }

  /** One model that is loaded or being loaded, by name or cache key. */
  ModelInfo get(String nameOrKey) {
    if (nameOrKey == null) {
      throw RagbusException.invalid("model is required");
    }
    Set<String> keys = keys(nameOrKey);
    return list().cachedModels().stream()
        .filter(info -> keys.contains(info.cacheKey()))
        .findFirst()
        .orElseThrow(
            () ->
                RagbusException.of(
                    Kind.MODEL_NOT_FOUND,
                    "no model '" + nameOrKey + "' is loaded; loaded are " + loaded.keySet()));
  }

  /** The cache keys that a name, an alias or a key with either in it stands for. */
  private Set<String> keys(String nameOrKey) {
    Stream<String> asName = keys(canonical(nameOrKey), EnumSet.allOf(ModelType.class));
    Stream<String> asKey =
        Stream.of(ModelType.values())
            .filter(type -> nameOrKey.startsWith(type.cacheKey("")))
            .map(type -> type.cacheKey(canonical(nameOrKey.substring(type.cacheKey("").length()))));
    return Stream.concat(asName, asKey).collect(Collectors.toSet());
  }

  /**
   * Forgets models by name or cache key, and cancels their loads; for null all that are loaded and
   * not pinned, while what is being loaded goes on.
   */
  ModelsCleared clear(String nameOrKey) {
    Predicate<String> chosen = nameOrKey == null ? this::isNotPinned : keys(nameOrKey)::contains;
    Set<String> cleared = new LinkedHashSet<>(loaded.keySet());
    cleared.removeIf(chosen.negate());
    cleared.forEach(key -> retire(loaded.remove(key)));
    recipes.keySet().removeIf(chosen);
    if (nameOrKey != null) {
      for (ModelLoading load : List.copyOf(loading)) {
        String key = load.spec().cacheKey();
        if (chosen.test(key)) {
          cleared.add(key);
          abandon(
              load, RagbusException.of(Kind.CANCELLED, "the load of '" + key + "' was cancelled"));
        }
      }
    }
    return new ModelsCleared("cleared", List.copyOf(cleared), List.copyOf(loaded.keySet()));
  }

  private boolean isNotPinned(String key) {
    LoadedModel model = loaded.get(key);
    return model == null || !model.spec().pinned();
  }

  /** Forgets all models and ends all loads. */
  void close() {
    RagbusException reason = RagbusException.of(Kind.UNAVAILABLE, "the service is shutting down");
    List.copyOf(loading).forEach(load -> abandon(load, reason));
    loaded.values().forEach(this::retire);
    loaded.clear();
  }

  /** Counters since the start. */
  Stats.ModelCache stats() {
    return new Stats.ModelCache(
        hits, misses, loads, failedLoads, cancelledLoads, evictions, loadMillis);
  }
}
