// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.langchain4j;

import dev.langchain4j.model.embedding.EmbeddingModel;
import dev.langchain4j.model.embedding.common.AbstractEmbeddingModelIT;
import dev.langchain4j.model.embedding.listener.EmbeddingModelListener;
import dev.ragbus.Await;
import dev.ragbus.service.TestService;
import io.vertx.core.Vertx;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;

/** langchain4j's own tests of what an EmbeddingModel does, with the packaged model. */
class EmbeddingModelContractTest extends AbstractEmbeddingModelIT {
  private final Vertx vertx = Vertx.vertx();
  private TestService service;

  @BeforeAll
  void start() {
    JsonObject prompts = new JsonObject().put("query", "query: ").put("document", "passage: ");
    JsonObject model =
        new JsonObject().put("model_name", "all-MiniLM-L6-v2").put("prompts", prompts);
    JsonObject config =
        new JsonObject().put("models", new JsonObject().put("preload", new JsonArray().add(model)));
    service = TestService.start(vertx, config);
  }

  @AfterAll
  void stop() {
    service.close();
    Await.result(vertx.close());
  }

  @Override
  protected List<EmbeddingModel> models() {
    return List.of(
        RagbusEmbeddingModel.create(service.ragbus()),
        RagbusEmbeddingModel.builder(service.ragbus()).modelName("all-MiniLM-L6-v2").build());
  }

  @Override
  protected EmbeddingModel modelWith(EmbeddingModelListener listener) {
    return RagbusEmbeddingModel.builder(service.ragbus()).listeners(List.of(listener)).build();
  }

  @Override
  protected EmbeddingModel failingModelWith(EmbeddingModelListener listener) {
    return RagbusEmbeddingModel.builder(service.ragbus())
        .modelName("no/such-model")
        .listeners(List.of(listener))
        .build();
  }

  @Override
  protected boolean supportsImageInput() {
    return false;
  }
}
