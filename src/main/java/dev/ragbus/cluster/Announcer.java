// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.cluster;

import dev.ragbus.JsonBodies;
import io.vertx.core.Future;
import io.vertx.core.Vertx;
import io.vertx.core.eventbus.MessageConsumer;
import io.vertx.core.internal.VertxInternal;
import java.time.Duration;
import java.util.function.BiFunction;

/** Tells the fronts what a worker has before it. Belongs to the worker's event loop. */
public final class Announcer {
  private final Vertx vertx;
  private final WorkerAddresses addresses;
  private final String worker;
  private final String node;
  private final BiFunction<String, String, Announcement> state;
  private final Duration interval;
  private MessageConsumer<Object> questions;
  private long timer;

  /**
   * An announcer that has yet to start.
   *
   * @param state makes an announcement, given the node's id and the proof
   */
  public Announcer(
      Vertx vertx,
      WorkerAddresses addresses,
      String worker,
      Duration interval,
      BiFunction<String, String, Announcement> state) {
    this.vertx = vertx;
    this.addresses = addresses;
    this.worker = worker;
    this.node = ((VertxInternal) vertx).clusterManager().getNodeId();
    this.interval = interval;
    this.state = state;
  }

  /** Tells now, at every interval, and whenever a front asks. */
  public Future<Void> start() {
    questions = vertx.eventBus().consumer(addresses.questions(), question -> tell());
    timer = vertx.setPeriodic(interval.toMillis(), id -> tell());
    tell();
    return questions.completion();
  }

  /** Tells now. */
  public void tell() {
    Announcement now = state.apply(node, addresses.announcementProof(worker, node));
    vertx.eventBus().publish(addresses.announcements(), JsonBodies.format(now));
  }

  /** Tells no more. */
  public void stop() {
    vertx.cancelTimer(timer);
    if (questions != null) {
      questions.unregister();
    }
  }
}
