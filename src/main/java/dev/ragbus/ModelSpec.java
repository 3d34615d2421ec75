// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import com.fasterxml.jackson.annotation.JsonProperty;
import java.util.Map;
import java.util.function.Consumer;

/**
 * A model to load, and how. Immutable; checked when made. All but {@code modelName} may be left to
 * their defaults; a null option means what the model itself or the deployment says.
 *
 * @param modelName the name it is asked for by
 * @param modelType what it does; default {@link ModelType#EMBEDDING}
 * @param forceReload whether a model that is loaded is loaded again; default false
 * @param source where it is looked for; default {@link Source#AUTO}
 * @param path its folder, for {@link Source#LOCAL}; under {@code [models] dir} where it comes from
 *     a request
 * @param revision its revision on the hub
 * @param engine what runs it: {@code auto} (default), {@code openvino}, {@code onnx} or {@code
 *     torch}
 * @param precision {@code auto} (default), {@code f32}, {@code bf16} or {@code int8}
 * @param device {@code auto} (default), {@code cpu}, {@code cuda} or {@code cuda:1} (engines onnx
 *     and torch), {@code gpu} or {@code gpu.1} (engine openvino)
 * @param maxTokens cuts texts at fewer tokens than the model could take
 * @param pooling replaces the model's own pooling; several are joined by {@code +}
 * @param normalize whether vectors are scaled to length 1 where a request does not say; default yes
 * @param prompts named prompts, added to the model's own
 * @param pinned whether the model never goes for another or for want of use; default false
 * @param workers how many workers of a cluster are to have it; null for all that are there. Without
 *     meaning elsewhere
 */
public record ModelSpec(
    String modelName,
    ModelType modelType,
    Boolean forceReload,
    Source source,
    String path,
    String revision,
    String engine,
    String precision,
    String device,
    Integer maxTokens,
    String pooling,
    Boolean normalize,
    Map<String, String> prompts,
    Boolean pinned,
    Integer workers) {

  /** Where a model is looked for. */
  public enum Source {
    /** Packaged, then local, then the hub's cache, then the hub where that is allowed. */
    @JsonProperty("auto")
    AUTO,
    /** On the class path. */
    @JsonProperty("packaged")
    PACKAGED,
    /** A folder of this machine. */
    @JsonProperty("local")
    LOCAL,
    /** The hub or its cache on this machine. */
    @JsonProperty("hub")
    HUB
  }

  /**
   * Checks every component and fills in defaults; throws {@link RagbusException} {@code INVALID}.
   */
  public ModelSpec {
    Checks.notBlank("model_name", modelName);
    modelType = Checks.orDefault(modelType, ModelType.EMBEDDING);
    forceReload = Checks.orDefault(forceReload, false);
    source = Checks.orDefault(source, Source.AUTO);
    engine = Checks.orDefault(engine, "auto");
    precision = Checks.orDefault(precision, "auto");
    device = Checks.orDefault(device, "auto");
    Checks.positiveIfPresent("max_tokens", maxTokens);
    Checks.notBlankIfPresent("pooling", pooling);
    prompts = Checks.strings("prompts", prompts);
    pinned = Checks.orDefault(pinned, false);
    Checks.positiveIfPresent("workers", workers);
  }

  /** A model with all defaults. */
  public static ModelSpec of(String modelName, ModelType modelType) {
    return new ModelSpec(
        modelName, modelType, null, null, null, null, null, null, null, null, null, null, null,
        null, null);
  }

  /** The same under another name. */
  public ModelSpec withModelName(String modelName) {
    return with(draft -> draft.modelName = modelName);
  }

  /** The same with another type; null for {@link ModelType#EMBEDDING}. */
  public ModelSpec withModelType(ModelType modelType) {
    return with(draft -> draft.modelType = modelType);
  }

  /** The same, loaded again even where it is loaded. */
  public ModelSpec withForceReload(boolean forceReload) {
    return with(draft -> draft.forceReload = forceReload);
  }

  /** The same with another precision. */
  public ModelSpec withPrecision(String precision) {
    return with(draft -> draft.precision = precision);
  }

  /** The same on so many workers of a cluster; null for all that are there. */
  public ModelSpec withWorkers(Integer workers) {
    return with(draft -> draft.workers = workers);
  }

  /** The key it is cached under: {@code type:name}. */
  public String cacheKey() {
    return modelType.cacheKey(modelName);
  }

  /** Whether another spec asks for the same model loaded in the same way. */
  public boolean sameOptions(ModelSpec other) {
    return withForceReload(false)
        .withWorkers(null)
        .equals(other.withForceReload(false).withWorkers(null));
  }

  private ModelSpec with(Consumer<Draft> change) {
    Draft draft = new Draft(this);
    change.accept(draft);
    return draft.made();
  }

  /** The components of a changed copy while it is being made. */
  private static final class Draft {
    private String modelName;
    private ModelType modelType;
    private Boolean forceReload;
    private Source source;
    private String path;
    private String revision;
    private String engine;
    private String precision;
    private String device;
    private Integer maxTokens;
    private String pooling;
    private Boolean normalize;
    private Map<String, String> prompts;
    private Boolean pinned;
    private Integer workers;

    Draft(ModelSpec from) {
      modelName = from.modelName;
      modelType = from.modelType;
      forceReload = from.forceReload;
      source = from.source;
      path = from.path;
      revision = from.revision;
      engine = from.engine;
      precision = from.precision;
      device = from.device;
      maxTokens = from.maxTokens;
      pooling = from.pooling;
      normalize = from.normalize;
      prompts = from.prompts;
      pinned = from.pinned;
      workers = from.workers;
    }

    ModelSpec made() {
      return new ModelSpec(
          modelName,
          modelType,
          forceReload,
          source,
          path,
          revision,
          engine,
          precision,
          device,
          maxTokens,
          pooling,
          normalize,
          prompts,
          pinned,
          workers);
    }
  }
}
