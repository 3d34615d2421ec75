// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import static org.assertj.core.api.Assertions.assertThat;

import dev.ragbus.RagbusException.Kind;
import io.vertx.core.Context;
import io.vertx.core.Future;
import io.vertx.core.Vertx;
import io.vertx.core.eventbus.ReplyException;
import io.vertx.core.eventbus.ReplyFailure;
import io.vertx.core.json.JsonObject;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicInteger;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** The caller's side of streams, written to by hand. */
class FrameStreamTest {
  private Vertx vertx;
  private final List<JsonObject> told = new CopyOnWriteArrayList<>();
  private final List<Object> seen = new CopyOnWriteArrayList<>();
  private final AtomicInteger ended = new AtomicInteger();

  @BeforeEach
  void start() {
    vertx = Vertx.vertx();
    vertx
        .eventBus()
        .<JsonObject>consumer("control", message -> told.add(message.body()))
        .completion()
        .await();
  }

  @AfterEach
  void stop() {
    vertx.close().await();
  }

  private FrameStream<Integer> stream(long millis) {
    FrameStream<Integer> stream =
        new FrameStream<>(
            vertx,
            json -> {
              if (json.getValue("value") instanceof String) {
                throw RagbusException.invalid("value must be a number");
              }
              return json.getInteger("value");
            });
    stream.listening().await();
    stream.exceptionHandler(seen::add).endHandler(v -> ended.incrementAndGet());
    return stream.accepted(new StreamControl("id", "control"), millis);
  }

  private void send(FrameStream<?> stream, int first, int count) {
    for (int i = first; i < first + count; i++) {
      vertx.eventBus().send(stream.address(), frame("item", i));
    }
  }

  private static JsonObject frame(String type, Object value) {
    return new JsonObject().put("type", type).put("value", value);
  }

  private void awaitSeen(int count) {
    Awaitility.await().until(() -> seen.size() >= count);
  }

  private long credit() {
    return told.stream().mapToLong(message -> message.getLong("credit", 0L)).sum();
  }

  private void assertGone(FrameStream<?> stream) {
    Awaitility.await()
        .until(
            () -> {
              Future<?> sent = vertx.eventBus().request(stream.address(), new JsonObject());
              return Await.failure(sent) instanceof ReplyException gone
                  && gone.failureType() == ReplyFailure.NO_HANDLERS;
            });
  }

  @Test
  void standsStillUntilThereIsAHandler() {
    FrameStream<Integer> stream = stream(10_000);
    send(stream, 0, 3);
    vertx.eventBus().send(stream.address(), frame("end", 3));
    stream.handler(seen::add);
    assertThat(Await.result(stream.last())).isEqualTo(3);
    Awaitility.await().until(() -> ended.get() == 1);
    assertThat(seen).containsExactly(0, 1, 2, 3);
    assertThat(told).isEmpty();
    assertGone(stream);
  }

  @Test
  void handlersAreCalledOnTheCallersContext() {
    Context caller = vertx.getOrCreateContext();
    List<Object> threads = new CopyOnWriteArrayList<>();
    FrameStream<Integer> stream = stream(10_000);
    stream.handler(frame -> threads.add(Thread.currentThread()));
    send(stream, 0, 1);
    Future<Thread> own =
        Future.future(p -> caller.runOnContext(v -> p.complete(Thread.currentThread())));
    Awaitility.await().until(() -> threads.size() == 1);
    assertThat(threads.get(0)).isEqualTo(Await.result(own));
  }

  @Test
  void creditIsGivenForWhatIsHandedOver() {
    FrameStream<Integer> stream = stream(10_000);
    stream.pause();
    stream.handler(seen::add);
    send(stream, 0, 16);
    stream.fetch(7);
    awaitSeen(7);
    assertThat(seen).containsExactly(0, 1, 2, 3, 4, 5, 6);
    assertThat(credit()).isZero();
    stream.fetch(1);
    Awaitility.await().until(() -> credit() == 8);
    assertThat(seen).hasSize(8);
    stream.resume();
    Awaitility.await().until(() -> credit() == 16);
    send(stream, 16, 16);
    Awaitility.await().until(() -> credit() == 32);
    assertThat(seen).hasSize(32);
    stream.handler(null);
    send(stream, 32, 1);
    stream.handler(seen::add);
    awaitSeen(33);
  }

