// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import static org.assertj.core.api.Assertions.assertThat;

import dev.ragbus.Addresses;
import dev.ragbus.Await;
import dev.ragbus.MessageCodecs;
import dev.ragbus.Ragbus;
import dev.ragbus.RagbusException;
import dev.ragbus.RagbusException.Kind;
import dev.ragbus.RagbusOptions;
import dev.ragbus.Ranking;
import dev.ragbus.RerankFrame;
import dev.ragbus.RerankFrame.End;
import dev.ragbus.RerankFrame.Partial;
import dev.ragbus.RerankFrame.Score;
import dev.ragbus.RerankFrame.Start;
import dev.ragbus.RerankFrame.Top;
import dev.ragbus.RerankRequest;
import dev.ragbus.RerankStream;
import dev.ragbus.python.environment.PackagedModels;
import io.vertx.core.Context;
import io.vertx.core.Future;
import io.vertx.core.Vertx;
import io.vertx.core.eventbus.DeliveryOptions;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.Supplier;
import java.util.stream.IntStream;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Streamed rankings over a real bus, on an engine whose passes end when the test says so. */
class RerankStreamTest {
  private static final Addresses RAG = Addresses.defaults();

  @TempDir Path folder;

  private final Vertx vertx = Vertx.vertx();
  private final Context context = vertx.getOrCreateContext();
  private final FakeEngine engine = new FakeEngine(1);
  private final BusStreams streams = new BusStreams(vertx, System::nanoTime);
  private final ServiceMetrics metrics = new ServiceMetrics("rag");
  private final Ragbus ragbus = Ragbus.create(vertx);
  private Batcher batcher;

  @BeforeEach
  void start() {
    engine.models.put("e", "embedding");
    engine.models.put("r", "cross-encoder");
    JsonObject preferred =
        new JsonObject()
            .put("embedding", new JsonArray().add("e"))
            .put("reranker", new JsonArray().add("r"));
    JsonObject batching = new JsonObject().put("max_queue_items", 2_000);
    RagbusOptions options =
        FakeEngine.options(new JsonObject().put("models", preferred).put("batching", batching));
    PackagedModels none = PackagedModels.of(folder, ClassLoader.getPlatformClassLoader());
    MessageCodecs.register(vertx);
    onService(
        () -> {
          ModelRegistry models =
              new ModelRegistry(engine, options, none, ManualTime.context(), System::nanoTime);
          batcher =
              new Batcher(vertx, engine, options, metrics, FakeEngine.requests(), System::nanoTime);
          Operations operations =
              new Operations(options, engine, models, batcher, streams, System::nanoTime);
          serve(RAG.rerankStream(), operations::rerankStream);
          serve(RAG.rerank(), operations::rerank);
          return models.start();
        });
  }

  private <R extends Record> void serve(
      String address, BusEndpoint.Operation<RerankRequest, R> operation) {
    BusEndpoint<RerankRequest, R> endpoint =
        new BusEndpoint<>(
            vertx,
            RerankRequest.class,
            request -> Duration.ofSeconds(60),
            operation,
            metrics.operation(address),
            FakeEngine.requests(),
            System::nanoTime);
    vertx.eventBus().consumer(address, endpoint::handle);
  }

  @AfterEach
  void stop() {
    metrics.close();
    vertx.close().await();
  }

  private <T> T onService(Supplier<T> action) {
    return Await.result(
        Future.future(
            promise ->
                context.runOnContext(
                    v -> Future.succeededFuture().map(x -> action.get()).onComplete(promise))));
  }

  /** Ends passes until none runs for a moment. */
  private void runAll() {
    Awaitility.await()
        .until(
            () -> {
              onService(engine::finishAll);
              return onService(() -> engine.running.isEmpty() && batcher.stats().items() == 0);
            });
  }

  private void assertNothingIsLeft() {
    Await.result(onService(streams::closed));
    assertThat(onService(() -> batcher.stats().items())).isZero();
  }

  private final class Reader {
    final List<RerankFrame> frames = new CopyOnWriteArrayList<>();
    final List<Throwable> failures = new CopyOnWriteArrayList<>();
    final RerankStream stream;

