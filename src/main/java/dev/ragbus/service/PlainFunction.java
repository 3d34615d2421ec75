// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import dev.ragbus.EmbedRequest;
import dev.ragbus.Embeddings;
import dev.ragbus.FunctionResult;
import dev.ragbus.JsonBodies;
import dev.ragbus.ModelQuery;
import dev.ragbus.ModelSpec;
import dev.ragbus.ModelType;
import dev.ragbus.NoArguments;
import dev.ragbus.RagbusException;
import dev.ragbus.RagbusException.Kind;
import dev.ragbus.RerankRequest;
import io.vertx.core.Future;
import io.vertx.core.json.JsonObject;
import java.util.Arrays;
import java.util.List;

/**
 * One of Ragbus's own operations under the plain name that it has among the functions: its body is
 * the arguments, its reply the result. What Python raises is a result too, {@code {"error",
 * "error_type"}}; every other failure is one.
 *
 * @param name its name
 * @param description what it does
 * @param inputSchema what it takes
 * @param outputSchema what it gives, where Python does not fail
 * @param operation what it does with a body
 */
record PlainFunction(
    String name,
    String description,
    JsonObject inputSchema,
    JsonObject outputSchema,
    Operation operation) {

  /** What a plain function does with a body. */
  @FunctionalInterface
  interface Operation {
    Future<JsonObject> run(Operations operations, JsonObject body, Call call);
  }

  /** All of them. */
  static final List<PlainFunction> ALL =
      List.of(
          of(
              "embed_texts",
              "Texts to vectors.",
              """
              {"type": "object", "required": ["texts"], "properties": {
                "texts": {"type": "array", "items": {"type": "string"}},
                "model": {"type": "string"},
                "normalize": {"type": "boolean"},
                "dimensions": {"type": "integer"},
                "embedding_type": {"enum": ["float", "int8", "uint8", "binary", "ubinary"]},
                "prompt": {"type": "string"},
                "prompt_name": {"type": "string"},
                "truncate": {"type": "boolean"},
                "truncation_direction": {"enum": ["left", "right"]}}}
              """,
              """
              {"type": "object", "required": ["embeddings", "model", "dimensions", "count"],
               "properties": {
                "embeddings": {"type": "array",
                               "items": {"type": "array", "items": {"type": "number"}}},
                "model": {"type": "string"},
                "dimensions": {"type": "integer"},
                "count": {"type": "integer"}}}
              """,
              (operations, body, call) ->
                  operations
                      .embed(JsonBodies.parse(body, EmbedRequest.class), call)
                      .map(Embeddings::toJson)),
          of(
              "rerank_texts",
              "Ranks texts by how well they answer a query, best first.",
              """
              {"type": "object", "required": ["query", "texts"], "properties": {
                "query": {"type": "string"},
                "texts": {"type": "array", "items": {"type": "string"}},
                "model": {"type": "string"},
                "top_n": {"type": "integer"},
                "return_texts": {"type": "boolean"},
                "raw_scores": {"type": "boolean"},
                "max_tokens_per_doc": {"type": "integer"},
                "max_chunks_per_doc": {"type": "integer"},
                "truncate": {"type": "boolean"},
                "truncation_direction": {"enum": ["left", "right"]}}}
              """,
              """
              {"type": "object", "required": ["ranked_results", "model", "query"], "properties": {
                "ranked_results": {"type": "array", "items": {
                  "type": "object", "required": ["index", "score"], "properties": {
                    "index": {"type": "integer"},
                    "text": {"type": ["string", "null"]},
                    "score": {"type": "number"}}}},
                "model": {"type": "string"},
                "query": {"type": "string"}}}
              """,
              (operations, body, call) ->
                  operations
                      .rerank(JsonBodies.parse(body, RerankRequest.class), call)
                      .map(JsonBodies::format)),
          of(
              "load_model",
              "Loads a model, or tells that it is loaded.",
              """
              {"type": "object", "required": ["model_name"], "properties": {
                "model_name": {"type": "string"},
                "model_type": {"type": "string", "default": "embedding",
                               "description": "embedding or cross-encoder"},
                "force_reload": {"type": "boolean", "default": false}}}
              """,
              """
              {"type": "object", "required": ["status", "model_name", "cached_models"],
               "properties": {
                "status": {"enum": ["loaded", "already_loaded"]},
                "model_name": {"type": "string"},
                "model_type": {"type": "string"},
                "cached_models": {"type": "array", "items": {"type": "string"}}}}
              """,
              PlainFunction::load),
          of(
              "list_models",
              "The loaded models.",
              """
              {"type": "object", "properties": {}}
              """,
              """
              {"type": "object", "required": ["cached_models", "total_count"], "properties": {
                "cached_models": {"type": "array", "items": {"type": "object"}},
                "total_count": {"type": "integer"}}}
              """,
              (operations, body, call) ->
                  operations
                      .list(JsonBodies.parse(body, NoArguments.class), call)
                      .map(JsonBodies::format)),
          of(
              "clear_cache",
              "Forgets a loaded model, or all of them.",
              """
              {"type": "object", "properties": {"model": {"type": ["string", "null"]}}}
              """,
              """
              {"type": "object", "required": ["status", "cleared_models", "remaining_models"],
               "properties": {
                "status": {"const": "cleared"},
                "cleared_models": {"type": "array", "items": {"type": "string"}},
                "remaining_models": {"type": "array", "items": {"type": "string"}}}}
              """,
              (operations, body, call) ->
                  operations
                      .clear(JsonBodies.parse(body, ModelQuery.class), call)
                      .map(JsonBodies::format)));

  private static PlainFunction of(
      String name, String description, String input, String output, Operation operation) {
    return new PlainFunction(
        name, description, new JsonObject(input), new JsonObject(output), operation);
  }

  private static Future<JsonObject> load(Operations operations, JsonObject body, Call call) {
    String type = body.getString("model_type");
    if (type != null
        && Arrays.stream(ModelType.values()).noneMatch(known -> known.wireName().equals(type))) {
      return Future.succeededFuture(error("Unknown model type: " + type, "ValueError"));
    }
    return operations.load(JsonBodies.parse(body, ModelSpec.class), call).map(JsonBodies::format);
  }

  /** Runs it on a body that fits its schema. */
  Future<FunctionResult> run(Operations operations, JsonObject body, Call call) {
    return operation
        .run(operations, body, call)
        .recover(
            failure ->
                failure instanceof RagbusException python && python.kind() == Kind.PYTHON
                    ? Future.succeededFuture(error(messageOf(python), python.pythonType()))
                    : Future.failedFuture(failure))
        .map(FunctionResult::of);
  }

  /** The message of a Python exception begins with its class on the bus. */
  private static String messageOf(RagbusException python) {
    String prefix = python.pythonType() + ": ";
    String detail = python.detail();
    return detail.startsWith(prefix) ? detail.substring(prefix.length()) : detail;
  }

  private static JsonObject error(String message, String type) {
    return new JsonObject().put("error", message).put("error_type", type);
  }
}
