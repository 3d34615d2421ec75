// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import dev.ragbus.Addresses;
import dev.ragbus.MessageCodecs;
import dev.ragbus.OptionsReader;
import dev.ragbus.RagbusOptions;
import dev.ragbus.ServedHere;
import dev.ragbus.cluster.Announcement;
import dev.ragbus.cluster.Announcer;
import dev.ragbus.cluster.ClusterSecret;
import dev.ragbus.cluster.Front;
import dev.ragbus.cluster.FrontMeters;
import dev.ragbus.cluster.WorkerAddresses;
import dev.ragbus.python.environment.PythonEnvironment;
import io.vertx.core.Future;
import io.vertx.core.ThreadingModel;
import io.vertx.core.VerticleBase;
import java.util.concurrent.TimeUnit;

/**
 * Ragbus as an application deploys it: serves the addresses of {@link Addresses} from lanes of its
 * own.
 *
 * <p>Its {@code config()} is the JSON form of {@code conf/ragbus.toml}; environment variables and
 * system properties go before it. One instance a deployment, on an event loop; deploy it again,
 * under another prefix or the same, for more. {@code start()} completes when requests can be
 * served, which the first time on a machine includes making the Python environment; requests that
 * come earlier fail with {@code NOT_INITIALIZED}. {@code stop()} answers what was accepted, within
 * {@code lanes.drain_timeout}, and never waits for Python that is stuck.
 */
public final class RagbusVerticle extends VerticleBase {
  /** How often a worker looks whether its state is what the fronts know. */
  private static final long LOOK_MILLIS = 500;

  private RagbusOptions options;
  private ServiceMetrics metrics;

  /** The lanes and what works with them; null for a front without. */
  private LaneService lanes;

  /** Of a cluster; null elsewhere. */
  private WorkerAddresses cluster;

  /** What this one is called in a cluster; null for one that is no worker. */
  private String worker;

  private Front front;

  /** What a front counts beside a service in the same process; null elsewhere. */
  private ServiceMetrics frontMetrics;

  private Announcer announcer;
  private Announcement.State announced = Announcement.State.SERVING;

  /** Made by the application, or by name. */
  public RagbusVerticle() {}

  @Override
  public Future<?> start() {
    if (context.threadingModel() != ThreadingModel.EVENT_LOOP) {
      throw new IllegalStateException(
          "RagbusVerticle must be deployed on an event loop, not as "
              + context.threadingModel()
              + ": it never blocks, and its lanes have threads of their own");
    }
    if (context.getInstanceCount() > 1) {
      throw new IllegalStateException(
          "RagbusVerticle must be deployed with one instance; lanes.inference sets how much runs"
              + " side by side");
    }
    options = OptionsReader.read(config());
    MessageCodecs.register(vertx);
    metrics = new ServiceMetrics(options.bus().addressPrefix());
    return joinCluster().compose(joined -> startWork()).onFailure(failure -> leaveCluster());
  }

  private Future<Void> startWork() {
    if (options.cluster().hasLanes()) {
      return startLanes();
    }
    return options.cluster().isolation() == RagbusOptions.Cluster.Isolation.PROCESS
        ? front.startProcesses(
            config(), CrashFile.folder(PythonEnvironment.Settings.defaultCacheFolder()))
        : Future.succeededFuture();
  }

  /** Begins to pass requests on to the workers of the cluster, where this one does that. */
  private Future<Void> joinCluster() {
    RagbusOptions.Cluster settings = options.cluster();
    if (!settings.clustered()) {
      ServedHere.begin(vertx, options.bus().addressPrefix());
      return Future.succeededFuture();
    }
    if (!vertx.isClustered()) {
      throw new IllegalStateException(
          "cluster.enabled and cluster.isolation need a clustered Vert.x:"
              + " Vertx.builder().withClusterManager(…).buildClustered()");
    }
    cluster = new WorkerAddresses(options.bus().addressPrefix(), ClusterSecret.of(settings));
    if (settings.hasLanes()) {
      worker = WorkerAddresses.id();
    }
    if (settings.role() == RagbusOptions.Cluster.Role.WORKER) {
      return Future.succeededFuture();
    }
    if (worker != null) {
      frontMetrics = new ServiceMetrics(cluster.prefix() + ".front");
    }
    FrontMeters meters = worker == null ? metrics : frontMetrics;
    front = new Front(vertx, options, cluster, worker, meters, System::nanoTime);
    return front.start();
  }

  private Future<Void> startLanes() {
    LastRequests requests =
        new LastRequests(options.lanes().inference(), options.lanes().function(), System::nanoTime);
    lanes = new LaneService(vertx, context, options, metrics, requests);
    Endpoints endpoints = new Endpoints(vertx, lanes, options, metrics, requests);
    if (worker == null) {
      endpoints.serveHere();
    } else {
      endpoints.serveFronts(cluster, worker);
    }
    return lanes.start(deploymentID(), this::drain).compose(started -> announce());
  }

  private Future<Void> announce() {
    if (worker == null) {
      return Future.succeededFuture();
    }
    announcer =
        new Announcer(
            vertx,
            cluster,
            worker,
            options.cluster().announceInterval(),
            (node, proof) -> lanes.announcement(worker, node, proof));
    vertx.setPeriodic(
        LOOK_MILLIS,
        timer -> {
          if (lanes.announcedState() != announced) {
            tell();
          }
        });
    return announcer.start();
  }

  /** Tells the fronts at once what has changed. */
  private void tell() {
    if (announcer != null) {
      announced = lanes.announcedState();
      announcer.tell();
    }
  }

  /** Called when the first lane is undeployed, which Vert.x does before it stops this verticle. */
  private Future<Void> drain() {
    return lanes.drain(
        () -> {
          tell();
          return front == null ? Future.succeededFuture() : front.close();
        });
  }

  @Override
  public Future<?> stop() {
    Future<Void> stopped = lanes == null ? Future.succeededFuture() : lanes.stop();
    return Future.join(leaveCluster(), stopped)
        .onComplete(
            ended -> {
              metrics.close();
              if (frontMetrics != null) {
                frontMetrics.close();
              }
            });
  }

  /** A front without lanes has yet to drain; one with lanes has done so with them. */
  private Future<Void> leaveCluster() {
    if (announcer != null) {
      announcer.stop();
    }
    if (front == null) {
      if (cluster == null && options != null) {
        ServedHere.end(vertx, options.bus().addressPrefix());
      }
      return Future.succeededFuture();
    }
    Future<Void> drained = options.cluster().hasLanes() ? Future.succeededFuture() : front.close();
    long millis = options.lanes().drainTimeout().toMillis();
    return drained.timeout(millis, TimeUnit.MILLISECONDS).transform(ended -> front.stop());
  }
}
