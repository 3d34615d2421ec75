// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import dev.ragbus.ModelSpec;
import dev.ragbus.ModelSpec.Source;
import dev.ragbus.ModelType;
import dev.ragbus.RagbusException;
import dev.ragbus.RagbusException.Kind;
import dev.ragbus.RagbusOptions;
import dev.ragbus.python.Engine;
import dev.ragbus.python.Engine.Control;
import dev.ragbus.python.environment.PackagedModels;
import io.vertx.core.Context;
import io.vertx.core.Future;
import io.vertx.core.json.JsonObject;
import java.io.IOException;
import java.nio.file.FileSystemException;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * Finds the folders of models: on this machine, and only then on the hub, where that is allowed, so
 * that a hub that does not answer holds up nobody whose model is here. Belongs to the service's
 * event loop.
 */
final class ModelLocator {
  private final Engine engine;
  private final RagbusOptions.Models options;
  private final PackagedModels packaged;
  private final Context context;

  /** Where a model was found and what it may be by what its folder says, the likeliest first. */
  record Located(String path, List<ModelType> types) {}

  /** Who asks for a model decides where it may come from. */
  enum Origin {
    /** The deployment's own configuration. */
    CONFIGURATION,
    /** An explicit load. */
    LOAD_REQUEST,
    /** Another request that names a model. */
    USE
  }

  ModelLocator(
      Engine engine, RagbusOptions.Models options, PackagedModels packaged, Context context) {
    this.engine = engine;
    this.options = options;
    this.packaged = packaged;
    this.context = context;
  }

  /**
   * Finds a model, fetching it where that is allowed.
   *
   * @param loadId what Python calls the load that this is part of
   */
  Future<Located> locate(ModelSpec spec, Origin origin, String loadId) {
    return context
        .executeBlocking(() -> wanted(spec, origin).put("load_id", loadId), false)
        .compose(
            body ->
                ask(Control.LOCATE, body, false)
                    .recover(
                        failure ->
                            mayFetch(spec, origin) && isNotFound(failure)
                                ? ask(Control.FETCH, body, true)
                                : Future.failedFuture(failure)));
  }

  private Future<Located> ask(Control operation, JsonObject wanted, boolean allowHub) {
    return engine
        .control(operation, wanted.copy().put("allow_hub", allowHub))
        .map(
            found ->
                new Located(
                    found.getString("path"),
                    found.getJsonArray("types").stream().map(ModelLocator::type).toList()));
  }

  private static ModelType type(Object wireName) {
    return Stream.of(ModelType.values())
        .filter(type -> type.wireName().equals(wireName))
        .findFirst()
        .orElseThrow();
  }

  private boolean mayFetch(ModelSpec spec, Origin origin) {
    boolean onHub = spec.source() == Source.AUTO || spec.source() == Source.HUB;
    boolean allowed = origin != Origin.USE || options.allow().contains(spec.modelName());
    return onHub && allowed && spec.path() == null && !options.offline();
  }

  private static boolean isNotFound(Throwable failure) {
    return failure instanceof RagbusException typed && typed.kind() == Kind.MODEL_NOT_FOUND;
  }

  /** What Python needs to find a model; touches the disk, so it runs on a worker thread. */
  private JsonObject wanted(ModelSpec spec, Origin origin) throws IOException {
    JsonObject folders = new JsonObject();
    Optional<Path> own = packaged.folder(spec.modelName());
    own.ifPresent(folder -> folders.put(spec.modelName(), folder.toString()));
    JsonObject body =
        new JsonObject()
            .put("name", spec.modelName())
            .put("packaged", folders)
            .put("source", spec.source().name().toLowerCase(Locale.ROOT))
            .put("engine", spec.engine())
            .put("precision", spec.precision());
    if (spec.revision() != null) {
      body.put("revision", spec.revision());
    }
    if (options.dir() != null) {
      body.put("models_dir", options.dir());
    }
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
    if (options.dir() == null) {
      throw RagbusException.of(Kind.FORBIDDEN, "path needs [models] dir, which is not set");
    }
    try {
      Path folder = Path.of(options.dir()).toRealPath();
      Path wanted = folder.resolve(path).toRealPath();
      if (wanted.startsWith(folder)) {
        return wanted;
      }
    } catch (FileSystemException | InvalidPathException missing) {
      throw RagbusException.of(Kind.MODEL_NOT_FOUND, "path names no folder in [models] dir");
    }
    throw RagbusException.of(Kind.FORBIDDEN, "path leads out of [models] dir");
  }
}
