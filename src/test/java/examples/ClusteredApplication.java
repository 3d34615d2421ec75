// SPDX-License-Identifier: Apache-2.0
package examples;

import dev.ragbus.RagbusOptions;
import dev.ragbus.app.ClusterNode;
import dev.ragbus.service.RagbusVerticle;
import io.vertx.core.DeploymentOptions;
import io.vertx.core.Future;
import io.vertx.core.VertxOptions;
import io.vertx.core.json.JsonObject;

/** What {@code docs/cluster.md} shows. */
final class ClusteredApplication {
  private ClusteredApplication() {}

  static Future<String> start(JsonObject config) {
    return ClusterNode.join(new VertxOptions(), RagbusOptions.from(config))
        .compose(
            vertx ->
                vertx.deployVerticle(
                    new RagbusVerticle(), new DeploymentOptions().setConfig(config)));
  }
}
