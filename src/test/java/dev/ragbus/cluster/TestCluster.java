// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.cluster;

import com.hazelcast.config.Config;
import dev.ragbus.Await;
import io.vertx.core.Vertx;
import io.vertx.core.VertxOptions;
import io.vertx.core.eventbus.EventBusOptions;
import io.vertx.spi.cluster.hazelcast.ConfigUtil;
import io.vertx.spi.cluster.hazelcast.HazelcastClusterManager;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;
import java.util.logging.Level;
import java.util.logging.Logger;

/** Nodes of a cluster of the test's own, in this JVM, on free ports of loopback. */
public final class TestCluster implements AutoCloseable {
  /** Ports of other clusters are passed over. */
  private static final int FIRST_PORT = 5801;

  /** Kept, since a logger that nobody holds forgets its level. */
  private static final Logger HAZELCAST = Logger.getLogger("com.hazelcast");

  private final String name = "test-" + UUID.randomUUID();
  private final List<Vertx> nodes = new ArrayList<>();

  /** Another node. */
  public Vertx node() {
    HAZELCAST.setLevel(Level.SEVERE);
    Config config = ConfigUtil.loadConfig();
    config.setClusterName(name);
    config.getNetworkConfig().setPort(FIRST_PORT).setPortAutoIncrement(true);
    config.getNetworkConfig().getInterfaces().setEnabled(true).addInterface("127.0.0.1");
    config.getNetworkConfig().getJoin().getMulticastConfig().setEnabled(false);
    config.getNetworkConfig().getJoin().getTcpIpConfig().setEnabled(true).addMember("127.0.0.1");
    config
        .setProperty("hazelcast.logging.type", "jdk")
        .setProperty("hazelcast.phone.home.enabled", "false")
        .setProperty("hazelcast.wait.seconds.before.join", "0")
        .setProperty("hazelcast.graceful.shutdown.max.wait", "2")
        .setProperty("hazelcast.partition.count", "31")
        .setProperty("hazelcast.tcp.join.port.try.count", "20");
    Vertx node =
        Await.result(
            Vertx.builder()
                .with(
                    new VertxOptions()
                        .setEventLoopPoolSize(2)
                        .setEventBusOptions(new EventBusOptions().setHost("127.0.0.1")))
                .withClusterManager(new HazelcastClusterManager(config))
                .buildClustered());
    nodes.add(node);
    return node;
  }

  /** Ends a node. */
  public void end(Vertx node) {
    nodes.remove(node);
    Await.result(node.close());
  }

  @Override
  public void close() {
    List.copyOf(nodes).forEach(this::end);
  }
}