    Reader(RerankRequest request) {
      this(ragbus, request);
    }

    Reader(Ragbus client, RerankRequest request) {
      stream = Await.result(client.rerankStream(request));
      stream.exceptionHandler(failures::add);
    }

    Reader flowing() {
      stream.handler(frames::add);
      return this;
    }

    <F> List<F> frames(Class<F> type) {
      return frames.stream().filter(type::isInstance).map(type::cast).toList();
    }
  }

  private static List<String> texts(int count) {
    return IntStream.range(0, count)
        .mapToObj(i -> (char) ('A' + i % 900) + "x".repeat(i % 40))
        .toList();
  }

  @Test
  void framesTellScoresOnceAndTheRankingAtTheEnd() {
    RerankRequest request = RerankRequest.of("q", texts(100));
    Reader reader = new Reader(ragbus.withRequestId("mine"), request).flowing();
    runAll();
    Ranking streamed = Await.result(reader.stream.ranking());
    Future<Ranking> unary = ragbus.rerank(request);
    runAll();

    assertThat(streamed).isEqualTo(Await.result(unary));
    assertThat(reader.stream.id()).isEqualTo("mine");
    assertThat(reader.frames).allMatch(frame -> frame.id().equals("mine"));
    assertThat(reader.frames.get(0))
        .isEqualTo(new Start("mine", "r", Ranking.Method.CROSS_ENCODER, 100));
    assertThat(reader.frames.get(reader.frames.size() - 1))
        .isEqualTo(new End("mine", streamed.rankedResults(), streamed.usage()));
    List<Partial> partials = reader.frames(Partial.class);
    assertThat(partials).hasSizeGreaterThan(6).hasSize(reader.frames.size() - 2);
    int done = 0;
    List<Score> told = new ArrayList<>();
    for (Partial partial : partials) {
      done += partial.results().size();
      assertThat(partial.done()).isEqualTo(done);
      told.addAll(partial.results());
    }
    assertThat(told)
        .containsExactlyInAnyOrderElementsOf(
            streamed.rankedResults().stream().map(r -> new Score(r.index(), r.score())).toList());
    assertNothingIsLeft();
  }

  @Test
  void theRunningTopIsTheBestSoFar() {
    RerankRequest request = RerankRequest.of("q", texts(60)).withRunningTop(true).withTopN(3);
    Reader reader = new Reader(request).flowing();
    runAll();
    Ranking ranking = Await.result(reader.stream.ranking());
    List<Score> known = new ArrayList<>();
    for (int i = 1; i < reader.frames.size() - 1; i += 2) {
      known.addAll(((Partial) reader.frames.get(i)).results());
      known.sort((a, b) -> Float.compare(b.score(), a.score()));
      assertThat(((Top) reader.frames.get(i + 1)).results()).isEqualTo(known.subList(0, 3));
    }
    assertThat(ranking.rankedResults()).hasSize(3);
    assertThat(known.get(0).index()).isEqualTo(ranking.rankedResults().get(0).index());
    Reader ten = new Reader(request.withTopN(null)).flowing();
    runAll();
    Await.result(ten.stream.ranking());
    assertThat(ten.frames(Top.class)).last().matches(top -> top.results().size() == 10);
  }

  @Test
  void similarityTellsScoresWhenTheQuerysVectorIsKnown() {
    RerankRequest request = RerankRequest.of("x".repeat(60), texts(100)).withModel("e");
    Reader reader = new Reader(request).flowing();
    runAll();
    Ranking streamed = Await.result(reader.stream.ranking());
    Future<Ranking> unary = ragbus.rerank(request);
    runAll();

    assertThat(streamed).isEqualTo(Await.result(unary));
    assertThat(streamed.method()).isEqualTo(Ranking.Method.SIMILARITY);
    assertThat(reader.frames(Partial.class))
        .hasSizeGreaterThan(2)
        .last()
        .matches(p -> p.done() == 100);
    assertThat(FakeEngine.texts(engine.forwarded.get(0))).contains("x".repeat(60));
  }

