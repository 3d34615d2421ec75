// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.app;

import dev.ragbus.RagbusOptions;
import io.vertx.core.Vertx;
import io.vertx.core.VertxOptions;
import io.vertx.core.internal.VertxInternal;
import io.vertx.core.json.JsonObject;

/** Joins a cluster as its argument, the configuration, says, tells how many are in it, and ends. */
public final class NodeMain {
  private NodeMain() {}

  /** Ends as soon as it has joined. */
  public static void main(String[] args) throws Exception {
    RagbusOptions options = RagbusOptions.from(new JsonObject(args[0]));
    Vertx node =
        ClusterNode.join(new VertxOptions().setEventLoopPoolSize(2), options)
            .toCompletionStage()
            .toCompletableFuture()
            .get();
    System.out.println("nodes " + ((VertxInternal) node).clusterManager().getNodes().size());
    node.close().toCompletionStage().toCompletableFuture().get();
  }
}
