// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.app;

import com.hazelcast.config.ClassFilter;
import com.hazelcast.config.Config;
import com.hazelcast.config.JavaSerializationFilterConfig;
import com.hazelcast.config.NetworkConfig;
import dev.ragbus.RagbusOptions;
import dev.ragbus.cluster.ClusterSecret;
import io.vertx.core.Future;
import io.vertx.core.Vertx;
import io.vertx.core.VertxOptions;
import io.vertx.core.eventbus.EventBusOptions;
import io.vertx.core.http.ClientAuth;
import io.vertx.core.net.PemKeyCertOptions;
import io.vertx.core.net.PemTrustOptions;
import io.vertx.spi.cluster.hazelcast.ConfigUtil;
import io.vertx.spi.cluster.hazelcast.HazelcastClusterManager;
import java.util.Map;
import java.util.logging.Level;
import java.util.logging.Logger;

/**
 * A Vert.x as a node of a cluster, by Hazelcast, as the options say. For applications that have no
 * cluster manager of their own; they need {@code io.vertx:vertx-hazelcast}.
 */
public final class ClusterNode {
  /** Processes of one machine that find each other without being told their ports. */
  private static final int PORTS_TRIED = 20;

  /**
   * How loud Hazelcast is: it tells of every step of every member, warns of what Ragbus does not
   * use, and of each connection to a member that has gone. Kept, since a logger that nobody holds
   * forgets its level.
   */
  private static final Map<Logger, Level> LOGGERS =
      Map.of(
          Logger.getLogger("com.hazelcast"),
          Level.WARNING,
          Logger.getLogger("com.hazelcast.cp.CPSubsystem"),
          Level.SEVERE,
          Logger.getLogger("com.hazelcast.internal.partition"),
          Level.SEVERE,
          Logger.getLogger("com.hazelcast.internal.server.tcp"),
          Level.SEVERE,
          Logger.getLogger("com.hazelcast.instance.impl.HazelcastInstanceFactory"),
          Level.SEVERE);

  private ClusterNode() {}

  /**
   * Joins the cluster that {@code [cluster]} names, or begins it.
   *
   * @param vertx the rest of its settings; those of the event bus are replaced
   * @param options with {@code [cluster]} and {@code bus.address_prefix}, which has a cluster of
   *     its own
   */
  public static Future<Vertx> join(VertxOptions vertx, RagbusOptions options) {
    LOGGERS.forEach(Logger::setLevel);
    return Vertx.builder()
        .with(vertx.setEventBusOptions(bus(options.cluster())))
        .withClusterManager(new HazelcastClusterManager(membership(options)))
        .buildClustered();
  }

  private static EventBusOptions bus(RagbusOptions.Cluster cluster) {
    EventBusOptions bus = new EventBusOptions().setHost(cluster.host()).setPort(cluster.busPort());
    if (cluster.tlsCertificate() != null) {
      bus.setSsl(true)
          .setKeyCertOptions(
              new PemKeyCertOptions()
                  .setCertPath(cluster.tlsCertificate())
                  .setKeyPath(cluster.tlsKey()))
          .setTrustOptions(new PemTrustOptions().addCertPath(cluster.tlsAuthority()))
          .setClientAuth(ClientAuth.REQUIRED);
    }
    return bus;
  }

  private static Config membership(RagbusOptions options) {
    RagbusOptions.Cluster cluster = options.cluster();
    Config config = ConfigUtil.loadConfig();
    config.setClusterName(name(options));
    NetworkConfig network = config.getNetworkConfig();
    network.setPort(cluster.port()).setPortAutoIncrement(true);
    network.getInterfaces().setEnabled(true).addInterface(cluster.host());
    network.getJoin().getAutoDetectionConfig().setEnabled(false);
    network.getJoin().getMulticastConfig().setEnabled(false);
    network.getJoin().getTcpIpConfig().setEnabled(true).setMembers(cluster.members());
    // What members send each other is read as these classes only, and as arrays, whose elements are
    // judged by themselves.
    config
        .getSerializationConfig()
        .setJavaSerializationFilterConfig(
            new JavaSerializationFilterConfig()
                .setDefaultsDisabled(true)
                .setWhitelist(
                    new ClassFilter()
                        .addPrefixes(
                            "java.lang.", "java.util.", "io.vertx.spi.", "com.hazelcast.", "[")));
    return config
        .setProperty("hazelcast.socket.bind.any", "false")
        .setProperty("hazelcast.phone.home.enabled", "false")
        .setProperty("hazelcast.logging.type", "jdk")
        .setProperty("hazelcast.shutdownhook.enabled", "false")
        .setProperty("hazelcast.wait.seconds.before.join", "0")
        // There is little to hand over, and each node has a copy; leaving must not take long.
        .setProperty("hazelcast.graceful.shutdown.max.wait", "1")
        .setProperty("hazelcast.partition.count", "31")
        .setProperty("hazelcast.tcp.join.port.try.count", Integer.toString(PORTS_TRIED))
        .setProperty("hazelcast.heartbeat.interval.seconds", "1")
        .setProperty("hazelcast.max.no.heartbeat.seconds", "10")
        .setProperty("hazelcast.merge.first.run.delay.seconds", "5")
        .setProperty("hazelcast.merge.next.run.delay.seconds", "5");
  }

  /** Nodes of another prefix or another secret do not join by mistake. */
  private static String name(RagbusOptions options) {
    String name = "ragbus-" + options.bus().addressPrefix();
    String proof = ClusterSecret.of(options.cluster()).proof("cluster");
    return proof == null ? name : name + "-" + proof.substring(0, 16);
  }
}
