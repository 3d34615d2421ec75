// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import dev.ragbus.RagbusException;
import io.vertx.core.Vertx;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import io.vertx.json.schema.Draft;
import io.vertx.json.schema.JsonSchema;
import io.vertx.json.schema.JsonSchemaOptions;
import io.vertx.json.schema.OutputFormat;
import io.vertx.json.schema.OutputUnit;
import io.vertx.json.schema.SchemaException;
import io.vertx.json.schema.SchemaRepository;
import io.vertx.json.schema.Validator;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.Comparator;
import java.util.List;
import java.util.Map;

/**
 * A JSON Schema (draft 2020-12), compiled once. Belongs to the service's event loop: the compiled
 * form changes while it is used.
 */
final class FunctionSchema {
  private static final String META = "https://json-schema.org/draft/2020-12/schema";

  private static final JsonSchemaOptions OPTIONS =
      new JsonSchemaOptions()
          .setDraft(Draft.DRAFT202012)
          .setBaseUri("ragbus://function")
          .setOutputFormat(OutputFormat.Basic);

  private final Validator validator;
  private final boolean ofObject;
  private final List<String> properties;

  private FunctionSchema(String field, JsonObject schema) {
    LinearSchema linear = new LinearSchema(field, schema);
    validator = Validator.create(JsonSchema.of(linear.schema()), OPTIONS, linear);
    JsonObject named = schema.getJsonObject("properties");
    ofObject = named != null || "object".equals(schema.getValue("type"));
    properties = named == null ? List.of() : List.copyOf(named.fieldNames());
  }

  /** Compiles schemas, after holding them against the schema of schemas. */
  static final class Compiler {
    private final Validator meta;

    /** Reads the schema of schemas; blocks. */
    Compiler(Vertx vertx) {
      meta =
          SchemaRepository.create(OPTIONS)
              .preloadMetaSchema(vertx.fileSystem(), Draft.DRAFT202012)
              .validator(META);
    }

    /**
     * Compiles a schema.
     *
     * @param field its name in messages
     * @return null for one that is missing or allows everything
     * @throws RagbusException {@code INVALID} for what is no schema, or has patterns that may take
     *     too long
     */
    FunctionSchema compile(String field, JsonObject schema) {
      if (schema == null || schema.isEmpty()) {
        return null;
      }
      Violation violation = violation(meta, schema);
      if (violation != null) {
        throw RagbusException.invalid(
            field + written(violation.path) + " is no JSON Schema: " + violation.problem);
      }
      try {
        return new FunctionSchema(field, schema);
      } catch (SchemaException | ClassCastException e) {
        throw RagbusException.invalid(field + " is no JSON Schema: " + e.getMessage());
      }
    }
  }

  /** Whether it describes an object, as the schema of a function's parameters does. */
  boolean isOfObject() {
    return ofObject;
  }

  /** The properties it names, in their order. */
  List<String> properties() {
    return properties;
  }

  /**
   * What breaks a schema.
   *
   * @param path the steps to it from the value that was checked
   * @param problem what is wrong there
   */
  record Violation(List<String> path, String problem) {}

  /** What breaks the schema, at the deepest place; null for nothing. */
  Violation violation(Object value) {
    return violation(validator, wrapped(value));
  }

  private static Violation violation(Validator validator, Object value) {
    OutputUnit result;
    try {
      result = validator.validate(value);
    } catch (SchemaException e) {
      return new Violation(
          List.of(), "it cannot be checked: " + e.getMessage().lines().findFirst());
    } catch (StackOverflowError e) {
      return new Violation(List.of(), "it cannot be checked: the schema refers to itself");
    }
    if (result.getValid()) {
      return null;
    }
    List<OutputUnit> errors = result.getErrors();
    return errors == null || errors.isEmpty()
        ? new Violation(List.of(), "nothing is allowed")
        : errors.stream()
            .max(
                Comparator.<OutputUnit>comparingInt(e -> path(e.getInstanceLocation()).size())
                    .thenComparingInt(e -> path(e.getKeywordLocation()).size()))
            .map(e -> new Violation(path(e.getInstanceLocation()), e.getError()))
            .get();
  }

  @SuppressWarnings("unchecked")
  private static Object wrapped(Object value) {
    if (value instanceof Map<?, ?> map) {
      return new JsonObject((Map<String, Object>) map);
    }
    return value instanceof List<?> list ? new JsonArray(list) : value;
  }

  /** The steps of a JSON pointer in a URI fragment (RFC 6901, section 6). */
  private static List<String> path(String location) {
    int slash = location.indexOf('/');
    return slash < 0
        ? List.of()
        : List.of(location.substring(slash + 1).split("/")).stream()
            .map(FunctionSchema::step)
            .toList();
  }

  private static String step(String escaped) {
    String decoded;
    try {
      decoded = URLDecoder.decode(escaped.replace("+", "%2B"), StandardCharsets.UTF_8);
    } catch (IllegalArgumentException wronglyEscaped) {
      // The validator writes control characters with one digit.
      decoded = escaped;
    }
    return decoded.replace("~1", "/").replace("~0", "~");
  }

  /** Steps as they are written in a message: {@code .x[0].y}. */
  static String written(List<String> path) {
    StringBuilder text = new StringBuilder();
    for (String step : path) {
      boolean index = !step.isEmpty() && step.chars().allMatch(Character::isDigit);
      text.append(index ? "[" + step + "]" : "." + step);
    }
    return text.toString();
  }
}
