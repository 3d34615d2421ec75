// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

import static org.assertj.core.api.Assertions.assertThat;

import dev.ragbus.http.RawClient.Frame;
import io.vertx.core.Vertx;
import io.vertx.core.json.JsonObject;
import io.vertx.junit5.VertxExtension;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HexFormat;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** WebSocket frames that no client should send: each ends its own socket, with the right code. */
@ExtendWith(VertxExtension.class)
class HostileSocketTest {
  private static final String PATH = "/v1/rerank/stream";
  private static final int MAX_BODY_BYTES = 20_000;
  private static final int FIN = 0x80;
  private static final int CONTINUATION = 0;
  private static final int TEXT = 1;
  private static final int BINARY = 2;
  private static final int CLOSE = 8;
  private static final int PING = 9;
  private static final int PONG = 10;
  private static final int PROTOCOL_ERROR = 1002;
  private static final int NOT_UTF_8 = 1007;
  private static final int TOO_BIG = 1009;

  private static Served served;

  @BeforeAll
  static void deploy(Vertx vertx) {
    served =
        Served.deploy(
            vertx,
            new JsonObject().put("limits", new JsonObject().put("max_body_bytes", MAX_BODY_BYTES)));
  }

  @AfterEach
  void others_are_served() {
    assertThat(served.post("/embed", "{\"inputs\": \"abc\"}").body().toString())
        .isEqualTo("[[3.0,1.0,-3.0]]");
    try (RawClient good = RawClient.socket(served.port(), PATH)) {
      good.frame(FIN | TEXT, utf8("{\"id\": \"a\", \"type\": \"x\"}"));
      assertThat(good.frame().text()).contains("type must be");
    }
  }

  private static byte[] utf8(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }

  private static byte[] bytes(String hex) {
    return HexFormat.of().parseHex(hex);
  }

  @ParameterizedTest
  @CsvSource({
    "reserved bit 1,         c1, 7b7d, 1002",
    "reserved bit 2,         a1, 7b7d, 1002",
    "reserved bit 3,         91, 7b7d, 1002",
    "reserved bits of ping,  f9, 7b7d, 1002",
    "opcode 3,               83, 7b7d, 1002",
    "opcode 7,               87, '',   1002",
    "opcode 11,              8b, '',   1002",
    "opcode 15,              8f, 7b7d, 1002",
    "ping in fragments,      09, 7b7d, 1002",
    "pong in fragments,      0a, '',   1002",
    "close in fragments,     08, 03e8, 1002",
    "nothing to continue,    80, 7b7d, 1002",
    "nothing to go on with,  00, 7b7d, 1002",
    "close of one byte,      88, 03,   1002",
    "close with code 999,    88, 03e7, 1002",
    "close with code 1004,   88, 03ec, 1002",
    "close with code 1005,   88, 03ed, 1002",
    "close with code 1006,   88, 03ee, 1002",
    "close with code 1016,   88, 03f8, 1002",
    "close with code 65535,  88, ffff, 65535",
    "close with bad UTF-8,   88, 03e8ce, 1000",
    "a lone byte,            81, ff,   1007",
    "a surrogate,            81, eda080, 1007",
    "an overlong slash,      81, c0af, 1007",
    "above U+10FFFF,         81, f4908080, 1007",
    "a character cut short,  81, e282, 1007",
  })
  void a_frame_against_the_rules(String what, String head, String payload, int code) {
    try (RawClient client = RawClient.socket(served.port(), PATH)) {
      client.frame(Integer.parseInt(head, 16), bytes(payload));
      assertThat(client.closed()).as(what).isEqualTo(code);
    }
  }

  @Test
  void a_frame_without_a_mask() {
    try (RawClient client = RawClient.socket(served.port(), PATH)) {
      client.frame(FIN | TEXT, 2, utf8("{}"), false);
      assertThat(client.closed()).isEqualTo(PROTOCOL_ERROR);
    }
  }

  @Test
  void a_ping_of_more_than_125_bytes() {
    try (RawClient client = RawClient.socket(served.port(), PATH)) {
      client.frame(FIN | PING, new byte[126]);
      assertThat(client.closed()).isEqualTo(PROTOCOL_ERROR);
    }
  }

