// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

import dev.ragbus.Addresses;
import dev.ragbus.RagbusException;
import dev.ragbus.RagbusOptions;
import io.vertx.core.Vertx;
import io.vertx.core.json.JsonObject;
import io.vertx.ext.bridge.PermittedOptions;
import io.vertx.ext.web.Router;
import io.vertx.ext.web.RoutingContext;
import io.vertx.ext.web.handler.sockjs.BridgeEvent;
import io.vertx.ext.web.handler.sockjs.SockJSBridgeOptions;
import io.vertx.ext.web.handler.sockjs.SockJSHandler;
import io.vertx.ext.web.handler.sockjs.SockJSHandlerOptions;
import java.time.Duration;
import java.util.List;
import java.util.function.Function;

/**
 * Vert.x's own bridge between SockJS clients and the event bus, for {@code rag.embed}, {@code
 * rag.embed_sparse}, {@code rag.predict}, {@code rag.rerank}, {@code rag.tokenize}, {@code
 * rag.decode} and {@code rag.health}: bodies and replies are those of the event bus. Nothing else
 * can be sent to, and nothing listened to. A request is its client's whatever its {@code caller}
 * header says; it goes on when the socket is closed, and is not waited for when the server stops.
 *
 * <p>It speaks WebSocket alone; SockJS's other transports would spread one client over many
 * requests. A client has so many sockets, and on each so many requests under way, as {@code
 * http.max_requests_per_client}; one that sends without reading is refused until it has read.
 */
final class EventBusBridge {
  static final String PATH = "/eventbus/*";

  private static final List<String> OTHER_TRANSPORTS =
      List.of("EVENT_SOURCE", "HTML_FILE", "JSON_P", "XHR");
  private static final Duration REPLY_GRACE = Duration.ofSeconds(1);

  private final Connections connections;
  private final Function<RoutingContext, String> clientOf;

  private EventBusBridge(Connections connections, Function<RoutingContext, String> clientOf) {
    this.connections = connections;
    this.clientOf = clientOf;
  }

  /**
   * What serves {@link #PATH}.
   *
   * @param connections counts sockets
   * @param clientOf the client's name
   */
  static Router router(
      Vertx vertx,
      RagbusOptions options,
      Connections connections,
      Function<RoutingContext, String> clientOf) {
    SockJSHandlerOptions transports = new SockJSHandlerOptions();
    OTHER_TRANSPORTS.forEach(transports::addDisabledTransport);
    EventBusBridge bridge = new EventBusBridge(connections, clientOf);
    return SockJSHandler.create(vertx, transports).bridge(permissions(options), bridge::judge);
  }

  private static SockJSBridgeOptions permissions(RagbusOptions options) {
    Addresses addresses = new Addresses(options.bus().addressPrefix());
    Duration longest = options.python().timeout("rerank_texts");
    if (longest.compareTo(options.python().defaultTimeout()) < 0) {
      longest = options.python().defaultTimeout();
    }
    SockJSBridgeOptions permissions =
        new SockJSBridgeOptions()
            .setReplyTimeout(longest.plus(REPLY_GRACE).toMillis())
            .setPingTimeout(options.http().idleTimeout().toMillis())
            .setMaxHandlersPerSocket(options.http().maxRequestsPerClient());
    List.of(
            addresses.embed(),
            addresses.embedSparse(),
            addresses.predict(),
            addresses.rerank(),
            addresses.tokenize(),
            addresses.decode(),
            addresses.health())
        .forEach(
            address -> permissions.addInboundPermitted(new PermittedOptions().setAddress(address)));
    return permissions;
  }

  private void judge(BridgeEvent event) {
    switch (event.type()) {
      case SOCKET_CREATED -> event.complete(enters(event));
      case SOCKET_CLOSED -> {
        connections.leaveSocket(client(event));
        event.complete(true);
      }
      case SEND -> event.complete(sends(event));
      case PUBLISH, REGISTER -> event.complete(false);
      default -> event.complete(true);
    }
  }

  private boolean sends(BridgeEvent event) {
    JsonObject message = event.getRawMessage();
    if (connections.isDraining()
        || event.socket().writeQueueFull()
        || !(message.getValue("replyAddress") instanceof String)
        || !(message.getValue("headers", new JsonObject()) instanceof JsonObject headers)) {
      return false;
    }
    List.copyOf(headers.fieldNames()).stream()
        .filter(Addresses.CALLER_HEADER::equalsIgnoreCase)
        .forEach(headers::remove);
    event.setRawMessage(
        message.put("headers", headers.put(Addresses.CALLER_HEADER, client(event))));
    return true;
  }

  private boolean enters(BridgeEvent event) {
    try {
      connections.enterSocket(client(event));
      return true;
    } catch (RagbusException refused) {
      return false;
    }
  }

  private String client(BridgeEvent event) {
    return clientOf.apply(event.socket().routingContext());
  }
}
