// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.langchain4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.langchain4j.data.embedding.Embedding;
import dev.langchain4j.data.message.TextContent;
import dev.langchain4j.data.segment.TextSegment;
import dev.langchain4j.exception.AuthenticationException;
import dev.langchain4j.exception.InternalServerException;
import dev.langchain4j.exception.InvalidRequestException;
import dev.langchain4j.exception.LangChain4jException;
import dev.langchain4j.exception.ModelNotFoundException;
import dev.langchain4j.exception.NonRetriableException;
import dev.langchain4j.exception.RateLimitException;
import dev.langchain4j.exception.TimeoutException;
import dev.langchain4j.model.embedding.request.EmbeddingInputType;
import dev.langchain4j.model.embedding.request.EmbeddingRequest;
import dev.langchain4j.model.embedding.response.EmbeddingResponse;
import dev.ragbus.Await;
import dev.ragbus.EmbedRequest;
import dev.ragbus.FakeService;
import dev.ragbus.InputType;
import dev.ragbus.Ragbus;
import dev.ragbus.RagbusException;
import dev.ragbus.RagbusException.Kind;
import io.vertx.core.Context;
import io.vertx.core.DeploymentOptions;
import io.vertx.core.Future;
import io.vertx.core.Promise;
import io.vertx.core.ThreadingModel;
import io.vertx.core.VerticleBase;
import io.vertx.core.Vertx;
import io.vertx.core.eventbus.Message;
import io.vertx.core.json.JsonObject;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashSet;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

class RagbusEmbeddingModelTest {
  private static final RequestLimits ONE_TRY = new RequestLimits(2_048, 8_000_000, 2, 0);

  private final Vertx vertx = Vertx.vertx();
  private final FakeService service = new FakeService();
  private final Ragbus ragbus = Ragbus.create(vertx);

  @BeforeEach
  void start() {
    Await.result(vertx.deployVerticle(service));
  }

  @AfterEach
  void stop() {
    Await.result(vertx.close());
  }

  private RagbusEmbeddingModel model(RequestLimits limits) {
    return RagbusEmbeddingModel.builder(ragbus).limits(limits).build();
  }

  private static List<TextSegment> segments(int count) {
    return IntStream.rangeClosed(1, count)
        .mapToObj(length -> TextSegment.from("x".repeat(length)))
        .toList();
  }

  private static void assertInOrder(List<Embedding> embeddings, int count) {
    assertThat(embeddings)
        .extracting(embedding -> (int) embedding.vector()[0])
        .containsExactlyElementsOf(IntStream.rangeClosed(1, count).boxed().toList());
  }

  @Test
  void manyTextsGoInFewRequests() {
    assertInOrder(RagbusEmbeddingModel.create(ragbus).embedAll(segments(2_500)).content(), 2_500);

    assertThat(service.embedRequests)
        .extracting(EmbedRequest::count)
        .containsExactlyInAnyOrder(2_048, 452);
  }

  @Test
  void noRequestHasMoreCharactersThanItMay() {
    assertInOrder(model(new RequestLimits(100, 50, 3, 0)).embedAll(segments(60)).content(), 60);

    assertThat(service.embedRequests)
        .allSatisfy(
            request ->
                assertThat(
                        request.count() == 1
                            || request.texts().stream().mapToInt(String::length).sum() <= 50)
                    .isTrue());
    assertThat(service.embedRequests).hasSizeLessThan(60);
  }

  @Test
  void soManyRequestsAreUnderWayAtOnce() {
    Deque<Message<?>> waiting = new ArrayDeque<>();
    Promise<Integer> most = Promise.promise();
    Vertx other = Vertx.vertx();
    other
        .eventBus()
        .<EmbedRequest>consumer(
            "rag.embed",
            message -> {
              waiting.add(message);
              if (waiting.size() == 3) {
                other.setTimer(100, late -> most.tryComplete(waiting.size()));
              }
            });
    try {
      RagbusEmbeddingModel model =
          RagbusEmbeddingModel.builder(Ragbus.create(other))
              .limits(new RequestLimits(10, 1_000_000, 3, 0))
              .build();
      CompletableFuture<EmbeddingResponse> answer =
          model.embedAsync(EmbeddingRequest.builder().textSegments(segments(95)).build());

      assertThat(Await.result(most.future())).isEqualTo(3);
      answer.cancel(true);
    } finally {
      Await.result(other.close());
    }
  }