  @Test
  void theRankingCanBeHadWithoutAHandler() {
    Reader reader = new Reader(RerankRequest.of("q", "a", "b"));
    Future<Ranking> ranking = reader.stream.ranking();
    runAll();
    assertThat(Await.result(ranking).rankedResults()).hasSize(2);
    assertNothingIsLeft();
  }

  @Test
  void noTextsAreAnEmptyRanking() {
    Reader reader = new Reader(RerankRequest.of("q")).flowing();
    assertThat(Await.result(reader.stream.ranking()).rankedResults()).isEmpty();
    assertThat(reader.frames).hasSize(2);
    assertNothingIsLeft();
  }

  @Test
  void aRequestThatIsRefusedOpensNoStream() {
    RerankRequest unknown = RerankRequest.of("q", "a").withModel("unknown");
    assertThat(Await.ragbusFailure(ragbus.rerankStream(unknown)).kind())
        .isEqualTo(Kind.MODEL_NOT_FOUND);
    assertThat(Await.ragbusFailure(ragbus.rerank(RerankRequest.of("q").withRunningTop(true))))
        .hasMessageContaining("running_top");
    Reader first = new Reader(RerankRequest.of("q", texts(1_500)));
    RagbusException overloaded =
        Await.ragbusFailure(ragbus.rerankStream(RerankRequest.of("q", texts(1_500))));
    assertThat(overloaded.kind()).isEqualTo(Kind.OVERLOADED);
    assertThat(overloaded.retryAfterMillis()).isPositive();
    assertThat(onService(streams::count)).isOne();
    Await.result(first.stream.cancel());
    Throwable noAddress =
        Await.failure(
            vertx
                .eventBus()
                .request(
                    RAG.rerankStream(),
                    new JsonObject().put("query", "q").put("texts", new JsonArray().add("a"))));
    assertThat(noAddress).hasMessageContaining("stream-address");
    onService(engine::finishAll);
    assertNothingIsLeft();
  }

  @Test
  void aReaderThatStandsStillIsNotComputedFor() {
    Reader slow = new Reader(RerankRequest.of("q", texts(1_600)));
    Awaitility.await()
        .until(
            () -> {
              int before = engine.forwarded.size();
              onService(engine::finishAll);
              return before > 10 && onService(() -> engine.running.isEmpty());
            });
    int passes = onService(engine.forwarded::size);
    assertThat(passes).as("16 on their way, 16 waiting, one in flight").isLessThanOrEqualTo(34);
    Future<Ranking> other = ragbus.rerank(RerankRequest.of("q", texts(40)));
    Awaitility.await()
        .until(
            () -> {
              onService(engine::finishAll);
              return other.isComplete();
            });
    slow.stream.pause().handler(slow.frames::add).fetch(12);
    Awaitility.await().until(() -> slow.frames.size() == 12);
    slow.stream.resume();
    runAll();
    assertThat(Await.result(slow.stream.ranking()).rankedResults()).hasSize(1_600);
    assertThat(slow.frames(Partial.class)).last().matches(partial -> partial.done() == 1_600);
    assertNothingIsLeft();
  }

  @Test
  void aReaderThatNeverReadsIsTimedOutAndNothingMoreRuns() {
    Reader slow =
        new Reader(ragbus.withTimeout(Duration.ofMillis(300)), RerankRequest.of("q", texts(1_600)));
    assertThat(
            Await.ragbusFailure(Future.future(p -> slow.stream.exceptionHandler(p::fail))).kind())
        .isEqualTo(Kind.TIMEOUT);
    onService(engine::finishAll);
    assertNothingIsLeft();
  }

  @Test
  void cancellingStopsTheRemainingPasses() {
    Reader reader = new Reader(RerankRequest.of("q", texts(500))).flowing();
    Awaitility.await().until(() -> onService(() -> !engine.running.isEmpty()));
    onService(engine::finish);
    Awaitility.await().until(() -> reader.frames.size() == 2);
    Await.result(reader.stream.cancel());
    Await.result(onService(streams::closed));
    onService(engine::finishAll);
    assertThat(engine.forwarded).hasSize(2);
    assertThat(Await.ragbusFailure(reader.stream.ranking()).kind()).isEqualTo(Kind.CANCELLED);
    assertNothingIsLeft();
  }

