// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.cluster;

import dev.ragbus.FunctionCall;
import dev.ragbus.FunctionResult;
import dev.ragbus.JsonBodies;
import dev.ragbus.ModelList;
import dev.ragbus.ModelLoad;
import dev.ragbus.ModelsCleared;
import dev.ragbus.RagbusException;
import io.vertx.core.json.JsonObject;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;

/**
 * Ragbus's own operations, called by the names that they have among the functions: what a front
 * knows of them. They go to the same workers as by their own addresses. Pure.
 */
enum PlainCall {
  EMBED_TEXTS(Route.Target.EMBEDDING),
  RERANK_TEXTS(Route.Target.RANKING),
  LOAD_MODEL(Route.Target.ALL),
  LIST_MODELS(Route.Target.ALL),
  CLEAR_CACHE(Route.Target.ALL);

  private final Route.Target target;

  PlainCall(Route.Target target) {
    this.target = target;
  }

  /** The names that arguments by position take, as far as a front reads them. */
  private List<String> parameters() {
    return switch (this) {
      case EMBED_TEXTS -> List.of("texts", "model");
      case RERANK_TEXTS -> List.of("query", "texts", "model");
      case LOAD_MODEL -> List.of("model_name");
      case LIST_MODELS -> List.of();
      case CLEAR_CACHE -> List.of("model");
    };
  }

  /** The one of a function's name; empty for a function of Python's. */
  static Optional<PlainCall> of(String function) {
    return Arrays.stream(values()).filter(each -> each.function().equals(function)).findFirst();
  }

  private String function() {
    return name().toLowerCase(Locale.ROOT);
  }

  /** Which workers may have it; all of them must where it is about their models. */
  Route.Target target() {
    return target;
  }

  /** Whether it changes something for others. */
  boolean changes() {
    return this == LOAD_MODEL || this == CLEAR_CACHE;
  }

  /**
   * The arguments of a call by their names, as the service binds them: one dictionary that is the
   * only argument stands for itself. None of what is malformed, which a worker is to refuse.
   */
  JsonObject arguments(Object body) {
    FunctionCall call;
    try {
      call =
          body instanceof JsonObject json
              ? JsonBodies.parse(json, FunctionCall.class)
              : (FunctionCall) body;
    } catch (RagbusException malformed) {
      return new JsonObject();
    }
    List<Object> positional = call.positional();
    List<String> parameters = parameters();
    Map<String, Object> named = new LinkedHashMap<>();
    if (positional.size() == 1 && positional.get(0) instanceof Map<?, ?> dictionary) {
      dictionary.forEach((name, value) -> named.put((String) name, value));
    } else {
      for (int i = 0; i < Math.min(positional.size(), parameters.size()); i++) {
        named.put(parameters.get(i), positional.get(i));
      }
    }
    named.putAll(call.kwargs());
    return new JsonObject(named);
  }

  /** What all workers return, as one result; of those that Python failed at, the first. */
  FunctionResult merged(List<FunctionResult> results) {
    return results.stream()
        .filter(each -> each.result() instanceof Map<?, ?> map && map.containsKey("error"))
        .findFirst()
        .orElseGet(
            () ->
                switch (this) {
                  case LOAD_MODEL -> merged(results, ModelLoad.class, Merged::loads);
                  case LIST_MODELS -> merged(results, ModelList.class, Merged::lists);
                  case CLEAR_CACHE -> merged(results, ModelsCleared.class, Merged::clearings);
                  case EMBED_TEXTS, RERANK_TEXTS -> results.get(0);
                });
  }

  private static <R extends Record> FunctionResult merged(
      List<FunctionResult> results, Class<R> type, Function<List<R>, R> merge) {
    List<R> each =
        results.stream()
            .map(result -> JsonBodies.parseFrame(result.toJson().getJsonObject("result"), type))
            .toList();
    return FunctionResult.of(JsonBodies.format(merge.apply(each)));
  }
}
