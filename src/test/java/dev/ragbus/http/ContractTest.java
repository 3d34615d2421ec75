// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.ragbus.http.Served.Answer;
import io.vertx.core.MultiMap;
import io.vertx.core.Vertx;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpMethod;
import io.vertx.core.json.JsonObject;
import io.vertx.junit5.VertxExtension;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** What is described is what is served, and the page that shows it needs nothing from elsewhere. */
@ExtendWith(VertxExtension.class)
class ContractTest {
  private static final Set<String> OUTSIDE_THE_DIALECTS =
      Set.of(
          "GET /metrics",
          "GET /openapi.json",
          "GET /docs",
          "GET /",
          "GET /v1/rerank/stream",
          "GET /v1/ragbus/stream");

  private Served served;

  @BeforeEach
  void deploy(Vertx vertx) {
    served = Served.deploy(vertx, new JsonObject());
  }

  @Test
  void every_route_is_described_and_every_description_is_a_route() {
    Set<String> routes = new TreeSet<>(OUTSIDE_THE_DIALECTS);
    for (Dialect dialect : served.http.dialects()) {
      for (Operation<?> operation : dialect.operations()) {
        routes.add(operation.method() + " " + operation.path());
      }
    }
    Set<String> described = new TreeSet<>();
    JsonObject paths = Contract.JSON.getJsonObject("paths");
    for (String path : paths.fieldNames()) {
      for (String method : paths.getJsonObject(path).fieldNames()) {
        described.add(method.toUpperCase(Locale.ROOT) + " " + path.replaceAll("\\{\\w+}", "*"));
      }
    }
    assertThat(described).isEqualTo(routes);
  }

  @Test
  void the_description_is_served_as_it_is() {
    Answer answer = served.get("/openapi.json");
    assertThat(answer.status()).isEqualTo(200);
    assertThat(answer.json()).isEqualTo(Contract.JSON);
  }

  @Test
  void a_reply_that_is_not_described_is_noticed() {
    MultiMap headers = MultiMap.caseInsensitiveMultiMap().add("Content-Type", "application/json");
    Buffer wrong = Buffer.buffer("{\"object\": \"list\", \"data\": []}");
    assertThatThrownBy(
            () ->
                Contract.check(HttpMethod.POST, "/v1/embeddings", new Answer(200, headers, wrong)))
        .isInstanceOf(AssertionError.class);
    Buffer untyped = Buffer.buffer("{\"error\": \"x\"}");
    assertThatThrownBy(
            () -> Contract.check(HttpMethod.POST, "/embed", new Answer(422, headers, untyped)))
        .isInstanceOf(AssertionError.class);
  }

  @Test
  void the_page_has_all_it_needs_and_may_load_nothing_else() {
    Answer page = served.get("/docs");
    assertThat(page.status()).isEqualTo(200);
    assertThat(page.headers().get("Content-Type")).startsWith("text/html");
    assertThat(page.headers().get("Content-Security-Policy"))
        .contains("default-src 'none'", "script-src 'self';")
        .doesNotContain("unsafe", "http");
    Matcher asset =
        Pattern.compile("(?:src|href)=\"(?!data:)([^\"]+)\"").matcher(page.body().toString());
    int assets = 0;
    while (asset.find()) {
      assertThat(asset.group(1)).startsWith("/docs/");
      Answer file = served.get(asset.group(1));
      assertThat(file.status()).isEqualTo(200);
      assertThat(file.headers().get("Content-Type")).containsAnyOf("javascript", "css");
      assets++;
    }
    assertThat(assets).isEqualTo(3);
    assertThat(page.body().toString()).doesNotContain("<script>", "style=", "http");
    assertThat(served.get("/docs/other.js").status()).isEqualTo(404);
  }

  @Test
  void every_file_of_the_page_is_served() throws Exception {
    Path page = Path.of(Pages.class.getResource("page/index.html").toURI()).getParent();
    try (Stream<Path> files = Files.list(page)) {
      for (Path file : files.toList()) {
        String path = file.endsWith("index.html") ? "/" : "/page/" + file.getFileName();
        Answer answer = served.get(path);
        assertThat(answer.status()).as(path).isEqualTo(200);
        assertThat(answer.body().getBytes()).isEqualTo(Files.readAllBytes(file));
      }
    }
  }
}