  @Test
  void aFailureGoesToTheExceptionHandlerAlone() {
    FrameStream<Integer> stream = stream(10_000);
    stream.handler(seen::add);
    send(stream, 0, 1);
    RagbusException failure = RagbusException.of(Kind.LANE_LOST, "it died");
    JsonObject newer = StreamError.of("id", failure).toJson().put("added_later", 1);
    vertx.eventBus().send(stream.address(), newer);
    RagbusException last = Await.ragbusFailure(stream.last());
    assertThat(last.kind()).isEqualTo(Kind.LANE_LOST);
    assertThat(last.getMessage()).isEqualTo("LANE_LOST: it died");
    assertThat(last.retryable()).isTrue();
    awaitSeen(2);
    assertThat(seen).containsExactly(0, last);
    assertThat(ended).hasValue(0);
    assertGone(stream);
  }

  @Test
  void aFrameThatCannotBeReadFailsTheStreamAndCancels() {
    FrameStream<Integer> stream = stream(10_000);
    stream.handler(seen::add);
    vertx.eventBus().send(stream.address(), frame("item", "x"));
    assertThat(Await.ragbusFailure(stream.last()).kind()).isEqualTo(Kind.SERIALIZATION);
    Awaitility.await().until(() -> told.contains(new JsonObject().put("cancel", true)));
    assertGone(stream);
  }

  @Test
  void cancellingEndsBothSides() {
    FrameStream<Integer> stream = stream(10_000);
    stream.handler(seen::add);
    Await.result(stream.cancel());
    Await.result(stream.cancel());
    assertThat(Await.ragbusFailure(stream.last()).kind()).isEqualTo(Kind.CANCELLED);
    assertThat(seen).hasSize(1);
    Awaitility.await().until(() -> told.size() == 1);
    assertThat(told).containsExactly(new JsonObject().put("cancel", true));
    assertGone(stream);
  }

  @Test
  void aStreamThatDoesNotEndInTimeFailsAndCancels() {
    FrameStream<Integer> stream = stream(50);
    assertThat(Await.ragbusFailure(stream.last()).kind()).isEqualTo(Kind.TIMEOUT);
    Awaitility.await().until(() -> told.contains(new JsonObject().put("cancel", true)));
    assertGone(stream);
  }

  @Test
  void aHandlerThatThrowsDoesNotLoseTheEnd() {
    FrameStream<Integer> stream = stream(10_000);
    stream.handler(
        frame -> {
          throw new IllegalStateException("a handler's fault");
        });
    send(stream, 0, 1);
    vertx.eventBus().send(stream.address(), frame("end", 1));
    assertThat(Await.result(stream.last())).isEqualTo(1);
    Awaitility.await().until(() -> ended.get() == 1);
  }

  @Test
  void aRefusedStreamListensNoMore() {
    FrameStream<Integer> stream = new FrameStream<>(vertx, json -> 1);
    stream.listening().await();
    stream.refused();
    assertGone(stream);
  }

  @Test
  void twoStreamsOfOneCallerKeepTheirFrames() {
    FrameStream<Integer> first = stream(10_000);
    FrameStream<Integer> second = stream(10_000);
    List<Integer> ofFirst = new CopyOnWriteArrayList<>();
    List<Integer> ofSecond = new CopyOnWriteArrayList<>();
    first.handler(ofFirst::add);
    second.handler(ofSecond::add);
    for (int i = 0; i < 8; i++) {
      send(first, i, 1);
      send(second, 100 + i, 1);
    }
    Awaitility.await().until(() -> ofFirst.size() == 8 && ofSecond.size() == 8);
    assertThat(ofFirst).containsExactly(0, 1, 2, 3, 4, 5, 6, 7);
    assertThat(ofSecond).allMatch(value -> value >= 100);
  }
}
