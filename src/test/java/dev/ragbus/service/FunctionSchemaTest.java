// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;

import dev.ragbus.Await;
import dev.ragbus.RagbusException;
import dev.ragbus.RagbusException.Kind;
import io.vertx.core.Vertx;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What a schema allows, and that no value keeps the event loop. */
class FunctionSchemaTest {
  /** Generous: without the bounds these would take from minutes to centuries. */
  private static final Duration AT_ONCE = Duration.ofSeconds(20);

  private static FunctionSchema.Compiler compiler;

  @BeforeAll
  static void read() {
    Vertx vertx = Vertx.vertx();
    compiler = new FunctionSchema.Compiler(vertx);
    Await.result(vertx.close());
  }

  private static FunctionSchema.Violation violation(String schema, Object value) {
    return compiler.compile("input_schema", new JsonObject(schema)).violation(value);
  }

  private static boolean allows(String schema, Object value) {
    return violation(schema, value) == null;
  }

  @ParameterizedTest
  @ValueSource(strings = {"(a+)+$", "^(a|a)*$", "(a*)*b", "^(([a-z])+.)+[A-Z]([a-z])+$", "a+$"})
  void noPatternTakesLong(String pattern) {
    String schema = new JsonObject().put("pattern", pattern).encode();
    assertTimeoutPreemptively(
        AT_ONCE, () -> assertThat(allows(schema, "a".repeat(200_000) + "!")).isFalse());
  }

  @ParameterizedTest
  @CsvSource({
    "^[a-z]+$,      abc,    ABC",
    "b,             abc,    ac",
    "^\\d{2}$,      12,     1a",
    "\\u0041[\\u0042-\\u0043], AC, A",
    "^\\\\u$,       \\u,    u",
    "'^\\S+@\\S+$', a@b,    a b",
    "\\p{Lu},       Ä,      ä",
  })
  void aPatternSaysWhatItSaid(String pattern, String allowed, String forbidden) {
    String schema = new JsonObject().put("pattern", pattern).encode();
    assertThat(allows(schema, allowed)).isTrue();
    assertThat(violation(schema, forbidden).problem()).isEqualTo("String does not match pattern");
    assertThat(allows(schema, 5)).as("what is no string").isTrue();
  }