  @Test
  void parametersAreAskedForAndTold() {
    RagbusEmbeddingModel model =
        RagbusEmbeddingModel.builder(ragbus)
            .modelName("one")
            .dimensions(2)
            .inputType(EmbeddingInputType.DOCUMENT)
            .build();

    EmbeddingResponse byDefault = model.embed(EmbeddingRequest.builder().input("text").build());
    EmbeddingResponse byRequest =
        model.embed(
            EmbeddingRequest.builder()
                .input(TextContent.from("two"), TextContent.from("parts"))
                .modelName("other")
                .dimensions(1)
                .inputType(EmbeddingInputType.QUERY)
                .build());

    assertThat(model.dimension()).isEqualTo(2);
    assertThat(model.modelName()).isEqualTo("one");
    assertThat(byDefault.metadata().modelName()).isEqualTo("one");
    assertThat(byDefault.metadata().tokenUsage().inputTokenCount()).isEqualTo(4);
    assertThat(byRequest.metadata().modelName()).isEqualTo("other");
    assertThat(byRequest.embeddings().get(0).vector()).containsExactly(9);
    assertThat(service.embedRequests)
        .containsExactly(
            EmbedRequest.of("text")
                .withModel("one")
                .withDimensions(2)
                .withInputType(InputType.DOCUMENT),
            EmbedRequest.of("two\nparts")
                .withModel("other")
                .withDimensions(1)
                .withInputType(InputType.QUERY));
  }

  @Test
  void theDefaultModelIsKnownOnceItAnswered() {
    RagbusEmbeddingModel model = RagbusEmbeddingModel.create(ragbus);

    assertThat(model.modelName()).isEqualTo("unknown");
    assertThat(model.dimension()).isEqualTo(3);
    assertThat(model.modelName()).isEqualTo("fake");
    assertThat(model.dimension()).isEqualTo(3);
    assertThat(service.embedRequests).hasSize(1);
  }

  @Test
  void noTextsNeedNoRequest() {
    assertThat(RagbusEmbeddingModel.create(ragbus).embedAll(List.of()).content()).isEmpty();
    assertThat(service.embedRequests).isEmpty();
  }

  @Test
  void theTimeoutIsEachRequests() {
    RagbusEmbeddingModel.builder(ragbus).timeout(Duration.ofSeconds(7)).build().embed("text");

    assertThat(service.timeouts).containsExactly(7_000L);
  }

  @ParameterizedTest
  @EnumSource(Kind.class)
  void failuresAreLangchain4jsOwn(Kind kind) {
    Class<? extends RuntimeException> expected =
        switch (kind) {
          case INVALID,
              TOO_LARGE,
              TYPE_CONVERSION,
              CONFLICT,
              MODULE_NOT_FOUND,
              FUNCTION_NOT_FOUND ->
              InvalidRequestException.class;
          case UNAUTHORIZED, FORBIDDEN -> AuthenticationException.class;
          case MODEL_NOT_FOUND -> ModelNotFoundException.class;
          case OVERLOADED -> RateLimitException.class;
          case TIMEOUT -> TimeoutException.class;
          case NOT_INITIALIZED, UNAVAILABLE, INTERPRETER_LOCKED, LANE_LOST ->
              InternalServerException.class;
          case PYTHON, RUNTIME, SERIALIZATION -> NonRetriableException.class;
          case CANCELLED -> CancellationException.class;
        };

    assertThatThrownBy(() -> model(ONE_TRY).embed("fail:" + kind))
        .isExactlyInstanceOf(expected)
        .hasMessageStartingWith(kind + ": ")
        .cause()
        .isInstanceOfSatisfying(
            RagbusException.class, cause -> assertThat(cause.kind()).isEqualTo(kind));
    assertThat(service.ids).hasSize(1);
  }

  @Test
  void whatIsWrongBeforeItIsSentFailsLikewise() {
    assertThatThrownBy(() -> RagbusEmbeddingModel.builder(ragbus).modelName(" ").build().embed("x"))
        .isExactlyInstanceOf(InvalidRequestException.class)
        .hasMessageContaining("model");
  }

