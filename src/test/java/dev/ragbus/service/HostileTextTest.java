// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import static org.assertj.core.api.Assertions.assertThat;

import dev.ragbus.Await;
import dev.ragbus.FunctionCall;
import dev.ragbus.FunctionSpec;
import dev.ragbus.Ragbus;
import dev.ragbus.TokenizeRequest;
import io.vertx.core.Future;
import io.vertx.core.Vertx;
import io.vertx.core.json.JsonObject;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/**
 * Strings that jep, JSON or UTF-8 could trip over, to Python and back: each comes back as it went,
 * lone surrogates alone as U+FFFD, and never as, or into, another's.
 */
class HostileTextTest {
  private static final int TEXTS_A_CALL = 1_000;
  private static final int TOKENIZED_A_CALL = 50;
  private static final String NASTY =
      "\u0000\u0001\u0008\n\r\u001b\u007f\u0085\u00ad\u200d\u200f\u2028\u202e\u2066\ud83d\ude00"
          + "\udbff\udfff\ufdd0\ufeff\ufffd\ufffe\uffff\"\\/'{}[]%\u0301\u05d0\u0627\u0e33";

  private static Vertx vertx;
  private static TestService service;
  private static Ragbus ragbus;

  @BeforeAll
  static void start() {
    vertx = Vertx.vertx();
    service =
        TestService.start(
            vertx, new JsonObject().put("functions", new JsonObject().put("allow_source", true)));
    ragbus = service.ragbus();
    Await.result(
        ragbus.register(
            FunctionSpec.ofCode(
                "echo_all",
                """
                def echo_all(texts, keyed):
                    return [texts, [len(text.encode()) for text in texts], keyed]
                """)));
    Await.result(ragbus.register(FunctionSpec.ofCode("good", "def good(n): return n * 'ü'")));
  }

  @AfterAll
  static void stop() {
    service.close();
    Await.result(vertx.close());
  }

  private static String hostile(Random random) {
    StringBuilder text = new StringBuilder();
    switch (random.nextInt(12)) {
      case 0 -> text.append('\ufeff');
      case 1 -> text.append('\ufffe');
      case 2 -> text.append('\ud83d');
      case 3 -> text.append("a").append("\u0301".repeat(random.nextInt(300)));
      case 4 -> text.append("\u202e\u05d0").append("\ud83d\udc68\u200d".repeat(20));
      case 5 -> text.append("\u0000".repeat(random.nextInt(20)));
      default -> {
        // Nothing goes first.
      }
    }
    for (int length = random.nextInt(30); length > 0; length--) {
      switch (random.nextInt(4)) {
        case 0 -> text.append((char) random.nextInt(0x10000));
        case 1 -> text.appendCodePoint(0x10000 + random.nextInt(0x100000));
        case 2 -> text.append((char) (' ' + random.nextInt(95)));
        default -> text.append(NASTY.charAt(random.nextInt(NASTY.length())));
      }
    }
    if (random.nextInt(5_000) == 0) {
      text.append("\u0300".repeat(50_000));
    }
    return text.toString();
  }

  private static String expected(String text) {
    StringBuilder expected = new StringBuilder(text.length());
    text.codePoints()
        .forEach(
            point ->
                expected.appendCodePoint(
                    Character.getType(point) == Character.SURROGATE ? 0xFFFD : point));
    return expected.toString();
  }

  private static List<String> texts(Random random, int count) {
    return Stream.generate(() -> hostile(random)).limit(count).toList();
  }

  @Test
  void tenThousandComeBackAsTheyWent() {
    cross(10_000, 11);
    tokenize(1_000, 12);
  }

  @Test
  @Tag("slow")
  @Tag("side-by-side")
  void twoHundredThousandComeBackAsTheyWent() {
    cross(200_000, 13);
    tokenize(10_000, 14);
  }

  private static void cross(int count, long seed) {
    Random random = new Random(seed);
    for (int call = 0; call < count / TEXTS_A_CALL; call++) {
      List<String> texts = texts(random, TEXTS_A_CALL);
      String key = hostile(random);
      int number = 1 + call % 50;
      Future<Object> beside =
          ragbus.call(FunctionCall.of("good", number)).map(good -> good.result());

      List<?> answer =
          (List<?>)
              Await.result(ragbus.call(FunctionCall.of("echo_all", texts, Map.of(key, call))))
                  .result();

      List<String> expected = texts.stream().map(HostileTextTest::expected).toList();
      assertThat(answer.get(0)).isEqualTo(expected);
      assertThat(((List<?>) answer.get(1)).stream().map(it -> ((Number) it).intValue()).toList())
          .as("bytes of UTF-8 that Python counts")
          .isEqualTo(
              expected.stream().map(it -> it.getBytes(StandardCharsets.UTF_8).length).toList());
      assertThat(answer.get(2)).isEqualTo(Map.of(expected(key), call));
      assertThat(Await.result(beside)).isEqualTo("ü".repeat(number));
    }
  }

  /** Texts for models go another way than arguments of functions. */
  private static void tokenize(int count, long seed) {
    Random random = new Random(seed);
    Object innocent = tokens(List.of("an innocent text"));
    for (int call = 0; call < count / TOKENIZED_A_CALL; call++) {
      List<String> texts = texts(random, TOKENIZED_A_CALL);
      Future<?> beside = tokenized(List.of("an innocent text"));
      assertThat(tokens(texts))
          .isEqualTo(tokens(texts.stream().map(HostileTextTest::expected).toList()));
      assertThat(Await.result(beside)).isEqualTo(innocent);
    }
  }

  private static Object tokens(List<String> texts) {
    return Await.result(tokenized(texts));
  }

  private static Future<?> tokenized(List<String> texts) {
    return ragbus.tokenize(new TokenizeRequest(texts, null, null)).map(made -> made.tokens());
  }
}
