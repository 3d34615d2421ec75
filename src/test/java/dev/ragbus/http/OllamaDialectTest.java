// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

import static org.assertj.core.api.Assertions.assertThat;

import dev.ragbus.Await;
import dev.ragbus.JsonBodies;
import dev.ragbus.Ragbus;
import io.vertx.core.Vertx;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import io.vertx.junit5.VertxExtension;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** The dialect of the recipe answers. */
@ExtendWith(VertxExtension.class)
class OllamaDialectTest {
  private final OllamaDialect dialect = new OllamaDialect();

  @Test
  void itEmbeds(Vertx vertx) {
    Served.deploy(vertx, new JsonObject());
    String body = "{\"model\": \"some-model\", \"input\": [\"abc\", \"abcdef\"]}";

    JsonObject answer = answer(dialect.operations().get(0), vertx, body);

    assertThat(answer.getJsonArray("embeddings")).hasSize(2);
    assertThat(answer.getJsonArray("embeddings").getJsonArray(0))
        .isEqualTo(new JsonArray().add(3.0).add(1.0).add(-3.0));
  }

  private static <B extends Record> JsonObject answer(
      Operation<B> operation, Vertx vertx, String body) {
    B read = JsonBodies.parse(body.getBytes(StandardCharsets.UTF_8), operation.bodyType());
    Ragbus ragbus = Ragbus.create(vertx, "test");
    Operation.Call<B> call = new Operation.Call<>(ragbus, "r1", null, Access.USE, read);
    Reply reply = Await.result(operation.answer().to(call));
    return Reply.bytes(reply.content()).toJsonObject();
  }

  @Test
  void itFailsInItsOwnWords() {
    HttpFailure failure = HttpFailure.of(404, "model_not_found", "no model 'x'");

    assertThat(Reply.bytes(dialect.error(failure)).toJsonObject())
        .isEqualTo(new JsonObject().put("error", "no model 'x'"));
  }
}
