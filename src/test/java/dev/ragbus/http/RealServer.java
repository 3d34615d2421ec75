// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

import dev.ragbus.Await;
import dev.ragbus.python.environment.TestPython;
import dev.ragbus.service.RagbusVerticle;
import io.vertx.core.DeploymentOptions;
import io.vertx.core.Vertx;
import io.vertx.core.json.JsonObject;

/** The service with real Python and the packaged model, and HTTP before it. */
final class RealServer implements AutoCloseable {
  private final Vertx vertx = Vertx.vertx();
  private final HttpVerticle http = new HttpVerticle();

  RealServer() {
    TestPython.environment();
    DeploymentOptions options =
        new DeploymentOptions()
            .setConfig(
                new JsonObject()
                    .put("http", new JsonObject().put("port", 0))
                    .put("models", new JsonObject().put("offline", true)));
    Await.result(vertx.deployVerticle(new RagbusVerticle(), options));
    Await.result(vertx.deployVerticle(http, options));
  }

  String address() {
    return "http://127.0.0.1:" + http.actualPort();
  }

  @Override
  public void close() {
    Await.result(vertx.close());
  }
}
