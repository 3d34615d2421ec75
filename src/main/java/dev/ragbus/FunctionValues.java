// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * What functions take and give: JSON shapes (null, booleans, numbers, strings, lists, maps) with
 * {@link Tensor}s among them.
 */
final class FunctionValues {
  private static final int MAX_DEPTH = 100;

  private FunctionValues() {}

  /**
   * An immutable copy of a value. Lists, arrays of objects and {@link JsonArray}s become lists;
   * maps and {@link JsonObject}s become maps with their order. What UTF-8 cannot carry becomes
   * U+FFFD.
   *
   * @param path the value's name in messages
   * @throws RagbusException {@code TYPE_CONVERSION}, naming the path, for a value without a JSON
   *     form, a number that is not finite, and nesting deeper than 100
   */
  static Object copy(String path, Object value) {
    return copy(path, value, 0);
  }

  private static Object copy(String path, Object value, int depth) {
    if (depth > MAX_DEPTH) {
      throw noForm(path + " is nested deeper than " + MAX_DEPTH);
    }
    if (value == null
        || value instanceof Boolean
        || value instanceof Integer
        || value instanceof Long
        || value instanceof BigInteger
        || value instanceof Tensor) {
      return value;
    }
    if (value instanceof CharSequence || value instanceof Character) {
      return safe(value.toString());
    }
    if (value instanceof Double || value instanceof Float) {
      if (!Double.isFinite(((Number) value).doubleValue())) {
        throw noForm(path + " is " + value + ", which has no JSON form");
      }
      return value;
    }
    if (value instanceof Short || value instanceof Byte || value instanceof BigDecimal) {
      return value;
    }
    if (value instanceof JsonObject object) {
      return copy(path, object.getMap(), depth);
    }
    if (value instanceof JsonArray array) {
      return copy(path, array.getList(), depth);
    }
    if (value instanceof Map<?, ?> map) {
      return copyMap(path, map, depth);
    }
    if (value instanceof Iterable<?> items) {
      return copyList(path, items, depth);
    }
    if (value instanceof Object[] items) {
      return copyList(path, java.util.Arrays.asList(items), depth);
    }
    throw noForm(path + " is a " + value.getClass().getName() + ", which has no JSON form");
  }

  private static Map<String, Object> copyMap(String path, Map<?, ?> map, int depth) {
    Map<String, Object> copy = new LinkedHashMap<>();
    map.forEach(
        (key, item) -> {
          if (!(key instanceof String name)) {
            throw noForm(path + " has a key that is no string");
          }
          copy.put(safe(name), copy(path + "." + name, item, depth + 1));
        });
    return Collections.unmodifiableMap(copy);
  }

  private static List<Object> copyList(String path, Iterable<?> items, int depth) {
    List<Object> copy = new ArrayList<>();
    for (Object item : items) {
      copy.add(copy(path + "[" + copy.size() + "]", item, depth + 1));
    }
    return Collections.unmodifiableList(copy);
  }

  private static RagbusException noForm(String detail) {
    return RagbusException.of(RagbusException.Kind.TYPE_CONVERSION, detail);
  }

  private static String safe(String text) {
    for (int i = 0; i < text.length(); i++) {
      if (Character.isSurrogate(text.charAt(i))) {
        return withoutLoneSurrogates(text, i);
      }
    }
    return text;
  }

  private static String withoutLoneSurrogates(String text, int from) {
    StringBuilder safe = new StringBuilder(text.length()).append(text, 0, from);
    text.substring(from)
        .codePoints()
        .forEach(
            point ->
                safe.appendCodePoint(
                    point >= Character.MIN_SURROGATE && point <= Character.MAX_SURROGATE
                        ? 0xFFFD
                        : point));
    return safe.toString();
  }

  /** Whether there is a tensor among a value. */
  static boolean holdsTensor(Object value) {
    if (value instanceof Map<?, ?> map) {
      return map.values().stream().anyMatch(FunctionValues::holdsTensor);
    }
    if (value instanceof List<?> list) {
      return list.stream().anyMatch(FunctionValues::holdsTensor);
    }
    return value instanceof Tensor;
  }

  /**
   * The same with lists in the place of tensors.
   *
   * @throws RagbusException {@code SERIALIZATION} for a tensor with a number that is not finite
   */
  static Object json(Object value) {
    return holdsTensor(value) ? withoutTensors(value) : value;
  }

  private static Object withoutTensors(Object value) {
    if (value instanceof Tensor tensor) {
      return tensor.toJson();
    }
    if (value instanceof Map<?, ?> map) {
      Map<String, Object> copy = new LinkedHashMap<>();
      map.forEach((key, item) -> copy.put((String) key, withoutTensors(item)));
      return copy;
    }
    if (value instanceof List<?> list) {
      List<Object> copy = new ArrayList<>(list.size());
      list.forEach(item -> copy.add(withoutTensors(item)));
      return copy;
    }
    return value;
  }
}
