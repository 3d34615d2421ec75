// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import dev.ragbus.ModelInfo;
import dev.ragbus.ModelSpec;
import dev.ragbus.ModelType;
import dev.ragbus.python.Engine;

/**
 * A model that is loaded, and how many jobs are using it. Belongs to the service's event loop; made
 * and released by {@link ModelRegistry}.
 */
final class LoadedModel {
  private final ModelSpec spec;
  private final Engine.Model engineModel;
  private long lastUsedNanos;
  private int users;
  private boolean retired;

  LoadedModel(ModelSpec spec, Engine.Model engineModel, long nowNanos) {
    this.spec = spec;
    this.engineModel = engineModel;
    this.lastUsedNanos = nowNanos;
  }

  String name() {
    return spec.modelName();
  }

  ModelType type() {
    return spec.modelType();
  }

  ModelSpec spec() {
    return spec;
  }

  Engine.Model engineModel() {
    return engineModel;
  }

  /** A request asks for the model. */
  void touch(long nowNanos) {
    lastUsedNanos = nowNanos;
  }

  /** A job begins to use the model. */
  void acquire(long nowNanos) {
    users++;
    lastUsedNanos = nowNanos;
  }

  /** A job ends; returns whether the model is retired and nobody uses it any more. */
  boolean release(long nowNanos) {
    users--;
    lastUsedNanos = nowNanos;
    return retired && users == 0;
  }

  /** The model may not be found any more; returns whether nobody uses it. */
  boolean retire() {
    retired = true;
    return users == 0;
  }

  /** Whether a job uses it. */
  boolean isInUse() {
    return users > 0;
  }

  /** When a request last asked for it, a job began or ended using it, or it was loaded. */
  long idleSinceNanos() {
    return lastUsedNanos;
  }

  /**
   * Describes the model.
   *
   * @param again how far its being loaded again is; null where it is not
   */
  ModelInfo info(long nowNanos, ModelInfo.Progress again) {
    return new ModelInfo(
        name(),
        type(),
        spec.cacheKey(),
        engineModel.dimensions(),
        engineModel.pooling(),
        engineModel.labels(),
        engineModel.maxTokens(),
        engineModel.engine(),
        engineModel.precision(),
        "ready",
        engineModel.memoryBytes(),
        engineModel.loadMillis(),
        isInUse() ? 0 : (nowNanos - lastUsedNanos) / 1_000_000,
        again,
        engineModel.quality());
  }
}
