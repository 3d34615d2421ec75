// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import com.google.re2j.PatternSyntaxException;
import dev.ragbus.RagbusException;
import io.vertx.core.json.Json;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import io.vertx.json.schema.JsonFormatValidator;
import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A JSON Schema that says the same as a given one, and against which a value can be held in a time
 * that grows with its size alone. As it is, the validator would take exponential time for some
 * patterns and the format {@code url}, and quadratic time for {@code uniqueItems} and the format
 * {@code idn-hostname}: one value from a stranger could stop the event loop.
 *
 * <p>{@code pattern} is matched by RE2, which knows no look-around and no back-references. What
 * {@code patternProperties} matches names with is Java's, so only patterns that begin with {@code
 * ^} and repeat one character or class at most once, or repeat nothing, are taken.
 */
final class LinearSchema implements JsonFormatValidator {
  private static final String CHECK = "dev.ragbus.check.";
  private static final Set<String> OF_SCHEMAS =
      Set.of("prefixItems", "items", "allOf", "anyOf", "oneOf");
  private static final Set<String> BY_NAME =
      Set.of("$defs", "definitions", "properties", "patternProperties", "dependentSchemas");

  /** What holds values, not schemas. */
  private static final Set<String> OF_VALUES = Set.of("const", "enum", "default");

  private static final int MAX_HOSTNAME_CHARS = 253;
  private static final Pattern ESCAPE = Pattern.compile("\\\\(?:u([0-9a-fA-F]{4})|(?s:.))");

  /** What stands for one character, whatever it looks like. */
  private static final Pattern CHARACTER =
      Pattern.compile("\\\\(?s:.)|\\[\\^?(?:\\\\(?s:.)|[^\\]\\\\])+\\]");

  /** Back-references and quotes, which are more than a character. */
  private static final Pattern MORE = Pattern.compile("\\\\[1-9kQ]");

  private static final com.google.re2j.Pattern WITHOUT_REPETITION =
      com.google.re2j.Pattern.compile("(?:[^*+?{(]|\\((?:\\?:)?)*");
  private static final Pattern ONE_REPETITION =
      Pattern.compile("\\^[^*+?{(|]*(?:[*+?]|\\{[0-9,]*\\})[^*+?{(|]*");

  private final String field;
  private final JsonObject schema;
  private final List<Function<Object, String>> checks = new ArrayList<>();

  /**
   * Rewrites a schema.
   *
   * @param field its name in messages
   * @throws RagbusException {@code INVALID} for a pattern that cannot be matched so
   */
  LinearSchema(String field, JsonObject schema) {
    this.field = field;
    this.schema = schema.copy();
    rewrite(this.schema, List.of());
  }

  /** The schema, for the validator that asks this object about its formats. */
  JsonObject schema() {
    return schema;
  }

  private void rewrite(JsonObject node, List<String> path) {
    for (Map.Entry<String, Object> entry : node) {
      String key = entry.getKey();
      List<String> below = with(path, key);
      if (entry.getValue() instanceof JsonObject map && BY_NAME.contains(key)) {
        for (Map.Entry<String, Object> named : map) {
          if (key.equals("patternProperties")) {
            checkForJava(named.getKey(), with(below, named.getKey()));
          }
          rewriteIfSchema(named.getValue(), with(below, named.getKey()));
        }
      } else if (entry.getValue() instanceof JsonArray all && OF_SCHEMAS.contains(key)) {
        for (int i = 0; i < all.size(); i++) {
          rewriteIfSchema(all.getValue(i), with(below, Integer.toString(i)));
        }
      } else if (!OF_VALUES.contains(key)) {
        rewriteIfSchema(entry.getValue(), below);
      }
    }
    JsonArray instead = new JsonArray();
    if (node.getValue("pattern") instanceof String pattern) {
      node.remove("pattern");
      instead.add(check(matches(pattern, with(path, "pattern"))));
    }
    if (Boolean.TRUE.equals(node.getValue("uniqueItems"))) {
      node.remove("uniqueItems");
      instead.add(check(LinearSchema::repeated));
    }
    String format = node.getValue("format") instanceof String given ? given : "";
    if (format.equals("url")) {
      node.put("format", "uri");
    } else if (format.startsWith(CHECK)) {
      node.remove("format");
    } else if (format.equals("idn-hostname")) {
      node.remove("format");
      instead.add(
          new JsonObject()
              .put("if", new JsonObject().put("maxLength", MAX_HOSTNAME_CHARS))
              .put("then", new JsonObject().put("format", "idn-hostname"))
              .put("else", false));
    }
    if (!instead.isEmpty()) {
      JsonArray all = node.getValue("allOf") instanceof JsonArray given ? given : new JsonArray();
      node.put("allOf", all.addAll(instead));
    }
  }

