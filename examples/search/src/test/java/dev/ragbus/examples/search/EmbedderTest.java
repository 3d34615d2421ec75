package dev.ragbus.examples.search;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.ragbus.Ragbus;
import dev.ragbus.RagbusException;
import dev.ragbus.RagbusException.Kind;
import io.vertx.core.Future;
import io.vertx.core.Promise;
import io.vertx.core.Vertx;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class EmbedderTest {
  private static final int MOST = 64;

  private Vertx vertx;
  private FakeRagbus service;
  private PatientCalls calls;
  private Embedder embedder;

  @BeforeEach
  void start() {
    vertx = Vertx.vertx();
    service = new FakeRagbus(vertx);
    calls = new PatientCalls(vertx);
    embedder = new Embedder(Ragbus.create(vertx), calls, MOST);
  }

  @AfterEach
  void stop() {
    Await.result(vertx.close());
  }

  /** On an event loop, as a verticle would. */
  private Future<List<float[]>> embed(List<String> texts) {
    Promise<List<float[]>> done = Promise.promise();
    vertx.runOnContext(v -> embedder.embed(texts).onComplete(done));
    return done.future();
  }

  private static List<String> texts(int count) {
    return IntStream.range(0, count).mapToObj(at -> "x".repeat(at)).toList();
  }

  private static List<Float> numbers(List<float[]> vectors) {
    return vectors.stream().map(vector -> vector[0]).toList();
  }

  private static final RagbusException OVERLOADED =
      RagbusException.of(Kind.OVERLOADED, "full", true, 30, null);

  @Test
  void afterItsEndNothingMoreIsSent() {
    Promise<Void> ended = Promise.promise();
    vertx.runOnContext(
        v -> {
          embedder.end(new IllegalStateException("stopped"));
          ended.complete();
        });
    Await.result(ended.future());
    assertThat(Await.result(embed(texts(3)).map(done -> "sent").otherwise(Throwable::getMessage)))
        .isEqualTo("stopped");
    assertThat(service.waiting()).isZero();
  }

  @Test
  void everyTextGetsItsVectorAndTheBoundHolds() {
    Future<List<float[]>> vectors = embed(texts(300));
    await()
        .until(
            () -> {
              service.answer(request -> null);
              return vectors.isComplete();
            });

    assertThat(numbers(vectors.result()))
        .isEqualTo(IntStream.range(0, 300).mapToObj(at -> (float) at).toList());
    assertThat(service.mostTexts()).isEqualTo(MOST);
    assertThat(embedder.embedded()).isEqualTo(300);
  }

  @Test
  void anOverloadedServiceIsLeftAloneForTheTimeItSays() {
    Set<List<String>> refusedOnce = ConcurrentHashMap.newKeySet();
    Future<List<float[]>> vectors = embed(texts(200));
    await()
        .until(
            () -> {
              service.answer(request -> refusedOnce.add(request.texts()) ? OVERLOADED : null);
              return vectors.isComplete();
            });

    assertThat(vectors.result()).hasSize(200);
    assertThat(calls.pauses()).isEqualTo(7);
    assertThat(service.mostTexts()).isLessThanOrEqualTo(MOST);
    assertThat(embedder.embedded()).isEqualTo(200);
  }

  @Test
  void whatCannotHelpIsNotTriedAgain() {
    Future<List<float[]>> vectors = embed(texts(3));
    await().until(() -> service.waiting() == 1);
    service.answer(request -> RagbusException.of(Kind.TOO_LARGE, "texts"));
    await().until(vectors::isComplete);

    assertThat(vectors.cause())
        .isInstanceOfSatisfying(
            RagbusException.class, e -> assertThat(e.kind()).isEqualTo(Kind.TOO_LARGE));
  }

  @Test
  void anEndFailsWhatWaitsAndTriesNothingAgain() {
    Future<List<float[]>> vectors = embed(texts(300));
    await().until(() -> service.waiting() == 2);
    vertx.runOnContext(
        v -> {
          calls.end();
          embedder.end(new IllegalStateException("over"));
        });
    await().until(vectors::isComplete);
    service.answer(request -> OVERLOADED);

    assertThat(vectors.cause()).hasMessage("over");
    assertThat(service.waiting()).isZero();
  }
}
