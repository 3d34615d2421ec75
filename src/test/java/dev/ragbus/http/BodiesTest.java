// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

import static org.assertj.core.api.Assertions.assertThat;

import io.vertx.core.Vertx;
import io.vertx.core.json.JsonObject;
import io.vertx.junit5.VertxExtension;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** What is being sent is bounded all together, and whoever sends least is served. */
@ExtendWith(VertxExtension.class)
class BodiesTest {
  private static final int MAX_BYTES = 4_096;
  private static final int MAX_BYTES_TOGETHER = 8_192;
  private static final int TEXT = 1;
  private static final int FIN_OF_CONTINUATION = 0x80;
  private static final int TRY_AGAIN_LATER = 1013;

  private static Served served;

  @BeforeAll
  static void deploy(Vertx vertx) {
    served =
        Served.deploy(
            vertx,
            new JsonObject()
                .put("limits", new JsonObject().put("max_body_bytes", MAX_BYTES))
                .put("http", new JsonObject().put("max_pending_body_bytes", MAX_BYTES_TOGETHER)));
  }

  /** The beginning of a request, with all of its body but the last bytes. */
  private static RawClient begun(String path, int bytes) {
    String body = "{\"inputs\": \"abc\"" + " ".repeat(bytes - 16);
    return RawClient.to(served.port())
        .send(
            "POST "
                + path
                + " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                + "Content-Length: "
                + (bytes + 1)
                + "\r\n\r\n"
                + body);
  }

  private static void finishes(RawClient client) {
    assertThat(client.send("}").head()).startsWith("HTTP/1.1 200");
  }

  @Test
  void the_longest_body_gives_way_and_the_others_are_served() {
    try (RawClient longest = begun("/embed", 4_000);
        RawClient other = begun("/embed", 3_000);
        RawClient another = begun("/embed", 2_000)) {
      String head = longest.head();
      assertThat(head).startsWith("HTTP/1.1 429").containsIgnoringCase("retry-after: 1\r\n");
      String body = new String(longest.read(70), StandardCharsets.UTF_8);
      assertThat(body).startsWith("{\"error\":\"").contains("more than 8192 bytes");
      finishes(other);
      finishes(another);
    }
  }

  @Test
  void a_refusal_is_in_the_words_of_its_dialect() {
    try (RawClient longest = begun("/v1/embeddings", 4_000);
        RawClient other = begun("/embed", 3_000);
        RawClient another = begun("/embed", 2_000)) {
      assertThat(longest.head()).startsWith("HTTP/1.1 429");
      assertThat(new String(longest.read(20), StandardCharsets.UTF_8))
          .startsWith("{\"error\":{\"message\":");
      finishes(other);
      finishes(another);
    }
  }

  @Test
  void who_vanishes_or_has_sent_all_holds_nothing() {
    for (int round = 0; round < 20; round++) {
      begun("/embed", 4_000).close();
      try (RawClient served = begun("/embed", 4_000)) {
        finishes(served);
      }
    }
    // What vanished may be still on its way to be noticed.
    Awaitility.await()
        .untilAsserted(
            () -> {
              try (RawClient one = begun("/embed", 4_000);
                  RawClient two = begun("/embed", 4_000)) {
                finishes(one);
                finishes(two);
              }
            });
  }

  @Test
  void messages_of_sockets_count_too() {
    List<RawClient> sockets = new ArrayList<>();
    for (int bytes : new int[] {4_000, 3_000}) {
      RawClient socket = RawClient.socket(served.port(), "/v1/rerank/stream");
      sockets.add(socket.frame(TEXT, " ".repeat(bytes).getBytes(StandardCharsets.UTF_8)));
    }
    try (RawClient body = begun("/embed", 2_000)) {
      assertThat(sockets.get(0).closed()).isEqualTo(TRY_AGAIN_LATER);
      finishes(body);
      RawClient.Frame answer =
          sockets.get(1).frame(FIN_OF_CONTINUATION, "{}".getBytes(StandardCharsets.UTF_8)).frame();
      assertThat(answer.text()).contains("type");
    } finally {
      sockets.forEach(RawClient::close);
    }
  }
}
