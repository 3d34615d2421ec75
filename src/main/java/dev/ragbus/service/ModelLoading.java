// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import dev.ragbus.ModelInfo;
import dev.ragbus.ModelSpec;
import dev.ragbus.ModelType;
import io.vertx.core.Future;
import io.vertx.core.Promise;
import java.util.ArrayList;
import java.util.Collections;
import java.util.EnumSet;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.UUID;
import java.util.function.Consumer;

/**
 * A load under way, and who waits for it. Belongs to the service's event loop; begun and ended by
 * {@link ModelRegistry}.
 */
final class ModelLoading {
  private static final ModelInfo.Progress WAITING = new ModelInfo.Progress("waiting", null, 0, 0);

  private static final long LOG_NANOS = 5_000_000_000L;

  private final String id = UUID.randomUUID().toString();
  private final long startedNanos;
  private final List<Caller> callers = new ArrayList<>();
  private final Set<ModelType> types;
  private ModelSpec spec;
  private ModelInfo.Progress progress = WAITING;
  private boolean asked;
  private long loggedNanos;

  /** One who waits; without a request id it cannot be cancelled. */
  private record Caller(String requestId, Promise<LoadedModel> promise) {}

  /**
   * A load that begins now.
   *
   * @param types what the model may come to be; where there are several, its folder says which
   */
  ModelLoading(ModelSpec spec, Set<ModelType> types, long nowNanos) {
    this.spec = spec.withForceReload(false);
    this.types = EnumSet.copyOf(types);
    this.startedNanos = nowNanos;
    this.loggedNanos = nowNanos;
  }

  /** What Python calls the load. */
  String id() {
    return id;
  }

  ModelSpec spec() {
    return spec;
  }

  /** Whether it may come to this model, being of one of these types. */
  boolean isOf(String name, Set<ModelType> wanted) {
    return spec.modelName().equals(name) && !Collections.disjoint(types, wanted);
  }

  /** Whether it loads as wanted, supposing that the type will be the one wanted. */
  boolean mayBecome(ModelSpec wanted) {
    return spec.withModelType(wanted.modelType()).sameOptions(wanted);
  }

  /**
   * The model's folder was found and says what the model may be, the likeliest first; returns
   * whether it may be what is wanted, and then is that.
   */
  boolean found(List<ModelType> located) {
    Optional<ModelType> type = located.stream().filter(types::contains).findFirst();
    type.ifPresent(
        found -> {
          spec = spec.withModelType(found);
          types.retainAll(Set.of(found));
        });
    return type.isPresent();
  }

  /** Waits for the model; {@code requestId} may be null. */
  Future<LoadedModel> join(String requestId) {
    Caller caller = new Caller(requestId, Promise.promise());
    callers.add(caller);
    return caller.promise.future();
  }

  /** Callers of this request wait no more; returns whether there were some, and none is left. */
  boolean leave(String requestId, RuntimeException reason) {
    List<Caller> leaving =
        callers.stream().filter(caller -> requestId.equals(caller.requestId)).toList();
    callers.removeAll(leaving);
    leaving.forEach(caller -> caller.promise.fail(reason));
    return !leaving.isEmpty() && callers.isEmpty();
  }

  void succeed(LoadedModel model) {
    end(caller -> caller.promise.complete(model));
  }

  void fail(Throwable reason) {
    end(caller -> caller.promise.fail(reason));
  }

  private void end(Consumer<Caller> answer) {
    List<Caller> answered = List.copyOf(callers);
    callers.clear();
    answered.forEach(answer);
  }

  ModelInfo.Progress progress() {
    return progress;
  }

  /** Python is to be asked how far the load is; false where it has not answered yet. */
  boolean ask() {
    boolean answered = !asked;
    asked = true;
    return answered;
  }

  /** Python's answer; null where it had none. */
  void answered(ModelInfo.Progress current) {
    asked = false;
    progress = current == null ? progress : current;
  }

  /** A line for the log, every few seconds. */
  Optional<String> line(long nowNanos) {
    if (nowNanos - loggedNanos < LOG_NANOS) {
      return Optional.empty();
    }
    loggedNanos = nowNanos;
    String bytes =
        progress.totalBytes() == 0
            ? ""
            : String.format(
                Locale.ROOT,
                " %s, %.1f of %.1f MB",
                progress.file(),
                progress.doneBytes() / 1e6,
                progress.totalBytes() / 1e6);
    return Optional.of(
        spec.cacheKey() + ", " + millis(nowNanos) / 1_000 + " s: " + progress.phase() + bytes);
  }

  private long millis(long nowNanos) {
    return (nowNanos - startedNanos) / 1_000_000;
  }

  ModelInfo info(long nowNanos) {
    return new ModelInfo(
        spec.modelName(),
        spec.modelType(),
        spec.cacheKey(),
        null,
        null,
        null,
        0,
        spec.engine(),
        spec.precision(),
        "loading",
        0,
        millis(nowNanos),
        0,
        progress,
        null);
  }
}
