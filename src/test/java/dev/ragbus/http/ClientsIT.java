// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

import static org.assertj.core.api.Assertions.assertThat;

import dev.ragbus.ChildProcess;
import dev.ragbus.python.environment.TestClients;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Path;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Other systems' clients, unchanged, against the real service. */
class ClientsIT {
  private static RealServer server;
  private static Path python;

  @BeforeAll
  static void start() throws Exception {
    python = TestClients.python();
    server = new RealServer();
  }

  @AfterAll
  static void stop() {
    if (server != null) {
      server.close();
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"openai", "cohere", "huggingface", "langchain", "llama_index"})
  void is_content(String client) throws Exception {
    ProcessBuilder process =
        new ProcessBuilder(
            python.toString(), "src/test/python/" + client + "_client.py", server.address());
    process.environment().put("PYTHONDONTWRITEBYTECODE", "1");
    assertThat(ChildProcess.run(process)).isZero();
  }

  private static HttpResponse<String> post(String path, JsonObject body) throws Exception {
    HttpRequest request =
        HttpRequest.newBuilder(URI.create(server.address() + path))
            .header("Content-Type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString(body.encode()))
            .build();
    return HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
  }

  @Test
  void a_texts_tokens_give_the_texts_vector() throws Exception {
    JsonObject text = new JsonObject().put("inputs", "How tall is Mont Blanc?");
    JsonArray tokens = new JsonArray(post("/tokenize", text).body()).getJsonArray(0);
    JsonArray ids = new JsonArray();
    tokens.forEach(token -> ids.add(((JsonObject) token).getInteger("id")));
    assertThat(ids.getInteger(0)).isEqualTo(101);

    JsonArray byText = new JsonArray(post("/embed", text).body()).getJsonArray(0);
    JsonArray byIds =
        new JsonArray(post("/embed", new JsonObject().put("inputs", ids)).body()).getJsonArray(0);

    double dot = 0;
    for (int i = 0; i < byText.size(); i++) {
      dot += byText.getDouble(i) * byIds.getDouble(i);
    }
    assertThat(dot).isGreaterThan(0.9999);
  }

  @Test
  void token_ids_outside_the_vocabulary_are_refused() throws Exception {
    for (int id : new int[] {30_522, -1, Integer.MAX_VALUE}) {
      JsonObject body =
          new JsonObject().put("input", new JsonArray().add(new JsonArray().add(101).add(id)));
      HttpResponse<String> answer = post("/v1/embeddings", body);
      assertThat(answer.statusCode()).isEqualTo(400);
      assertThat(new JsonObject(answer.body()).getJsonObject("error").getString("message"))
          .startsWith("input: " + id + " is outside the vocabulary");
    }
  }
}
