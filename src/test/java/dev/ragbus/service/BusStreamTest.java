// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.ragbus.Await;
import dev.ragbus.RagbusException;
import dev.ragbus.RagbusException.Kind;
import dev.ragbus.StreamControl;
import io.vertx.core.Context;
import io.vertx.core.Future;
import io.vertx.core.Vertx;
import io.vertx.core.eventbus.MessageConsumer;
import io.vertx.core.eventbus.ReplyException;
import io.vertx.core.eventbus.ReplyFailure;
import io.vertx.core.json.JsonObject;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Supplier;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** The service's side of streams, read by callers that know the bus alone. */
class BusStreamTest {
  private Vertx vertx;
  private Context service;
  private BusStreams streams;

  @BeforeEach
  void start() {
    vertx = Vertx.vertx();
    service = vertx.getOrCreateContext();
    streams = new BusStreams(vertx, System::nanoTime);
  }

  @AfterEach
  void stop() {
    vertx.close().await();
  }

  /** A stream with its reader, who counts credit down to what the test allows. */
  private final class Read {
    final String address = "reader." + UUID.randomUUID();
    final List<JsonObject> frames = new CopyOnWriteArrayList<>();
    final List<Throwable> failures = new CopyOnWriteArrayList<>();
    final AtomicInteger drained = new AtomicInteger();
    final MessageConsumer<JsonObject> consumer;
    final BusStream stream;
    final StreamControl control;

    Read(long millis) {
      consumer = vertx.eventBus().consumer(address, message -> frames.add(message.body()));
      consumer.completion().await();
      long deadline = System.nanoTime() + millis * 1_000_000;
      stream =
          onService(
              () -> {
                BusStream opened = streams.open(new Call("id", deadline, address));
                opened.exceptionHandler(failures::add);
                opened.drainHandler(v -> drained.incrementAndGet());
                return opened;
              });
      control = onService(stream::control).await();
    }

    void write(int first, int count) {
      onService(
          () -> {
            for (int i = first; i < first + count; i++) {
              stream.write(new JsonObject().put("type", "item").put("value", i));
            }
            return null;
          });
    }

    void end() {
      onService(
          () -> {
            stream.write(new JsonObject().put("type", "end"));
            return stream.end();
          });
    }

    void tell(JsonObject message) {
      vertx
          .eventBus()
          .request(
              control.control(),
              message,
              new io.vertx.core.eventbus.DeliveryOptions().setSendTimeout(1));
    }

    void awaitFrames(int count) {
      Awaitility.await().until(() -> frames.size() >= count);
    }

    Kind lastKind() {
      JsonObject last = frames.get(frames.size() - 1);
      assertThat(last.getString("type")).isEqualTo("error");
      assertThat(last.getString("id")).isEqualTo("id");
      return Kind.valueOf(last.getString("kind"));
    }
  }

  private <T> T onService(Supplier<T> action) {
    return Await.result(
        Future.future(
            promise ->
                service.runOnContext(
                    v -> Future.succeededFuture().map(x -> action.get()).onComplete(promise))));
  }

  private void assertNothingIsLeft(Read... reads) {
    Await.result(onService(streams::closed));
    for (Read read : reads) {
      Throwable gone =
          Await.failure(vertx.eventBus().request(read.control.control(), new JsonObject()));
      assertThat(((ReplyException) gone).failureType()).isEqualTo(ReplyFailure.NO_HANDLERS);
    }
  }

  @Test
  void framesComeInOrderAndTheStreamEnds() {
    Read read = new Read(10_000);
    read.write(0, 5);
    read.end();
    read.awaitFrames(6);
    assertThat(read.frames)
        .extracting(frame -> frame.getInteger("value"))
        .containsExactly(0, 1, 2, 3, 4, null);
    assertThat(read.failures).isEmpty();
    assertNothingIsLeft(read);
  }

  @Test
  void noMoreFramesAreSentThanThereIsCredit() {
    Read read = new Read(10_000);
    read.write(0, 40);
    read.end();
    read.awaitFrames(16);
    assertThat(onService(read.stream::writeQueueFull)).isTrue();
    read.tell(new JsonObject().put("credit", 1));
    read.awaitFrames(17);
    assertThat(read.frames).hasSize(17);
    assertThat(read.drained).hasValue(0);
    read.tell(new JsonObject().put("credit", 20));
    read.awaitFrames(37);
    assertThat(read.frames).hasSize(37);
    Awaitility.await().until(() -> read.drained.get() == 1);
    read.tell(new JsonObject().put("credit", -3).put("unknown", true));
    read.tell(new JsonObject().put("credit", "many"));
    read.tell(new JsonObject().put("credit", 100));
    read.awaitFrames(41);
    assertThat(read.frames.get(40).getString("type")).isEqualTo("end");
    assertNothingIsLeft(read);
  }

