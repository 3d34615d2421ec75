// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import static org.assertj.core.api.Assertions.assertThat;

import dev.ragbus.Await;
import dev.ragbus.EmbedRequest;
import dev.ragbus.EmbeddingType;
import dev.ragbus.Embeddings;
import dev.ragbus.MessageCodecs;
import dev.ragbus.ModelList;
import dev.ragbus.ModelQuery;
import dev.ragbus.NoArguments;
import dev.ragbus.RagbusException;
import dev.ragbus.RagbusException.Kind;
import dev.ragbus.RequestIds;
import dev.ragbus.Stats;
import dev.ragbus.Usage;
import io.vertx.core.Future;
import io.vertx.core.Promise;
import io.vertx.core.Vertx;
import io.vertx.core.eventbus.DeliveryOptions;
import io.vertx.core.eventbus.ReplyException;
import io.vertx.core.eventbus.ReplyFailure;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class BusEndpointTest {
  private static final Embeddings VECTORS =
      new Embeddings(new float[] {1, 2}, "m", 2, 1, EmbeddingType.FLOAT, new Usage(3, List.of()));

  private final List<Call> calls = Collections.synchronizedList(new ArrayList<>());
  private final List<EmbedRequest> requests = Collections.synchronizedList(new ArrayList<>());
  private final AtomicLong nanos = new AtomicLong(5_000_000_000L);
  private Vertx vertx;
  private ServiceMetrics metrics;
  private volatile Future<Embeddings> answer = Future.succeededFuture(VECTORS);

  @BeforeEach
  void start() {
    vertx = Vertx.vertx();
    MessageCodecs.register(vertx);
    metrics = new ServiceMetrics("rag");
    serve("embed", EmbedRequest.class, Duration.ofSeconds(30), this::embed);
  }

  private Future<Embeddings> embed(EmbedRequest request, Call call) {
    requests.add(request);
    calls.add(call);
    return answer;
  }

  private <Q extends Record, R extends Record> void serve(
      String address, Class<Q> type, Duration timeout, BusEndpoint.Operation<Q, R> operation) {
    BusEndpoint<Q, R> endpoint =
        new BusEndpoint<>(
            vertx,
            type,
            q -> timeout,
            operation,
            metrics.operation(address),
            FakeEngine.requests(),
            nanos::get);
    vertx.eventBus().consumer(address, endpoint::handle).completion().await();
  }

  @AfterEach
  void stop() {
    metrics.close();
    vertx.close().await();
  }

  private Object ask(Object body) {
    return ask(body, new DeliveryOptions());
  }

  private Object ask(Object body, DeliveryOptions options) {
    return Await.result(vertx.eventBus().request("embed", body, options)).body();
  }

  private ReplyException refused(Object body, DeliveryOptions options) {
    return (ReplyException) Await.failure(vertx.eventBus().request("embed", body, options));
  }

  private static final JsonObject JSON = new JsonObject().put("texts", new JsonArray().add("a"));

  @Test
  void aRecordIsAnsweredWithARecord() {
    assertThat(ask(EmbedRequest.of("a"))).isSameAs(VECTORS);
    assertThat(requests).containsExactly(EmbedRequest.of("a"));
  }

  @Test
  void jsonIsAnsweredWithJson() {
    assertThat(ask(JSON))
        .isEqualTo(
            new JsonObject(
                """
                {"embeddings": [[1.0, 2.0]], "model": "m", "dimensions": 2, "count": 1,
                 "usage": {"prompt_tokens": 3, "truncated": []}}
                """));
    assertThat(requests).containsExactly(EmbedRequest.of("a"));
    serve(
        "list",
        NoArguments.class,
        Duration.ofSeconds(1),
        (none, call) -> Future.succeededFuture(new ModelList(List.of(), 0)));
    assertThat(Await.result(vertx.eventBus().request("list", new JsonObject())).body())
        .isEqualTo(new JsonObject("{\"cached_models\": [], \"total_count\": 0}"));
  }

  @Test
  void aRecordIsRefusedWithATypedFailure() {
    RagbusException sent = RagbusException.of(Kind.OVERLOADED, "full", true, 77, null);
    answer = Future.failedFuture(sent);
    assertThat(refused(EmbedRequest.of("a"), new DeliveryOptions())).isSameAs(sent);
  }

  @Test
  void jsonIsRefusedWithTheSameCodeAndMessage() {
    for (Kind kind : Kind.values()) {
      answer = Future.failedFuture(RagbusException.of(kind, "so it is"));
      ReplyException failure = refused(JSON, new DeliveryOptions());
      assertThat(failure).isNotInstanceOf(RagbusException.class);
      assertThat(failure.failureType()).isEqualTo(ReplyFailure.RECIPIENT_FAILURE);
      assertThat(failure.failureCode()).isEqualTo(kind.code());
      assertThat(failure.getMessage()).isEqualTo(kind + ": so it is");
    }
  }

  @Test
  void aBadBodyIsRefusedNamingTheField() {
    ReplyException failure = refused(JSON.copy().put("text", "a"), new DeliveryOptions());
    assertThat(failure.failureCode()).isEqualTo(400);
    assertThat(failure.getMessage()).startsWith("INVALID: text is not a field");
    for (Object other : new Object[] {"text", 7, new JsonArray(), new ModelQuery("m"), null}) {
      ReplyException wrong = refused(other, new DeliveryOptions());
      assertThat(wrong.failureCode()).isEqualTo(400);
      assertThat(wrong.getMessage()).contains("INVALID: the body must be a JSON object");
    }
    assertThat(requests).isEmpty();
    assertThat(ask(JSON)).isInstanceOf(JsonObject.class);
  }

  @Test
  void theTimeLeftBecomesADeadline() {
    ask(JSON, new DeliveryOptions().addHeader("timeout-ms", "1500"));
    ask(JSON, new DeliveryOptions().addHeader("timeout-ms", "30001"));
    ask(JSON);
    assertThat(calls)
        .extracting(call -> (call.deadlineNanos() - nanos.get()) / 1_000_000)
        .containsExactly(1_500L, 30_000L, 30_000L);
  }

  @Test
  void aBadTimeIsRefused() {
    for (String bad : List.of("0", "-1", "soon", "", "1.5", "99999999999999999999")) {
      ReplyException failure = refused(JSON, new DeliveryOptions().addHeader("timeout-ms", bad));
      assertThat(failure.failureCode()).as(bad).isEqualTo(400);
      assertThat(failure.getMessage()).contains("timeout-ms");
    }
    assertThat(calls).isEmpty();
  }

  @Test
  void aRequestIdIsKeptOrMade() {
    ask(JSON, new DeliveryOptions().addHeader("request-id", "mine"));
    ask(JSON);
    assertThat(calls.get(0).requestId()).isEqualTo("mine");
    assertThat(RequestIds.valid(calls.get(1).requestId())).isTrue();
    ReplyException failure =
        refused(JSON, new DeliveryOptions().addHeader("request-id", "not mine"));
    assertThat(failure.failureCode()).isEqualTo(400);
    assertThat(failure.getMessage()).contains("request-id");
  }

  @Test
  void aCallerIsTold() {
    ask(JSON, new DeliveryOptions().addHeader("caller", "key 1"));
    ask(JSON);
    assertThat(calls.get(0).caller()).isEqualTo("key 1");
    assertThat(calls.get(1).caller()).isNull();
    ReplyException failure =
        refused(JSON, new DeliveryOptions().addHeader("caller", "x".repeat(129)));
    assertThat(failure.failureCode()).isEqualTo(400);
    assertThat(failure.getMessage()).contains("caller");
  }

  @Test
  void workThatTakesTooLongIsATimeoutOnce() {
    Promise<Embeddings> never = Promise.promise();
    answer = never.future();
    ReplyException failure =
        refused(
            EmbedRequest.of("a"),
            new DeliveryOptions().addHeader("timeout-ms", "1").setSendTimeout(60_000));
    assertThat(((RagbusException) failure).kind()).isEqualTo(Kind.TIMEOUT);
    assertThat(failure.getMessage()).contains("1 ms");
    never.complete(VECTORS);
    answer = Future.succeededFuture(VECTORS);
    assertThat(ask(EmbedRequest.of("a"))).isSameAs(VECTORS);
  }

  @Test
  void workThatEndsInTimeIsAnsweredThen() {
    Promise<Embeddings> soon = Promise.promise();
    answer = soon.future();
    Future<?> asked = vertx.eventBus().request("embed", EmbedRequest.of("a"));
    Awaitility.await().until(() -> !calls.isEmpty());
    assertThat(asked.isComplete()).isFalse();
    soon.complete(VECTORS);
    Await.result(asked);
    Promise<Embeddings> failing = Promise.promise();
    answer = failing.future();
    Future<?> second = vertx.eventBus().request("embed", EmbedRequest.of("a"));
    Awaitility.await().until(() -> calls.size() == 2);
    failing.fail(RagbusException.of(Kind.CANCELLED, "so"));
    assertThat(((RagbusException) Await.failure(second)).kind()).isEqualTo(Kind.CANCELLED);
  }

  @Test
  void anUnexpectedFailureTellsNoSecrets() {
    answer = Future.failedFuture(new IllegalStateException("secret"));
    ReplyException failure = refused(EmbedRequest.of("a"), new DeliveryOptions());
    assertThat(((RagbusException) failure).kind()).isEqualTo(Kind.RUNTIME);
    assertThat(failure.getMessage()).contains("IllegalStateException").doesNotContain("secret");
  }

  @Test
  void anOperationThatThrowsIsAnsweredAtOnce() {
    serve(
        "throws",
        EmbedRequest.class,
        Duration.ofSeconds(30),
        (request, call) -> {
          throw new IllegalStateException("secret");
        });
    long begun = System.nanoTime();
    Throwable failure =
        Await.failure(
            vertx.eventBus().request("throws", JSON, new DeliveryOptions().setSendTimeout(10_000)));
    assertThat(((ReplyException) failure).failureCode()).isEqualTo(500);
    assertThat((System.nanoTime() - begun) / 1_000_000).isLessThan(5_000);
  }

  @Test
  void anAnswerThatHasNoJsonFormIsAFailureNotASilence() {
    answer = Future.succeededFuture(null);
    assertThat(refused(JSON, new DeliveryOptions()).failureCode()).isEqualTo(500);
  }

  @Test
  void requestsAndFailuresAreCounted() {
    ask(JSON);
    ask(EmbedRequest.of("a"));
    refused(new JsonObject(), new DeliveryOptions());
    Stats.Operation stats = metrics.operations().get("embed");
    assertThat(stats.accepted()).isEqualTo(3);
    assertThat(stats.answered()).isEqualTo(2);
    assertThat(stats.failed()).isEqualTo(Map.of("INVALID", 1L));
  }
}
