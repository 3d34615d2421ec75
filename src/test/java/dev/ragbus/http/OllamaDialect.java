// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

import dev.ragbus.EmbedRequest;
import dev.ragbus.Embeddings;
import io.vertx.core.Future;
import java.util.List;

/** The dialect that {@code docs/recipes.md} shows: Ollama's {@code /api/embed}. */
final class OllamaDialect implements Dialect {
  private record EmbedBody(String model, Inputs input, Integer dimensions) {
    EmbedRequest request() {
      return EmbedRequest.of(Inputs.required("input", input).texts())
          .withModel(model)
          .withDimensions(dimensions);
    }
  }

  @Override
  public List<Operation<?>> operations() {
    return List.of(
        Operation.post(
            "/api/embed", "embed_texts", EmbedBody.class, "input", OllamaDialect::embed));
  }

  private static Future<Reply> embed(Operation.Call<EmbedBody> call) {
    return call.ragbus().embed(call.body().request()).map(OllamaDialect::reply);
  }

  private static Reply reply(Embeddings made) {
    return new Reply(
        200,
        made.values().length,
        json -> {
          json.writeStartObject();
          json.writeStringField("model", made.model());
          json.writeArrayFieldStart("embeddings");
          for (int row = 0; row < made.count(); row++) {
            VectorJson.writeArray(json, made, row);
          }
          json.writeEndArray();
          json.writeNumberField("prompt_eval_count", made.usage().promptTokens());
          json.writeEndObject();
        });
  }

  @Override
  public Reply.Content error(HttpFailure failure) {
    return json -> {
      json.writeStartObject();
      json.writeStringField("error", failure.message());
      json.writeEndObject();
    };
  }
}