  @Test
  void aCallerCancelsAndIsTold() {
    Read read = new Read(10_000);
    read.write(0, 40);
    read.awaitFrames(16);
    read.tell(new JsonObject().put("cancel", true));
    read.awaitFrames(17);
    assertThat(read.lastKind()).isEqualTo(Kind.CANCELLED);
    assertThat(read.failures).hasSize(1);
    read.write(40, 1);
    read.end();
    assertNothingIsLeft(read);
    assertThat(read.frames).hasSize(17);
  }

  @Test
  void aCallerThatIsGoneCancels() {
    Read read = new Read(60_000);
    read.write(0, 1);
    read.awaitFrames(1);
    read.consumer.unregister().await();
    read.write(1, 1);
    Awaitility.await().until(() -> !read.failures.isEmpty());
    assertThat(((RagbusException) read.failures.get(0)).kind()).isEqualTo(Kind.CANCELLED);
    assertNothingIsLeft(read);
  }

  @Test
  void aCallerThatNeverReadsIsTimedOut() {
    Read read = new Read(100);
    read.write(0, 40);
    read.end();
    read.awaitFrames(17);
    assertThat(read.lastKind()).isEqualTo(Kind.TIMEOUT);
    assertThat(read.failures).as("the work had ended").isEmpty();
    assertNothingIsLeft(read);
  }

  @Test
  void theDeadlineEndsAStreamNobodyWrites() {
    Read read = new Read(50);
    read.awaitFrames(1);
    assertThat(read.lastKind()).isEqualTo(Kind.TIMEOUT);
    assertThat(read.failures).hasSize(1);
    assertNothingIsLeft(read);
  }

  @Test
  void aFailureComesAfterTheFramesBeforeIt() {
    Read read = new Read(10_000);
    read.write(0, 20);
    onService(
        () -> {
          read.stream.fail(RagbusException.of(Kind.PYTHON, "ValueError: no"));
          return null;
        });
    read.awaitFrames(16);
    read.tell(new JsonObject().put("credit", 16));
    read.awaitFrames(21);
    assertThat(read.lastKind()).isEqualTo(Kind.PYTHON);
    assertThat(read.frames.get(20).encode())
        .isEqualTo(
            "{\"type\":\"error\",\"id\":\"id\",\"kind\":\"PYTHON\",\"code\":500,"
                + "\"message\":\"ValueError: no\",\"retryable\":false}");
    assertNothingIsLeft(read);
  }

  @Test
  void shuttingDownTellsEverybody() {
    Read first = new Read(10_000);
    Read second = new Read(10_000);
    onService(
        () -> {
          streams.failAll(RagbusException.of(Kind.UNAVAILABLE, "over"));
          return null;
        });
    first.awaitFrames(1);
    second.awaitFrames(1);
    assertThat(List.of(first.lastKind(), second.lastKind())).containsOnly(Kind.UNAVAILABLE);
    assertNothingIsLeft(first, second);
  }

  @Test
  void aStreamNeedsAnAddress() {
    BusStream.checkAddress("__vertx.reply.1:a/b");
    for (String address : new String[] {null, "", "a b", "x".repeat(256)}) {
      assertThatThrownBy(() -> BusStream.checkAddress(address))
          .isInstanceOf(RagbusException.class)
          .hasMessageContaining("stream-address");
    }
  }

  @Test
  void manyStreamsAtOnceKeepTheirFrames() {
    List<Read> reads = new ArrayList<>();
    for (int i = 0; i < 200; i++) {
      reads.add(new Read(60_000));
    }
    for (int round = 0; round < 20; round++) {
      for (Read read : reads) {
        read.write(round, 1);
        read.tell(new JsonObject().put("credit", 1));
      }
    }
    reads.forEach(Read::end);
    Awaitility.await()
        .atMost(Duration.ofSeconds(60))
        .until(() -> reads.stream().allMatch(read -> read.frames.size() == 21));
    for (Read read : reads) {
      for (int i = 0; i < 20; i++) {
        assertThat(read.frames.get(i).getInteger("value")).isEqualTo(i);
      }
    }
    assertNothingIsLeft(reads.toArray(Read[]::new));
  }
}