  private void rewriteIfSchema(Object value, List<String> path) {
    if (value instanceof JsonObject schemaBelow) {
      rewrite(schemaBelow, path);
    }
  }

  private static List<String> with(List<String> path, String step) {
    List<String> longer = new ArrayList<>(path);
    longer.add(step);
    return longer;
  }

  private JsonObject check(Function<Object, String> check) {
    checks.add(check);
    return new JsonObject().put("format", CHECK + (checks.size() - 1));
  }

  @Override
  public String validateFormat(String instanceType, String format, Object instance) {
    if (format == null || !format.startsWith(CHECK)) {
      return null;
    }
    int number = Integer.parseInt(format.substring(CHECK.length()));
    return checks.get(number).apply(instance);
  }

  private Function<Object, String> matches(String pattern, List<String> path) {
    com.google.re2j.Pattern compiled;
    try {
      compiled = com.google.re2j.Pattern.compile(ofRe2(pattern));
    } catch (PatternSyntaxException e) {
      throw RagbusException.invalid(
          field
              + FunctionSchema.written(path)
              + " is no pattern of RE2, which has no look-around and no back-references: "
              + e.getDescription());
    }
    return value ->
        value instanceof CharSequence text && !compiled.matcher(text).find()
            ? "String does not match pattern"
            : null;
  }

  /** RE2 writes a character by its number in another way. */
  private static String ofRe2(String pattern) {
    return ESCAPE
        .matcher(pattern)
        .replaceAll(
            found ->
                Matcher.quoteReplacement(
                    found.group(1) == null ? found.group() : "\\x{" + found.group(1) + "}"));
  }

  private void checkForJava(String pattern, List<String> path) {
    String bare = CHARACTER.matcher(pattern).replaceAll("x");
    if (MORE.matcher(pattern).find()
        || !WITHOUT_REPETITION.matcher(bare).matches() && !ONE_REPETITION.matcher(bare).matches()) {
      throw RagbusException.invalid(
          field
              + FunctionSchema.written(path)
              + " has a pattern that may take too long: "
              + "only one that begins with ^ may repeat, and only one character or class, once");
    }
  }

  /** Which items of an array are the same; null for none. */
  private static String repeated(Object value) {
    if (!(value instanceof JsonArray items)) {
      return null;
    }
    Map<String, Integer> places = new HashMap<>();
    for (int i = 0; i < items.size(); i++) {
      Integer before = places.putIfAbsent(written(items.getValue(i)), i);
      if (before != null) {
        return "Duplicate items at indexes " + before + " and " + i;
      }
    }
    return null;
  }

  /** A value, written in the same way as all that are equal to it. */
  private static String written(Object value) {
    if (value instanceof JsonObject object) {
      TreeMap<String, String> fields = new TreeMap<>();
      object.forEach(entry -> fields.put(Json.encode(entry.getKey()), written(entry.getValue())));
      return fields.toString();
    }
    if (value instanceof JsonArray array) {
      return array.stream().map(LinearSchema::written).toList().toString();
    }
    if (value instanceof Number number) {
      return number(number);
    }
    return Json.encode(value);
  }

  private static String number(Number number) {
    try {
      return new BigDecimal(number.toString()).stripTrailingZeros().toString();
    } catch (NumberFormatException notFinite) {
      return number.toString();
    }
  }
}
