// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/** The checks that the request records share; each names the field in its failure. */
final class Checks {
  private Checks() {}

  static String required(String field, String value) {
    if (value == null) {
      throw RagbusException.invalid(field + " is required");
    }
    return value;
  }

  static String notBlank(String field, String value) {
    if (required(field, value).isBlank()) {
      throw RagbusException.invalid(field + " must not be blank");
    }
    return value;
  }

  static void notBlankIfPresent(String field, String value) {
    if (value != null) {
      notBlank(field, value);
    }
  }

  static List<String> texts(String field, List<String> values) {
    return withoutNull(field, values, "a string");
  }

  /** A copy of a list; {@code what} says what each of its elements must be. */
  static <T> List<T> withoutNull(String field, List<T> values, String what) {
    if (values == null) {
      throw RagbusException.invalid(field + " is required");
    }
    List<T> copy = new ArrayList<>(values);
    int missing = copy.indexOf(null);
    if (missing >= 0) {
      throw RagbusException.invalid(field + "[" + missing + "] must be " + what + ", not null");
    }
    return Collections.unmodifiableList(copy);
  }

  /** The texts of a request that has either texts or tokens; none where it has tokens. */
  static List<String> textsUnless(List<List<Integer>> tokens, List<String> texts) {
    if (tokens == null) {
      return texts("texts", texts);
    }
    if (texts != null && !texts.isEmpty()) {
      throw RagbusException.invalid("tokens and texts exclude each other");
    }
    return List.of();
  }

  /** A request has one prompt at most, and none in front of tokens. */
  static void prompts(String prompt, String promptName, List<List<Integer>> tokens) {
    if (tokens != null && (prompt != null || promptName != null)) {
      throw RagbusException.invalid("tokens and prompts exclude each other");
    }
    if (prompt != null && promptName != null) {
      throw RagbusException.invalid("prompt and prompt_name exclude each other");
    }
  }

  static List<List<Integer>> ids(String field, List<List<Integer>> values) {
    if (values == null) {
      throw RagbusException.invalid(field + " is required");
    }
    for (int i = 0; i < values.size(); i++) {
      if (values.get(i) == null || values.get(i).stream().anyMatch(Objects::isNull)) {
        throw RagbusException.invalid(
            field + "[" + i + "] must be a list of integers without null");
      }
    }
    return values.stream().map(List::copyOf).toList();
  }

  static Map<String, String> strings(String field, Map<String, String> values) {
    if (values == null) {
      return Map.of();
    }
    values.forEach(
        (key, value) -> {
          if (value == null) {
            throw RagbusException.invalid(field + "." + key + " must be a string, not null");
          }
        });
    return Map.copyOf(values);
  }

  static void positiveIfPresent(String field, Integer value) {
    if (value != null && value < 1) {
      throw RagbusException.invalid(field + " must be at least 1, not " + value);
    }
  }

  static <T> T orDefault(T value, T defaultValue) {
    return value == null ? defaultValue : value;
  }
}