  @Test
  void aRefusedRequestIsSentAgain() {
    RequestLimits twice = new RequestLimits(10, 1_000, 1, 2);

    assertThatThrownBy(() -> model(twice).embed("fail:NOT_INITIALIZED"))
        .isExactlyInstanceOf(InternalServerException.class);
    assertThat(service.ids).hasSize(3).doesNotHaveDuplicates();

    assertThatThrownBy(() -> model(twice).embed("fail:RUNTIME"))
        .isExactlyInstanceOf(NonRetriableException.class);
    assertThat(service.ids).hasSize(4);
  }

  @Test
  void aCallSurvivesARefusal() {
    Vertx other = Vertx.vertx();
    HashSet<Object> refused = new HashSet<>();
    FakeService behind = new FakeService();
    try {
      Await.result(
          other.deployVerticle(
              behind,
              new DeploymentOptions()
                  .setConfig(
                      new JsonObject().put("bus", new JsonObject().put("address_prefix", "in")))));
      Ragbus inner = Ragbus.create(other, "in");
      other
          .eventBus()
          .<EmbedRequest>consumer(
              "rag.embed",
              message -> {
                if (refused.add(message.body())) {
                  message.reply(RagbusException.of(Kind.OVERLOADED, "come back"));
                } else {
                  inner.embed(message.body()).onSuccess(message::reply);
                }
              });
      RagbusEmbeddingModel model =
          RagbusEmbeddingModel.builder(Ragbus.create(other))
              .limits(new RequestLimits(7, 1_000_000, 2, 1))
              .build();

      assertInOrder(model.embedAll(segments(30)).content(), 30);
      assertThat(refused).hasSize(5);
    } finally {
      Await.result(other.close());
    }
  }

  @Test
  void anEventLoopIsRefused() {
    RagbusEmbeddingModel model = RagbusEmbeddingModel.create(ragbus);
    Promise<Throwable> refusal = Promise.promise();
    vertx.runOnContext(
        v -> {
          try {
            model.embed("text");
          } catch (RuntimeException e) {
            refusal.complete(e);
          }
        });

    assertThat(Await.result(refusal.future()))
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("event loop")
        .hasMessageContaining("embedAsync");
    assertThat(service.ids).isEmpty();
  }

  @Test
  void anEventLoopGetsAFutureOnItsContextAfterARefusalToo() {
    HashSet<Object> refused = new HashSet<>();
    vertx
        .eventBus()
        .<EmbedRequest>consumer(
            "refusing.embed",
            message -> {
              if (refused.add(message.body())) {
                message.reply(RagbusException.of(Kind.OVERLOADED, "come back"));
              } else {
                ragbus.embed(message.body()).onSuccess(message::reply);
              }
            });
    RagbusEmbeddingModel model =
        RagbusEmbeddingModel.builder(Ragbus.create(vertx, "refusing"))
            .limits(new RequestLimits(2, 1_000, 2, 1))
            .build();
    Promise<Boolean> same = Promise.promise();
    vertx.runOnContext(
        v -> {
          Context context = vertx.getOrCreateContext();
          var unused =
              model
                  .embedAsync(EmbeddingRequest.builder().textSegments(segments(9)).build())
                  .whenComplete(
                      (done, failure) ->
                          same.complete(failure == null && Vertx.currentContext() == context));
        });

    assertThat(Await.result(same.future())).isTrue();
    assertThat(refused).hasSize(5);
  }

  @ParameterizedTest
  @CsvSource({"false", "true"})
  void aWorkerVerticleMayWait(boolean executeBlocking) {
    RagbusEmbeddingModel model = model(new RequestLimits(2, 1_000, 2, 0));
    AtomicReference<List<Embedding>> got = new AtomicReference<>();
    VerticleBase worker =
        new VerticleBase() {
          @Override
          public Future<?> start() {
            if (executeBlocking) {
              return vertx.executeBlocking(this::embed);
            }
            return Future.succeededFuture(embed());
          }

          private Void embed() {
            got.set(model.embedAll(segments(9)).content());
            return null;
          }
        };

    Await.result(
        vertx.deployVerticle(
            worker, new DeploymentOptions().setThreadingModel(ThreadingModel.WORKER)));

    assertInOrder(got.get(), 9);
  }