  @Test
  void aPatternIsFoundWhereverItIs() {
    String schema =
        """
        {"$defs": {"code": {"pattern": "^[A-Z]$"}},
         "properties": {"pattern": {"type": "string"},
                        "uniqueItems": true,
                        "codes": {"items": {"$ref": "#/$defs/code"}, "uniqueItems": true},
                        "either": {"anyOf": [{"pattern": "^a"}, {"allOf": [{"pattern": "^b"}]}]},
                        "fixed": {"const": {"pattern": "("}}}}
        """;
    assertThat(allows(schema, Map.of("codes", List.of("A", "B")))).isTrue();
    assertThat(violation(schema, Map.of("codes", List.of("A", "b"))).path())
        .containsExactly("codes", "1");
    assertThat(violation(schema, Map.of("codes", List.of("A", "A"))).problem())
        .isEqualTo("Duplicate items at indexes 0 and 1");
    assertThat(allows(schema, Map.of("either", "bcd"))).isTrue();
    assertThat(allows(schema, Map.of("either", "cd"))).isFalse();
    assertThat(allows(schema, Map.of("pattern", "anything", "uniqueItems", List.of(1, 1))))
        .isTrue();
    assertThat(allows(schema, Map.of("fixed", Map.of("pattern", "(")))).isTrue();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "{\"pattern\": \"(?=a)b\"} ; input_schema.pattern is no pattern of RE2",
        "{\"items\": {\"pattern\": \"(a)\\\\1\"}} ; input_schema.items.pattern is no pattern",
        "{\"patternProperties\": {\"(a+)+$\": {}}} ; input_schema.patternProperties.(a+)+$ has a",
        "{\"patternProperties\": {\"^(a|b)*$\": {}}} ; that begins with ^ may repeat",
        "{\"patternProperties\": {\"a+$\": {}}} ; that begins with ^ may repeat",
        "{\"patternProperties\": {\"^a+b+$\": {}}} ; that begins with ^ may repeat",
        "{\"patternProperties\": {\"^a|b+$\": {}}} ; that begins with ^ may repeat",
        "{\"patternProperties\": {\"(?=a)\": {}}} ; that begins with ^ may repeat",
        "{\"patternProperties\": {\"(a)\\\\1\": {}}} ; that begins with ^ may repeat",
      })
  void aPatternThatMayTakeLongIsRefused(String schema, String message) {
    RagbusException refused =
        catchThrowableOfType(
            RagbusException.class, () -> compiler.compile("input_schema", new JsonObject(schema)));
    assertThat(refused.kind()).isEqualTo(Kind.INVALID);
    assertThat(refused.detail()).contains(message);
  }

  @ParameterizedTest
  @CsvSource({
    "^x-,              x-a,    ax-",
    "^[a-z_]+$,        a_b,    A",
    "^[^\\[*+]{2}$,    ab,     a+",
    "_(?:id|key)$,     the_id, id_",
    "^\\+\\*,          +*,     +",
  })
  void namesMayMatchSimplePatterns(String pattern, String matching, String other) {
    JsonObject schema =
        new JsonObject()
            .put(
                "patternProperties",
                new JsonObject().put(pattern, new JsonObject().put("type", "integer")))
            .put("additionalProperties", false);
    assertThat(allows(schema.encode(), Map.of(matching, 1))).isTrue();
    assertThat(allows(schema.encode(), Map.of(matching, "a"))).isFalse();
    assertThat(allows(schema.encode(), Map.of(other, 1))).isFalse();
    String longName = matching.repeat(100_000) + "\n!";
    assertTimeoutPreemptively(AT_ONCE, () -> allows(schema.encode(), Map.of(longName, 1)));
  }

  @Test
  void namesOfPropertiesMayHaveAnyCharacters() {
    String schema = "{\"additionalProperties\": {\"type\": \"integer\"}}";
    for (String name : List.of("a\n!", "%", "%2", "a/b~c", "+", "\u0001", "\ud800", "é")) {
      assertThat(violation(schema, Map.of(name, "no")).problem()).contains("string is invalid");
    }
    assertThat(violation(schema, Map.of("a/b~c d", "no")).path()).containsExactly("a/b~c d");
  }

  @Test
  void itemsOfAnyKindAreFoundAgain() {
    String schema = "{\"uniqueItems\": true}";
    assertThat(allows(schema, List.of(1, "1", true, "true", List.of(), Map.of(), List.of(1))))
        .isTrue();
    for (String same :
        List.of(
            "[1, 1.0]",
            "[\"a\", \"b\", \"a\"]",
            "[null, null]",
            "[[1, 2], [1, 2.0]]",
            "[{\"a\": 1, \"b\": [2]}, {\"b\": [2], \"a\": 1}]")) {
      assertThat(allows(schema, new JsonArray(same))).as(same).isFalse();
    }
    assertThat(allows("{\"uniqueItems\": false}", List.of(1, 1))).isTrue();
    List<Integer> many = IntStream.range(0, 300_000).boxed().toList();
    assertTimeoutPreemptively(AT_ONCE, () -> assertThat(allows(schema, many)).isTrue());
  }

  @Test
  void formatsTakeNoLongTime() {
    assertThat(allows("{\"format\": \"date\"}", "2026-02-30x")).isFalse();
    assertThat(allows("{\"format\": \"dev.ragbus.check.7\"}", "a")).isTrue();
    String url = "{\"format\": \"url\"}";
    assertThat(allows(url, "https://example.org/a")).isTrue();
    assertTimeoutPreemptively(AT_ONCE, () -> allows(url, "http://" + "a".repeat(2_000) + "!"));
    String hostname = "{\"format\": \"idn-hostname\"}";
    assertThat(allows(hostname, "실례.테스트")).isTrue();
    assertThat(allows(hostname, 5)).isTrue();
    assertTimeoutPreemptively(
        AT_ONCE, () -> assertThat(allows(hostname, "l".repeat(1_000_000))).isFalse());
  }
}
