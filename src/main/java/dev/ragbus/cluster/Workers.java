// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.cluster;

import dev.ragbus.RagbusOptions;
import java.util.ArrayList;
import java.util.Collection;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.Predicate;

/**
 * The workers that a front knows, and which of them may have a request. Belongs to the front's
 * event loop.
 */
final class Workers {
  private static final System.Logger LOG = System.getLogger(Workers.class.getName());

  /** Announcements missed until a worker gets no requests. */
  private static final int SILENT_INTERVALS = 4;

  /** Announcements missed until what it has is given up. */
  private static final int LOST_INTERVALS = 20;

  private final WorkerAddresses addresses;
  private final RagbusOptions.Models options;
  private final long intervalNanos;
  private final Map<String, Worker> known = new LinkedHashMap<>();

  /** Which worker loads a model that none has announced, by name. */
  private final Map<String, Worker> loading = new HashMap<>();

  private final Map<Route.Target, String> defaults = new EnumMap<>(Route.Target.class);

  /**
   * Knows none yet.
   *
   * @param options with the preference lists of the front
   * @param intervalNanos how often workers tell of themselves
   */
  Workers(WorkerAddresses addresses, RagbusOptions.Models options, long intervalNanos) {
    this.addresses = addresses;
    this.options = options;
    this.intervalNanos = intervalNanos;
  }

  /** Takes what a worker that is trusted has told of itself; true where it is new. */
  boolean told(Announcement told, long nowNanos) {
    Worker worker = known.get(told.worker());
    boolean isNew = worker == null;
    if (isNew) {
      worker = new Worker(told.worker(), addresses.of(told.worker()));
      known.put(told.worker(), worker);
      LOG.log(System.Logger.Level.INFO, "worker {0} has come", told.worker());
    }
    worker.told(told, nowNanos);
    loading.keySet().removeAll(told.models());
    return isNew;
  }

  /** The front itself has heard nothing for a while: that is no silence of the workers. */
  void nothingHeardFor(long nanos, long nowNanos) {
    known.values().forEach(each -> each.nothingHeardFor(nanos, nowNanos));
  }

  /**
   * Notes who is silent, and takes away those who are gone: their node has left the cluster, or
   * they have told nothing for too long.
   */
  List<Worker> takeLost(Collection<String> nodes, long nowNanos) {
    List<Worker> lost = new ArrayList<>();
    for (Worker worker : known.values()) {
      long quietNanos = worker.quietNanos(nowNanos);
      worker.silent(quietNanos > SILENT_INTERVALS * intervalNanos);
      boolean left = !nodes.contains(worker.told().node());
      if (left || quietNanos > LOST_INTERVALS * intervalNanos) {
        lost.add(worker);
      }
    }
    lost.forEach(this::remove);
    return lost;
  }

  /** Takes a worker away; null where it is not known. */
  Worker take(String id) {
    Worker worker = known.get(id);
    if (worker != null) {
      remove(worker);
    }
    return worker;
  }

  private void remove(Worker worker) {
    known.remove(worker.id());
    loading.values().removeIf(each -> each == worker);
    LOG.log(System.Logger.Level.WARNING, "worker {0} is gone", worker.id());
  }

  /** A worker is to get no more requests. */
  void leaving(String id) {
    Worker worker = known.get(id);
    if (worker != null) {
      worker.leaving();
    }
  }

  /** How many requests a worker has had; 0 for one that is not known. */
  long requests(String id) {
    Worker worker = known.get(id);
    return worker == null ? 0 : worker.told().requests();
  }

  Collection<Worker> all() {
    return known.values();
  }

  /** Those that take requests; where all have been silent for a moment, those. */
  List<Worker> serving() {
    List<Worker> heard =
        known.values().stream().filter(each -> each.serving() && each.known()).toList();
    return heard.isEmpty() ? known.values().stream().filter(Worker::serving).toList() : heard;
  }

  /** Those that what is changed now must reach, whether or not they take requests for now. */
  List<Worker> staying() {
    return known.values().stream().filter(Worker::staying).toList();
  }

  /** Those of the serving that may have a request. */
  List<Worker> candidates(Route.Target target, String name) {
    List<Worker> serving = serving();
    return switch (target) {
      case EMBEDDING, RANKING, SPARSE, CLASSIFIER ->
          name == null ? withDefault(serving, target) : withModel(serving, name);
      case MODEL -> name == null ? serving : withModel(serving, name);
      case FUNCTION ->
          orAll(serving, each -> name != null && each.told().functions().contains(name));
      case ALL -> serving;
    };
  }

  /**
   * As on one machine, what the default is, is settled once and does not change later. Until there
   * is one, a worker says itself why there is none.
   */
  private List<Worker> withDefault(List<Worker> serving, Route.Target target) {
    String settled = defaults.computeIfAbsent(target, its -> settle(serving, its));
    return settled == null
        ? serving
        : serving.stream()
            .filter(each -> settled.equals(each.told().defaults().get(target.use())))
            .toList();
  }

  private String settle(List<Worker> serving, Route.Target target) {
    List<String> offered =
        serving.stream()
            .map(each -> each.told().defaults().get(target.use()))
            .filter(Objects::nonNull)
            .toList();
    return target.preferred(options).stream()
        .filter(offered::contains)
        .findFirst()
        .orElse(offered.isEmpty() ? null : offered.get(0));
  }

  /** Those that have the model; else the one that loads it; else all. */
  private List<Worker> withModel(List<Worker> serving, String name) {
    Worker loader = loading.get(name);
    return loader != null && serving.contains(loader)
        ? List.of(loader)
        : orAll(serving, each -> each.told().models().contains(name));
  }

  private static List<Worker> orAll(List<Worker> serving, Predicate<Worker> condition) {
    List<Worker> some = serving.stream().filter(condition).toList();
    return some.isEmpty() ? serving : some;
  }

  /** Until it has told that it has the model, others who name it go to the same worker. */
  void loads(Worker worker, String model) {
    if (model != null && !worker.told().models().contains(model)) {
      loading.putIfAbsent(model, worker);
    }
  }

  /** The request that had it load the model is over. */
  void loaded(Worker worker, String model) {
    if (model != null) {
      loading.remove(model, worker);
    }
  }
}
