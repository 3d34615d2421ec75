// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.cluster;

import dev.ragbus.Cleanup;
import dev.ragbus.FunctionInfo;
import dev.ragbus.FunctionList;
import dev.ragbus.ModelInfo;
import dev.ragbus.ModelList;
import dev.ragbus.ModelLoad;
import dev.ragbus.ModelsCleared;
import dev.ragbus.Stats;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.BinaryOperator;
import java.util.function.Function;
import java.util.function.ToLongFunction;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** The answers of several workers as one. Pure functions of lists that are not empty. */
final class Merged {
  private Merged() {}

  /** A model that several have is listed once, with their memory together. */
  static ModelList lists(List<ModelList> lists) {
    List<ModelInfo> models = distinct(lists.stream().flatMap(each -> each.cachedModels().stream()));
    return new ModelList(models, models.size());
  }

  private static List<ModelInfo> distinct(Stream<ModelInfo> models) {
    return List.copyOf(byKey(models, ModelInfo::cacheKey, Merged::both).values());
  }

  private static ModelInfo both(ModelInfo one, ModelInfo other) {
    ModelInfo shown = one.state().equals("ready") ? one : other;
    return new ModelInfo(
        shown.modelName(),
        shown.modelType(),
        shown.cacheKey(),
        shown.dimensions(),
        shown.pooling(),
        shown.labels(),
        shown.maxTokens(),
        shown.engine(),
        shown.precision(),
        shown.state(),
        one.memoryBytes() + other.memoryBytes(),
        Math.max(one.loadMillis(), other.loadMillis()),
        Math.min(one.lastUsedMillisAgo(), other.lastUsedMillisAgo()),
        shown.progress(),
        shown.quality());
  }

  /** A function that several have is listed once, with its calls together. */
  static FunctionList functions(List<FunctionList> lists) {
    Map<String, FunctionInfo> byName =
        byKey(
            lists.stream().flatMap(each -> each.functions().stream()),
            FunctionInfo::name,
            Merged::both);
    return new FunctionList(List.copyOf(byName.values()), byName.size());
  }

  private static FunctionInfo both(FunctionInfo one, FunctionInfo other) {
    return new FunctionInfo(
        one.name(),
        one.module(),
        one.description(),
        one.inputSchema(),
        one.outputSchema(),
        one.timeout(),
        one.hardCancel(),
        one.kind(),
        one.sourceSha256(),
        one.code(),
        both(one.usage(), other.usage()));
  }

  /** Quantiles cannot be added up: the worse ones are told. */
  private static FunctionInfo.Usage both(FunctionInfo.Usage one, FunctionInfo.Usage other) {
    return new FunctionInfo.Usage(
        one.calls() + other.calls(),
        one.errors() + other.errors(),
        Math.max(one.p50Millis(), other.p50Millis()),
        Math.max(one.p99Millis(), other.p99Millis()),
        one.lastError() == null ? other.lastError() : one.lastError());
  }

  /** Loaded, where one of the workers did not have it before. */
  static ModelLoad loads(List<ModelLoad> loads) {
    ModelLoad shown =
        loads.stream()
            .filter(each -> each.status() == ModelLoad.Status.LOADED)
            .findFirst()
            .orElse(loads.get(0));
    return new ModelLoad(
        shown.status(),
        shown.modelName(),
        shown.modelType(),
        shown.dimensions(),
        shown.cacheKey(),
        union(loads, ModelLoad::cachedModels));
  }

  static ModelsCleared clearings(List<ModelsCleared> clearings) {
    return new ModelsCleared(
        clearings.get(0).status(),
        union(clearings, ModelsCleared::clearedModels),
        union(clearings, ModelsCleared::remainingModels));
  }

  static Cleanup cleanups(List<Cleanup> cleanups) {
    return new Cleanup(
        cleanups.get(0).status(),
        union(cleanups, Cleanup::clearedModels),
        sum(cleanups, Cleanup::collected),
        sum(cleanups, Cleanup::residentBytesBefore),
        sum(cleanups, Cleanup::residentBytesAfter));
  }

  /**
   * What all workers count, with the requests as the front counts them.
   *
   * @param byWorker the statistics of each worker by its id
   */
  static Stats stats(Map<String, Stats.Operation> operations, Map<String, Stats> byWorker) {
    List<Stats> stats = List.copyOf(byWorker.values());
    List<Stats.Lane> lanes = new ArrayList<>();
    byWorker.forEach((worker, of) -> of.lanes().forEach(lane -> lanes.add(of(worker, lane))));
    return new Stats(
        operations,
        queues(stats.stream().map(Stats::queue).toList()),
        lanes,
        distinct(stats.stream().flatMap(each -> each.models().stream())),
        caches(stats.stream().map(Stats::modelCache).toList()),
        functionTotals(stats.stream().map(Stats::functions).toList()),
        sum(stats, Stats::residentBytes));
  }

  private static Stats.Lane of(String worker, Stats.Lane lane) {
    return new Stats.Lane(
        worker + "/" + lane.name(),
        lane.role(),
        lane.state(),
        lane.calls(),
        lane.replaced(),
        lane.abandoned());
  }

  private static Stats.Queue queues(List<Stats.Queue> queues) {
    return new Stats.Queue(
        (int) sum(queues, Stats.Queue::items),
        sum(queues, Stats.Queue::tokens),
        sum(queues, Stats.Queue::batches),
        sum(queues, Stats.Queue::rows),
        sum(queues, Stats.Queue::realTokens),
        sum(queues, Stats.Queue::paddedTokens),
        sum(queues, Stats.Queue::dropped),
        sum(queues, Stats.Queue::coalesced),
        sum(queues, Stats.Queue::cached));
  }

  private static Stats.ModelCache caches(List<Stats.ModelCache> caches) {
    return new Stats.ModelCache(
        sum(caches, Stats.ModelCache::hits),
        sum(caches, Stats.ModelCache::misses),
        sum(caches, Stats.ModelCache::loads),
        sum(caches, Stats.ModelCache::failedLoads),
        sum(caches, Stats.ModelCache::cancelledLoads),
        sum(caches, Stats.ModelCache::evictions),
        sum(caches, Stats.ModelCache::loadMillis));
  }

  private static Stats.Functions functionTotals(List<Stats.Functions> totals) {
    Map<String, FunctionInfo.Usage> byName = new LinkedHashMap<>();
    totals.forEach(
        each -> each.byName().forEach((name, usage) -> byName.merge(name, usage, Merged::both)));
    return new Stats.Functions(
        (int) sum(totals, Stats.Functions::waiting),
        (int) sum(totals, Stats.Functions::running),
        sum(totals, Stats.Functions::dropped),
        sum(totals, Stats.Functions::tainted),
        sum(totals, Stats.Functions::cacheHits),
        sum(totals, Stats.Functions::cacheMisses),
        byName);
  }

  private static <T> long sum(List<T> all, ToLongFunction<T> value) {
    return all.stream().mapToLong(value).sum();
  }

  private static <T> List<String> union(List<T> all, Function<T, List<String>> values) {
    return all.stream().map(values).flatMap(Collection::stream).distinct().toList();
  }

  private static <T> Map<String, T> byKey(
      Stream<T> values, Function<T, String> key, BinaryOperator<T> both) {
    return values.collect(Collectors.toMap(key, Function.identity(), both, LinkedHashMap::new));
  }
}