  @Test
  void aCancelledRequestIdEndsItsStream() {
    Reader reader =
        new Reader(ragbus.withRequestId("to-cancel"), RerankRequest.of("q", texts(500))).flowing();
    onService(
        () -> {
          batcher.cancel("to-cancel");
          return true;
        });
    assertThat(Await.ragbusFailure(reader.stream.ranking()).kind()).isEqualTo(Kind.CANCELLED);
    onService(engine::finishAll);
    assertThat(engine.forwarded).hasSize(1);
    assertNothingIsLeft();
  }

  @Test
  void aFailedPassFailsTheStream() {
    Reader reader = new Reader(RerankRequest.of("q", texts(500))).flowing();
    Awaitility.await().until(() -> onService(() -> !engine.running.isEmpty()));
    onService(
        () -> {
          engine.fail(0, Kind.PYTHON);
          return true;
        });
    assertThat(Await.ragbusFailure(reader.stream.ranking()).kind()).isEqualTo(Kind.PYTHON);
    Awaitility.await().until(() -> reader.failures.size() == 1);
    assertNothingIsLeft();
  }

  @Test
  void aReaderInAnyLanguageGetsJson() {
    List<String> frames = new CopyOnWriteArrayList<>();
    vertx
        .eventBus()
        .<JsonObject>consumer("my-address", message -> frames.add(message.body().encode()))
        .completion()
        .await();
    JsonObject accepted =
        Await.result(
                vertx
                    .eventBus()
                    .<JsonObject>request(
                        RAG.rerankStream(),
                        new JsonObject()
                            .put("query", "q")
                            .put("texts", new JsonArray().add("a").add("b"))
                            .put("running_top", true),
                        new DeliveryOptions()
                            .addHeader(Addresses.STREAM_ADDRESS_HEADER, "my-address")
                            .addHeader(Addresses.REQUEST_ID_HEADER, "r1")))
            .body();
    runAll();
    Awaitility.await().until(() -> frames.size() == 4);
    assertThat(accepted.fieldNames()).containsExactlyInAnyOrder("id", "control");
    assertThat(frames)
        .containsExactly(
            "{\"type\":\"start\",\"id\":\"r1\",\"model\":\"r\",\"method\":\"cross-encoder\","
                + "\"total\":2}",
            "{\"type\":\"partial\",\"id\":\"r1\",\"results\":[{\"index\":0,\"score\":97.0},"
                + "{\"index\":1,\"score\":98.0}],\"done\":2}",
            "{\"type\":\"top\",\"id\":\"r1\",\"results\":[{\"index\":1,\"score\":98.0},"
                + "{\"index\":0,\"score\":97.0}]}",
            "{\"type\":\"end\",\"id\":\"r1\",\"ranked_results\":[{\"index\":1,\"text\":\"b\","
                + "\"score\":98.0},{\"index\":0,\"text\":\"a\",\"score\":97.0}],"
                + "\"usage\":{\"prompt_tokens\":4,\"truncated\":[]}}");
    assertNothingIsLeft();
  }

  @Test
  void manyStreamsOfOneCallerAtOnce() {
    List<Reader> readers =
        IntStream.range(0, 30)
            .mapToObj(i -> new Reader(RerankRequest.of("q", texts(40 + i))).flowing())
            .toList();
    Awaitility.await()
        .until(
            () -> {
              onService(engine::finishAll);
              return readers.stream().allMatch(reader -> reader.stream.ranking().isComplete());
            });
    for (int i = 0; i < 30; i++) {
      assertThat(readers.get(i).stream.ranking().result().rankedResults()).hasSize(40 + i);
      assertThat(readers.get(i).frames(Partial.class))
          .last()
          .extracting(Partial::done)
          .isEqualTo(40 + i);
    }
    assertNothingIsLeft();
  }
}