  @Test
  void a_message_inside_another() {
    try (RawClient client = RawClient.socket(served.port(), PATH)) {
      client.frame(TEXT, utf8("{"));
      // Of what came in one go with it, Vert.x would drop the close frame with the connection.
      client.frame(FIN | PING, new byte[0]);
      assertThat(client.frame().opcode()).isEqualTo(PONG);
      client.frame(FIN | TEXT, utf8("}"));
      assertThat(client.closed()).isEqualTo(PROTOCOL_ERROR);
    }
  }

  @ParameterizedTest
  @CsvSource({"20001", "65536", "4294967296", "9223372036854775807", "-1"})
  void a_frame_that_says_it_is_long(long length) {
    try (RawClient client = RawClient.socket(served.port(), PATH)) {
      client.frame(FIN | TEXT, length, new byte[0], true);
      assertThat(client.closed()).isIn(TOO_BIG, PROTOCOL_ERROR);
    }
  }

  @Test
  void a_length_in_more_bytes_than_it_needs() {
    try (RawClient client = RawClient.socket(served.port(), PATH)) {
      client.send(bytes("81fe0002" + "00000000" + "7b7d"));
      assertThat(client.closed()).isEqualTo(PROTOCOL_ERROR);
    }
  }

  @Test
  void fragments_without_end() {
    try (RawClient client = RawClient.socket(served.port(), PATH)) {
      client.frame(TEXT, utf8("{\"a\": \""));
      for (int i = 0; i < 2 * MAX_BODY_BYTES / 1_000; i++) {
        client.frame(CONTINUATION, new byte[1_000]);
      }
      assertThat(client.closed()).isEqualTo(TOO_BIG);
    }
  }

  @Test
  void bad_utf_8_over_two_fragments() {
    try (RawClient client = RawClient.socket(served.port(), PATH)) {
      client.frame(TEXT, bytes("e2"));
      client.frame(FIN | CONTINUATION, bytes("7b"));
      assertThat(client.closed()).isEqualTo(NOT_UTF_8);
    }
  }

  @Test
  void a_character_over_two_fragments_with_a_ping_between_is_no_fault() {
    byte[] message = utf8("{\"id\": \"ü\"}");
    try (RawClient client = RawClient.socket(served.port(), PATH)) {
      client.frame(TEXT, Arrays.copyOf(message, 8));
      client.frame(FIN | PING, utf8("are you there?"));
      client.frame(FIN | PONG, utf8("nobody asked"));
      client.frame(FIN | CONTINUATION, Arrays.copyOfRange(message, 8, message.length));
      Frame pong = client.frame();
      assertThat(pong.opcode()).isEqualTo(PONG);
      assertThat(pong.text()).isEqualTo("are you there?");
      assertThat(client.frame().text()).contains("id must match");
      client.frame(FIN | CLOSE, bytes("03e8"));
      assertThat(client.closed()).isEqualTo(1000);
    }
  }

  @Test
  void empty_fragments_and_pings_by_the_thousands() {
    try (RawClient client = RawClient.socket(served.port(), PATH)) {
      for (int i = 0; i < 2_000; i++) {
        client.frame(FIN | PING, new byte[0]);
        assertThat(client.frame().opcode()).isEqualTo(PONG);
      }
      client.frame(TEXT, new byte[0]);
      for (int i = 0; i < 20_000; i++) {
        client.frame(CONTINUATION, new byte[0]);
      }
      client.frame(FIN | CONTINUATION, utf8("{}"));
      assertThat(client.frame().text()).contains("id must match");
    }
  }

  @Test
  void answers_that_nobody_reads() {
    try (RawClient client = RawClient.socket(served.port(), PATH)) {
      byte[] messages = "\u0081\u0080\0\0\0\0".repeat(10_000).getBytes(StandardCharsets.ISO_8859_1);
      assertThat(client.flood(messages, 1 << 28)).isLessThan(1 << 26);
    }
  }

  @Test
  void what_is_no_text() {
    try (RawClient client = RawClient.socket(served.port(), PATH)) {
      client.frame(FIN | BINARY, bytes("00ff"));
      assertThat(client.frame().text()).contains("the message must be text");
      client.frame(FIN | TEXT, utf8("[".repeat(5_000)));
      assertThat(client.frame().text()).contains("must be a JSON object");
    }
  }
}
