// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import dev.ragbus.Await;
import dev.ragbus.Ragbus;
import io.vertx.core.DeploymentOptions;
import io.vertx.core.Vertx;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;

/** A deployment with the real Python and the real packaged model, off line. */
public final class TestService implements AutoCloseable {
  private final Vertx vertx;
  private final Ragbus ragbus;
  private String deployment;

  private TestService(Vertx vertx, JsonObject config) {
    this.vertx = vertx;
    String prefix =
        config.getJsonObject("bus", new JsonObject()).getString("address_prefix", "rag");
    this.ragbus = Ragbus.create(vertx, prefix);
    this.deployment =
        Await.result(
            vertx.deployVerticle(new RagbusVerticle(), new DeploymentOptions().setConfig(config)));
  }

  /** Deploys with a configuration laid over the test's own. */
  public static TestService start(Vertx vertx, JsonObject config) {
    return new TestService(vertx, offline().mergeIn(config, true));
  }

  /** What every test needs: no hub, and the packaged model for everything. */
  public static JsonObject offline() {
    JsonArray packaged = new JsonArray().add("all-MiniLM-L6-v2");
    return new JsonObject()
        .put(
            "models",
            new JsonObject()
                .put("offline", true)
                .put("embedding", packaged)
                .put("reranker", packaged.copy()))
        .put("python", new JsonObject().put("module_path", new JsonArray()));
  }

  public Ragbus ragbus() {
    return ragbus;
  }

  public String deployment() {
    return deployment;
  }

  @Override
  public void close() {
    if (deployment != null) {
      Await.result(vertx.undeploy(deployment));
      deployment = null;
    }
  }
}
