// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.cluster;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.ragbus.Await;
import dev.ragbus.RagbusOptions;
import io.vertx.core.MultiMap;
import io.vertx.core.Vertx;
import io.vertx.core.eventbus.DeliveryOptions;
import io.vertx.core.eventbus.ReplyException;
import io.vertx.core.json.JsonObject;
import io.vertx.junit5.VertxExtension;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;

@ExtendWith(VertxExtension.class)
class ClusterSecretTest {
  private static ClusterSecret secret(String name, String value) {
    return ClusterSecret.of(
        RagbusOptions.from(new JsonObject().put("cluster", new JsonObject().put(name, value)))
            .cluster());
  }

  private static WorkerAddresses addresses(String value) {
    return new WorkerAddresses("rag", secret("secret", value));
  }

  @Test
  void aProofIsOfOneStatementByOneSecret(@TempDir Path folder) throws IOException {
    ClusterSecret one = secret("secret", "a-secret-of-letters");
    String proof = one.proof("said");
    assertThat(one.proves(proof, "said")).isTrue();
    assertThat(one.proves(proof, "other")).isFalse();
    assertThat(one.proves(null, "said")).isFalse();
    assertThat(secret("secret", "b-secret-of-letters").proves(proof, "said")).isFalse();
    Path file = Files.writeString(folder.resolve("secret"), "a-secret-of-letters\n");
    assertThat(secret("secret_file", file.toString()).proves(proof, "said")).isTrue();
  }

  @Test
  void withoutASecretThereIsNothingToProve() {
    ClusterSecret none = ClusterSecret.of(RagbusOptions.defaults().cluster());
    assertThat(none.proof("said")).isNull();
    assertThat(none.proves(null, "said")).isTrue();
  }

  @Test
  void aFrontWhoseOnlyOtherNodesAreItsProcessesSharesASecretWithThemAlone() {
    JsonObject alone = new JsonObject().put("isolation", "process");
    String proof = of(alone).proof("said");
    assertThat(of(alone).proves(proof, "said")).as("a worker of it").isTrue();
    JsonObject theirs = properties(alone);
    assertThat(theirs.getString("ragbus.cluster.secret")).hasSizeGreaterThan(30);
    assertThat(secret("secret", theirs.getString("ragbus.cluster.secret")).proof("said"))
        .isEqualTo(proof);

    JsonObject given = alone.copy().put("secret", "a-secret-of-letters");
    assertThat(of(given).proof("said"))
        .isEqualTo(secret("secret", "a-secret-of-letters").proof("said"));
    assertThat(properties(given).containsKey("ragbus.cluster.secret")).isFalse();
    assertThat(of(alone.copy().put("enabled", true)).proof("said")).isNull();
  }

  private static ClusterSecret of(JsonObject cluster) {
    return ClusterSecret.of(options(cluster));
  }

  private static RagbusOptions.Cluster options(JsonObject cluster) {
    return RagbusOptions.from(new JsonObject().put("cluster", cluster)).cluster();
  }

  /** Those that a worker of a front is started with. */
  private static JsonObject properties(JsonObject cluster) {
    WorkerCommand.Jvm jvm =
        new WorkerCommand.Jvm(Path.of("/java"), "a.jar", "", false, List.of(), Map.of());
    return WorkerCommand.of(
            jvm, options(cluster), new JsonObject(), Map.of(), Path.of("/crashes"), "w")
        .input()
        .getJsonObject("properties");
  }

  @Test
  void aSecretThatIsTooShortOrNotThereIsSaidAndNotRepeated(@TempDir Path folder) {
    assertThatThrownBy(() -> secret("secret", "short"))
        .hasMessage("cluster.secret must have at least 16 characters");
    String missing = folder.resolve("none").toString();
    assertThatThrownBy(() -> secret("secret_file", missing))
        .hasMessage("cluster.secret_file " + missing + " cannot be read (NoSuchFileException)");
  }

  @Test
  void aWorkerRefusesWhoDoesNotKnowIt(Vertx vertx) {
    WorkerAddresses right = addresses("a-secret-of-letters");
    vertx
        .eventBus()
        .consumer("worker", right.guarded("w", message -> message.reply(new JsonObject())));
    for (WorkerAddresses wrong :
        List.of(
            addresses("b-secret-of-letters"),
            new WorkerAddresses("rag", ClusterSecret.of(RagbusOptions.defaults().cluster())))) {
      DeliveryOptions delivery = new DeliveryOptions().setHeaders(headers(wrong));
      Throwable refused =
          Await.failure(vertx.eventBus().request("worker", new JsonObject(), delivery));
      assertThat(((ReplyException) refused).failureCode()).isEqualTo(403);
    }
    DeliveryOptions delivery = new DeliveryOptions().setHeaders(headers(right));
    Await.result(vertx.eventBus().request("worker", new JsonObject(), delivery));
  }

  private static MultiMap headers(WorkerAddresses addresses) {
    MultiMap headers = MultiMap.caseInsensitiveMultiMap();
    addresses.prove(headers, "w");
    return headers;
  }

  @Test
  void aPrefixLeavesRoomForTheNamesOfWorkers() {
    ClusterSecret none = ClusterSecret.of(RagbusOptions.defaults().cluster());
    assertThatThrownBy(() -> new WorkerAddresses("x".repeat(41), none))
        .hasMessage("bus.address_prefix must have at most 40 characters in a cluster, not 41");
  }
}
