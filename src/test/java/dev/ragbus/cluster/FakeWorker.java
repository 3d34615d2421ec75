// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.cluster;

import dev.ragbus.Await;
import dev.ragbus.FakeService;
import dev.ragbus.RagbusOptions;
import io.vertx.core.DeploymentOptions;
import io.vertx.core.Vertx;
import io.vertx.core.json.JsonObject;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.UnaryOperator;

/** A worker with made-up answers, which tells of itself what the test wants. */
final class FakeWorker {
  private final Vertx vertx;
  private final String id;
  private final FakeService service = new FakeService();
  private final AtomicReference<Announcement> told;
  private final Announcer announcer;

  private FakeWorker(Vertx vertx, WorkerAddresses addresses, String id, Duration interval) {
    this.vertx = vertx;
    this.id = id;
    this.told =
        new AtomicReference<>(
            new Announcement(
                id,
                "",
                Announcement.State.SERVING,
                1,
                0,
                100,
                0,
                100_000,
                1_000,
                Map.of("embedding", "fake", "reranker", "fake"),
                List.of("fake"),
                List.of("echo"),
                0,
                null));
    this.announcer =
        new Announcer(
            vertx,
            addresses,
            id,
            interval,
            (node, proof) -> {
              Announcement now = told.get();
              return new Announcement(
                  now.worker(),
                  node,
                  now.state(),
                  now.lanes(),
                  now.items(),
                  now.maxItems(),
                  now.tokens(),
                  now.maxTokens(),
                  now.tokensPerSecond(),
                  now.defaults(),
                  now.models(),
                  now.functions(),
                  now.requests(),
                  proof);
            });
  }

  /** Serves the addresses of a worker and tells of it. */
  static FakeWorker start(Vertx vertx, RagbusOptions options, String id) {
    return start(vertx, options, id, UnaryOperator.identity());
  }

  /** The same with a change of what it tells first. */
  static FakeWorker start(
      Vertx vertx, RagbusOptions options, String id, UnaryOperator<Announcement> change) {
    WorkerAddresses addresses =
        new WorkerAddresses(options.bus().addressPrefix(), ClusterSecret.of(options.cluster()));
    FakeWorker worker = new FakeWorker(vertx, addresses, id, options.cluster().announceInterval());
    worker.told.updateAndGet(change);
    JsonObject config =
        new JsonObject()
            .put("bus", new JsonObject().put("address_prefix", addresses.of(id).prefix()));
    Await.result(vertx.deployVerticle(worker.service, new DeploymentOptions().setConfig(config)));
    Await.result(worker.announcer.start());
    return worker;
  }

  FakeService service() {
    return service;
  }

  String id() {
    return id;
  }

  Vertx vertx() {
    return vertx;
  }

  /** Tells at once what has changed. */
  FakeWorker tells(UnaryOperator<Announcement> change) {
    told.updateAndGet(change);
    announcer.tell();
    return this;
  }

  /** Tells no more. */
  void silent() {
    announcer.stop();
  }
}
