// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.cluster;

import io.vertx.core.Handler;
import io.vertx.core.Vertx;
import io.vertx.core.eventbus.DeliveryContext;
import io.vertx.core.eventbus.Message;
import java.time.Duration;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Predicate;

/**
 * Which requests at an address this Vert.x has sent itself. The bus tells nobody where a message
 * comes from, and what a message says of itself anyone can say; so what is sent here is noted on
 * its way out, by the address of its reply, which nobody else has used. A message that wants no
 * reply is not known. Any thread may send.
 */
final class SentHere {
  /** Longer than a message is on its way within a process; it may have gone to another node. */
  private static final long KEPT_MILLIS = Duration.ofSeconds(30).toMillis();

  private final Vertx vertx;
  private final String address;
  private final Predicate<Object> noted;
  private final Set<String> replyAddresses = ConcurrentHashMap.newKeySet();
  private final Handler<DeliveryContext<Object>> interceptor = this::sending;

  /**
   * Notes nothing yet.
   *
   * @param noted of which bodies it is noted
   */
  SentHere(Vertx vertx, String address, Predicate<Object> noted) {
    this.vertx = vertx;
    this.address = address;
    this.noted = noted;
  }

  void start() {
    vertx.eventBus().addOutboundInterceptor(interceptor);
  }

  void stop() {
    vertx.eventBus().removeOutboundInterceptor(interceptor);
  }

  private void sending(DeliveryContext<Object> delivery) {
    String replyAddress = delivery.message().replyAddress();
    if (replyAddress != null
        && delivery.message().address().equals(address)
        && noted.test(delivery.body())) {
      replyAddresses.add(replyAddress);
      vertx.setTimer(KEPT_MILLIS, timer -> replyAddresses.remove(replyAddress));
    }
    delivery.next();
  }

  /** Whether a message was sent here; true once. */
  boolean take(Message<?> message) {
    return message.replyAddress() != null && replyAddresses.remove(message.replyAddress());
  }
}
