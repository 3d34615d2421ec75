// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

import dev.ragbus.RagbusException;
import dev.ragbus.RagbusException.Kind;
import dev.ragbus.RagbusOptions;
import io.vertx.core.Future;
import io.vertx.core.Promise;
import io.vertx.core.Vertx;
import io.vertx.core.http.HttpConnection;
import io.vertx.core.http.HttpServerRequest;
import io.vertx.core.net.impl.ConnectionBase;
import java.time.Duration;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.Map;

/**
 * Bounds what clients may hold: connections, time without a request, requests under way. Belongs to
 * one verticle's event loop.
 *
 * <p>A connection has {@code http.header_timeout} for its first request and {@code
 * http.idle_timeout} for each further one, counted until all its headers are there: sending them
 * byte by byte gains nothing.
 */
final class Connections {
  /**
   * How long a connection stays whose client may still be sending: closed at once, TCP would drop
   * the reply.
   */
  static final Duration LINGER = Duration.ofMillis(500);

  private final Vertx vertx;
  private final RagbusOptions.Http options;
  private final IdentityHashMap<HttpConnection, Watched> open = new IdentityHashMap<>();
  private final Map<String, Integer> requestsByClient = new HashMap<>();
  private final Map<String, Integer> socketsByClient = new HashMap<>();

  /** Completes when the requests that were accepted are over; null while more may come. */
  private Promise<Void> drained;

  private static final class Watched {
    private int requests;
    private long timer;
    private boolean over;
  }

  Connections(Vertx vertx, RagbusOptions.Http options) {
    this.vertx = vertx;
    this.options = options;
  }

  /** A new connection: watched, or closed where there are too many. */
  void opened(HttpConnection connection) {
    if (open.size() >= options.maxConnections()) {
      // Not here: while it is being set up, a close may be lost.
      vertx.runOnContext(v -> connection.close());
      return;
    }
    Watched watched = new Watched();
    open.put(connection, watched);
    watched.timer = closeAfter(connection, options.headerTimeout());
    connection.closeHandler(
        closed -> {
          open.remove(connection);
          vertx.cancelTimer(watched.timer);
        });
  }

  /** A request's headers are there. */
  void began(HttpConnection connection) {
    Watched watched = open.get(connection);
    if (watched != null) {
      vertx.cancelTimer(watched.timer);
      watched.requests++;
    }
  }

  /** A request is over. */
  void ended(HttpServerRequest request) {
    HttpConnection connection = request.connection();
    Watched watched = open.get(connection);
    if (watched == null || --watched.requests > 0) {
      return;
    }
    if (watched.over && request.isEnded()) {
      connection.close();
    } else {
      watched.timer = closeAfter(connection, watched.over ? LINGER : options.idleTimeout());
    }
  }

  /** A request is the last one of its connection, which is closed when it has ended. */
  void last(HttpConnection connection) {
    Watched watched = open.get(connection);
    if (watched != null) {
      watched.over = true;
    }
  }

  /** Whether the last request of a connection was there already. */
  boolean isOver(HttpConnection connection) {
    Watched watched = open.get(connection);
    return watched != null && watched.over;
  }

  /** Closes a connection after a while, sent or not; returns the timer's id. */
  long closeAfter(HttpConnection connection, Duration time) {
    return vertx.setTimer(time.toMillis(), id -> cut(connection));
  }

  /** A close by Vert.x would first wait until a client has read all, who may never do so. */
  @SuppressWarnings("FutureReturnValueIgnored")
  private static void cut(HttpConnection connection) {
    try {
      ((ConnectionBase) connection).channelHandlerContext().close();
    } catch (IllegalAccessError unexported) {
      // On a module path; docs/http.md says how to have it there too.
      connection.close();
    }
  }

  /**
   * Counts one more request of a client, or refuses it: the client has as many as it may, or no
   * more are accepted.
   */
  void enter(String client) {
    enter(requestsByClient, client, "requests under way");
  }

  /** A request that entered is over. */
  void leave(String client) {
    leave(requestsByClient, client);
    completeIfDrained();
  }

  /** Counts one more socket of a client, or refuses it, as with requests. */
  void enterSocket(String client) {
    enter(socketsByClient, client, "sockets open");
  }

  /** A socket that entered is closed. */
  void leaveSocket(String client) {
    leave(socketsByClient, client);
  }

  private void enter(Map<String, Integer> byClient, String client, String what) {
    if (isDraining()) {
      throw RagbusException.of(Kind.UNAVAILABLE, "the server is shutting down");
    }
    int now = byClient.getOrDefault(client, 0);
    if (now >= options.maxRequestsPerClient()) {
      throw RagbusException.of(
          Kind.OVERLOADED,
          "you have "
              + options.maxRequestsPerClient()
              + " "
              + what
              + ", which is http.max_requests_per_client");
    }
    byClient.put(client, now + 1);
  }

  private static void leave(Map<String, Integer> byClient, String client) {
    byClient.computeIfPresent(client, (name, now) -> now == 1 ? null : now - 1);
  }

  /** Accepts no more; completes when the requests that were accepted are over. */
  Future<Void> drain() {
    drained = Promise.promise();
    completeIfDrained();
    return drained.future();
  }

  /** Whether no more requests are accepted. */
  boolean isDraining() {
    return drained != null;
  }

  private void completeIfDrained() {
    if (isDraining() && requestsByClient.isEmpty()) {
      drained.tryComplete();
    }
  }
}
