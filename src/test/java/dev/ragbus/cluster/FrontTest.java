// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.cluster;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.ragbus.Addresses;
import dev.ragbus.Await;
import dev.ragbus.EmbedRequest;
import dev.ragbus.Embeddings;
import dev.ragbus.FunctionCall;
import dev.ragbus.Health;
import dev.ragbus.ModelSpec;
import dev.ragbus.ModelType;
import dev.ragbus.Ragbus;
import dev.ragbus.RagbusException;
import dev.ragbus.RagbusException.Kind;
import dev.ragbus.RagbusOptions;
import dev.ragbus.Stats;
import io.vertx.core.Future;
import io.vertx.core.Vertx;
import io.vertx.core.eventbus.DeliveryOptions;
import io.vertx.core.eventbus.ReplyException;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** A front and workers with made-up answers, each a node of a real cluster. */
class FrontTest {
  private static final AtomicInteger TESTS = new AtomicInteger();
  private static final TestCluster CLUSTER = new TestCluster();
  private static Vertx frontNode;
  private static Vertx nodeA;
  private static Vertx nodeB;

  private final String prefix = "test" + TESTS.incrementAndGet();
  private final AtomicLong addedNanos = new AtomicLong();
  private final Meters meters = new Meters();
  private final List<Front> fronts = new ArrayList<>();
  private final List<FakeWorker> workers = new ArrayList<>();
  private Ragbus ragbus;

  /** Counts what it is told. */
  private static final class Meters implements FrontMeters, FrontMeters.Operation {
    private final Map<Kind, Integer> repeated = new ConcurrentHashMap<>();
    private volatile int serving;

    @Override
    public Operation operation(String name) {
      return this;
    }

    @Override
    public Map<String, Stats.Operation> operations() {
      return Map.of("embed", new Stats.Operation(7, 6, Map.of(), 1, 2));
    }

    @Override
    public void repeated(Kind kind) {
      repeated.merge(kind, 1, Integer::sum);
    }

    @Override
    public void workers(int serving, int others) {
      this.serving = serving;
    }

    @Override
    public void accepted() {}

    @Override
    public void answered(long nanos) {}

    @Override
    public void failed(Kind kind) {}
  }

  @BeforeAll
  static void nodes() {
    frontNode = CLUSTER.node();
    nodeA = CLUSTER.node();
    nodeB = CLUSTER.node();
  }

  @AfterAll
  static void end() {
    CLUSTER.close();
  }

  @AfterEach
  void stop() {
    workers.forEach(FakeWorker::silent);
    onLoop(frontNode, () -> fronts.forEach(Front::stop));
  }

  private RagbusOptions options(String clusterOptions, String... embedding) {
    JsonObject cluster = new JsonObject(clusterOptions.replace('\'', '"')).put("enabled", true);
    if (!cluster.containsKey("announce_interval")) {
      cluster.put("announce_interval", "100ms");
    }
    return RagbusOptions.from(
        new JsonObject()
            .put("bus", new JsonObject().put("address_prefix", prefix))
            .put(
                "models",
                new JsonObject()
                    .put(
                        "embedding",
                        new JsonArray(
                            embedding.length == 0 ? List.of("fake") : List.of(embedding)))
                    .put("reranker", new JsonArray().add("fake")))
            .put("cluster", cluster));
  }

  private static void onLoop(Vertx vertx, Runnable action) {
    Await.result(
        Future.future(
            promise ->
                vertx.runOnContext(
                    v -> {
                      action.run();
                      promise.complete();
                    })));
  }

  private Front front(RagbusOptions options) {
    WorkerAddresses addresses = new WorkerAddresses(prefix, ClusterSecret.of(options.cluster()));
    Front front =
        new Front(
            frontNode,
            options,
            addresses,
            null,
            meters,
            () -> System.nanoTime() + addedNanos.get());
    fronts.add(front);
    Await.result(
        Future.<Void>future(
            promise -> frontNode.runOnContext(v -> front.start().onComplete(promise))));
    ragbus = Ragbus.create(frontNode, prefix);
    return front;
  }

  private FakeWorker worker(Vertx node, RagbusOptions options, String id) {
    FakeWorker worker = FakeWorker.start(node, options, id);
    workers.add(worker);
    return worker;
  }

  private void seen(int serving) {
    await().until(() -> meters.serving == serving);
  }

  private static int asked(FakeWorker worker) {
    return worker.service().embedRequests.size();
  }

  @Test
  void whatAWorkerOfAnotherNodeAnswersIsTheAnswerTypedAndAsJson() {
    RagbusOptions options = options("{}");
    front(options);
    worker(nodeA, options, "a");
    seen(1);

    Embeddings made = Await.result(ragbus.embed(EmbedRequest.of("four", "by")));
    assertThat(made.values()).containsExactly(4, 4 / 3f, -4, 2, 2 / 3f, -2);

    RagbusException unknown =
        Await.ragbusFailure(ragbus.embed(EmbedRequest.of("x").withModel("unknown")));
    assertThat(unknown.kind()).isEqualTo(Kind.MODEL_NOT_FOUND);
    assertThat(unknown.detail()).isEqualTo("no model 'unknown'");
  }
}