  @Test
  void blockingCodeOfAnEventLoopMayWait() {
    RagbusEmbeddingModel model = model(new RequestLimits(2, 1_000, 2, 0));
    Promise<List<Embedding>> got = Promise.promise();
    vertx.runOnContext(
        v ->
            vertx
                .executeBlocking(() -> model.embedAll(segments(9)).content())
                .onComplete(got::handle));

    assertInOrder(Await.result(got.future()), 9);
  }

  @Test
  void anInterruptedThreadStopsWaitingAndItsWorkIsDropped() {
    Future<String> held = service.holding();
    Future<String> cancelled = service.cancelled();
    AtomicReference<Throwable> thrown = new AtomicReference<>();
    CompletableFuture<Boolean> interrupted = new CompletableFuture<>();
    Thread thread =
        new Thread(
            () -> {
              try {
                RagbusEmbeddingModel.create(ragbus).embed("hold");
              } catch (RuntimeException e) {
                thrown.set(e);
              }
              interrupted.complete(Thread.currentThread().isInterrupted());
            });
    thread.start();
    String id = Await.result(held);
    thread.interrupt();

    assertThat(Await.result(cancelled)).isEqualTo(id);
    assertThat(Await.result(Future.fromCompletionStage(interrupted))).isTrue();
    assertThat(thrown.get())
        .isExactlyInstanceOf(LangChain4jException.class)
        .hasCauseInstanceOf(InterruptedException.class);
  }

  @Test
  void cancellingTheFutureDropsTheWork() {
    Future<String> held = service.holding();
    Future<String> cancelled = service.cancelled();
    CompletableFuture<EmbeddingResponse> answer =
        RagbusEmbeddingModel.create(ragbus)
            .embedAsync(EmbeddingRequest.builder().input("hold").build());
    String id = Await.result(held);
    answer.cancel(true);

    assertThat(Await.result(cancelled)).isEqualTo(id);
  }

  @Test
  void theFirstFailureEndsTheOtherRequests() {
    Future<String> held = service.holding();
    Future<String> cancelled = service.cancelled();
    CompletableFuture<EmbeddingResponse> answer =
        model(new RequestLimits(1, 1_000, 2, 0))
            .embedAsync(EmbeddingRequest.builder().inputs("hold", "fail:RUNTIME", "never").build());

    assertThat(Await.result(cancelled)).isEqualTo(Await.result(held));
    assertThat(Await.failure(Future.fromCompletionStage(answer)))
        .isExactlyInstanceOf(NonRetriableException.class);
    assertThat(service.embedRequests).isEmpty();
  }

  @Test
  void nobodyToAnswerIsToldAtOnce() {
    RagbusEmbeddingModel model =
        RagbusEmbeddingModel.builder(Ragbus.create(vertx, "nobody")).limits(ONE_TRY).build();

    assertThatThrownBy(() -> model.embed("text"))
        .isExactlyInstanceOf(InternalServerException.class)
        .hasMessageContaining("UNAVAILABLE");
  }

  @Test
  void aClosedVertxHoldsNobodyUp() {
    RagbusEmbeddingModel model =
        RagbusEmbeddingModel.builder(ragbus).timeout(Duration.ofMillis(500)).build();
    Future<String> held = service.holding();
    CompletableFuture<EmbeddingResponse> answer =
        model.embedAsync(EmbeddingRequest.builder().input("hold").build());
    Await.result(held);
    Await.result(vertx.close());

    assertThat(Await.failure(Future.fromCompletionStage(answer)))
        .isExactlyInstanceOf(TimeoutException.class)
        .hasMessageContaining("Vert.x may be closed");
    assertThatThrownBy(() -> model.embed("text")).isInstanceOf(RejectedExecutionException.class);
  }

  @Test
  void aTimeoutIsAtLeastAMillisecond() {
    assertThatThrownBy(() -> RagbusEmbeddingModel.builder(ragbus).timeout(Duration.ZERO))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("timeout");
    assertThatThrownBy(() -> RagbusScoringModel.builder(ragbus).timeout(Duration.ZERO))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("timeout");
  }

  @ParameterizedTest
  @CsvSource({"0,1,1,0,maxTexts", "1,0,1,0,maxChars", "1,1,0,0,maxUnderWay", "1,1,1,-1,maxRetries"})
  void limitsAreChecked(int texts, int chars, int underWay, int retries, String name) {
    assertThatThrownBy(() -> new RequestLimits(texts, chars, underWay, retries))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining(name);
  }
}
