// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.app;

import static org.assertj.core.api.Assertions.assertThat;

import dev.ragbus.Await;
import dev.ragbus.RagbusOptions;
import dev.ragbus.http.TestCertificate;
import io.vertx.core.Vertx;
import io.vertx.core.VertxOptions;
import io.vertx.core.eventbus.DeliveryOptions;
import io.vertx.core.internal.VertxInternal;
import io.vertx.core.json.JsonObject;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Queue;
import java.util.UUID;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ClusterNodeTest {
  private final String prefix = "node-" + UUID.randomUUID().toString().substring(24);
  private final List<Vertx> nodes = new ArrayList<>();
  @TempDir private Path folder;

  @AfterEach
  void end() {
    nodes.forEach(node -> Await.result(node.close()));
  }

  private Vertx join(JsonObject cluster) {
    return joinBy(config(cluster.put("enabled", true)));
  }

  private JsonObject config(JsonObject cluster) {
    return new JsonObject()
        .put("bus", new JsonObject().put("address_prefix", prefix))
        .put("cluster", cluster);
  }

  private Vertx joinBy(JsonObject config) {
    RagbusOptions options = RagbusOptions.from(config);
    Vertx node =
        Await.result(ClusterNode.join(new VertxOptions().setEventLoopPoolSize(2), options));
    nodes.add(node);
    return node;
  }

  private static List<String> members(Vertx node) {
    return ((VertxInternal) node).clusterManager().getNodes();
  }

  private JsonObject tls(TestCertificate own, TestCertificate authority) {
    return new JsonObject()
        .put("tls_certificate", own.certificate().toString())
        .put("tls_key", own.key().toString())
        .put("tls_authority", authority.certificate().toString());
  }

  @Test
  void nodesOfAnotherSecretDoNotJoin() {
    Vertx one = join(new JsonObject().put("secret", "a-secret-of-letters"));
    Vertx same = join(new JsonObject().put("secret", "a-secret-of-letters"));
    Vertx other = join(new JsonObject().put("secret", "b-secret-of-letters"));
    Vertx without = join(new JsonObject());
    assertThat(members(one)).hasSize(2).containsExactlyInAnyOrderElementsOf(members(same));
    assertThat(members(other)).hasSize(1);
    assertThat(members(without)).hasSize(1);
  }

  @Test
  void applicationsWithWorkerProcessesOfTheirOwnDoNotMeet() throws Exception {
    JsonObject config = config(new JsonObject().put("isolation", "process"));
    Vertx front = joinBy(config);
    Vertx without = join(new JsonObject());
    Process another =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx128m",
                "-cp",
                System.getProperty("java.class.path"),
                NodeMain.class.getName(),
                config.encode())
            .redirectError(ProcessBuilder.Redirect.DISCARD)
            .start();
    try {
      assertThat(another.inputReader().lines()).contains("nodes 1");
      assertThat(members(front)).hasSize(1);
      assertThat(members(without)).hasSize(1);
    } finally {
      another.destroyForcibly();
    }
  }

  @Test
  void nodesWithoutACertificateOfTheAuthorityAreNotHeard() throws Exception {
    TestCertificate right = TestCertificate.in(Files.createDirectory(folder.resolve("right")));
    TestCertificate wrong = TestCertificate.in(Files.createDirectory(folder.resolve("wrong")));
    Vertx one = join(tls(right, right));
    Vertx two = join(tls(right, right));
    Queue<String> heard = new ConcurrentLinkedQueue<>();
    Await.result(
        one.eventBus()
            .<String>consumer(
                "told",
                message -> {
                  heard.add(message.body());
                  message.reply("heard");
                })
            .completion());
    assertThat(Await.result(two.eventBus().<String>request("told", "from two")).body())
        .isEqualTo("heard");

    DeliveryOptions briefly = new DeliveryOptions().setSendTimeout(2_000);
    for (Vertx stranger : List.of(join(tls(wrong, right)), join(new JsonObject()))) {
      Awaitility.await().until(() -> members(stranger).size() > 2);
      Await.failure(stranger.eventBus().request("told", "from a stranger", briefly));
    }
    assertThat(heard).containsExactly("from two");
  }
}
