// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.load;

import dev.ragbus.Await;
import dev.ragbus.FunctionSpec;
import dev.ragbus.Ragbus;
import dev.ragbus.http.HttpVerticle;
import dev.ragbus.service.TestService;
import io.vertx.core.DeploymentOptions;
import io.vertx.core.Vertx;
import io.vertx.core.json.JsonObject;
import java.util.List;

/** The real service with HTTP before it, and the ways of asking it. */
final class Deployed implements AutoCloseable {
  final Vertx vertx = Vertx.vertx();
  final Ragbus ragbus;
  final int port;
  final List<Client> clients;
  private final TestService service;

  /** Deploys both with a configuration; HTTP clients have so many connections. */
  Deployed(JsonObject config, int connections) {
    service = TestService.start(vertx, config);
    ragbus = service.ragbus();
    HttpVerticle http = new HttpVerticle();
    JsonObject all =
        TestService.offline()
            .mergeIn(config, true)
            .mergeIn(new JsonObject().put("http", new JsonObject().put("port", 0)), true);
    Await.result(vertx.deployVerticle(http, new DeploymentOptions().setConfig(all)));
    port = http.actualPort();
    clients =
        List.of(
            new Client.Facade(ragbus),
            new Client.JsonBus(vertx),
            Client.Http.to(vertx, port, connections));
  }

  /** Registers a function that may be ended by an exception. */
  void register(String name, String code) {
    Await.result(ragbus.register(FunctionSpec.ofCode(name, code).withHardCancel(true)));
  }

  @Override
  public void close() {
    service.close();
    Await.result(vertx.close());
  }
}
