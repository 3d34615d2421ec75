// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

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
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.function.Supplier;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class BusRagbusTest {
  private static final Addresses RAG = Addresses.defaults();
  private static final Embeddings VECTORS =
      new Embeddings(new float[] {1, 2}, "m", 2, 1, EmbeddingType.FLOAT, Usage.NONE);
  private static final Ranking RANKING =
      new Ranking(List.of(), "m", Ranking.Method.SIMILARITY, "q", Usage.NONE);

  private final List<Message<Object>> received = Collections.synchronizedList(new ArrayList<>());
  private Vertx vertx;
  private Ragbus ragbus;

  @BeforeEach
  void start() {
    vertx = Vertx.vertx();
    ragbus = Ragbus.create(vertx);
  }

  @AfterEach
  void stop() {
    vertx.close().await();
  }

  private void serve(String address, Function<Object, Object> answer) {
    vertx
        .eventBus()
        .<Object>localConsumer(
            address,
            message -> {
              received.add(message);
              Object reply = answer.apply(message.body());
              if (reply != null) {
                message.reply(reply);
              }
            })
        .completion()
        .await();
  }

  private static <T> T now(Future<T> future) {
    return Await.result(future);
  }

  private static RagbusException failure(Future<?> future) {
    Throwable failure = Await.failure(future);
    assertThat(failure).isInstanceOf(RagbusException.class);
    return (RagbusException) failure;
  }

  private static ModelLoad loaded(ModelSpec spec) {
    return new ModelLoad(
        ModelLoad.Status.LOADED,
        spec.modelName(),
        spec.modelType(),
        null,
        spec.cacheKey(),
        List.of(spec.cacheKey()));
  }

  private static final ModelsCleared CLEARED = new ModelsCleared("cleared", List.of(), List.of());
  private static final FunctionInfo FUNCTION =
      new FunctionInfo(
          "f",
          "math:sqrt",
          "",
          null,
          null,
          Duration.ofSeconds(1),
          false,
          "function",
          "ab",
          null,
          null);
  private static final Cleanup CLEANED = new Cleanup("cleaned", List.of(), 1, 2, 3);

  /** Every operation by its address, with what it sends. */
  private Map<String, Supplier<Future<?>>> operations(Ragbus client) {
    Map<String, Supplier<Future<?>>> operations = new LinkedHashMap<>();
    operations.put(RAG.embed(), () -> client.embed("a"));
    operations.put(RAG.rerank(), () -> client.rerank("q", List.of("a")));
    operations.put(
        RAG.tokenize(), () -> client.tokenize(new TokenizeRequest(List.of("a"), null, null)));
    operations.put(
        RAG.decode(), () -> client.decode(new DecodeRequest(List.of(List.of(1)), null, null)));
    operations.put(RAG.loadModel(), () -> client.loadModel(ModelSpec.of("m", ModelType.EMBEDDING)));
    operations.put(RAG.listModels(), client::listModels);
    operations.put(RAG.getModel(), () -> client.model("m"));
    operations.put(RAG.clearModels(), () -> client.clearModels(null));
    operations.put(
        RAG.registerFunction(), () -> client.register(FunctionSpec.ofModule("f", "math:sqrt")));
    operations.put(RAG.unregisterFunction(), () -> client.unregister("f"));
    operations.put(RAG.getFunction(), () -> client.function("f"));
    operations.put(RAG.listFunctions(), client::functions);
    operations.put(RAG.callFunction(), () -> client.call("f", 2, List.of(3)));
    operations.put(RAG.cleanup(), client::cleanup);
    operations.put(RAG.health(), client::health);
    operations.put(RAG.stats(), client::stats);
    return operations;
  }

  private static Object answer(String address) {
    return Map.<String, Object>ofEntries(
            Map.entry(RAG.embed(), VECTORS),
            Map.entry(RAG.rerank(), RANKING),
            Map.entry(RAG.tokenize(), new Tokens(List.of(), "m")),
            Map.entry(RAG.decode(), new DecodedTexts(List.of(), "m")),
            Map.entry(RAG.loadModel(), loaded(ModelSpec.of("m", ModelType.EMBEDDING))),
            Map.entry(RAG.listModels(), new ModelList(List.of(), 0)),
            Map.entry(
                RAG.getModel(),
                new ModelInfo(
                    "m",
                    ModelType.EMBEDDING,
                    "embedding:m",
                    4,
                    "mean",
                    null,
                    256,
                    "e",
                    "f32",
                    "ready",
                    1,
                    2,
                    3,
                    null,
                    null)),
            Map.entry(RAG.clearModels(), CLEARED),
            Map.entry(RAG.registerFunction(), FUNCTION),
            Map.entry(RAG.unregisterFunction(), new FunctionName("f")),
            Map.entry(RAG.getFunction(), FUNCTION),
            Map.entry(RAG.listFunctions(), new FunctionList(List.of(FUNCTION), 1)),
            Map.entry(RAG.callFunction(), new FunctionResult(4)),
            Map.entry(RAG.cleanup(), CLEANED),
            Map.entry(RAG.health(), new Health("UP", true, List.of())),
            Map.entry(
                RAG.stats(),
                new Stats(
                    Map.of(),
                    new Stats.Queue(0, 0, 0, 0, 0, 0, 0, 0, 0),
                    List.of(),
                    List.of(),
                    new Stats.ModelCache(0, 0, 0, 0, 0, 0, 0),
                    new Stats.Functions(0, 0, 0, 0, 0, 0, Map.of()),
                    0)))
        .get(address);
  }

  @Test
  void everyOperationIsARecordToItsAddressAndOneBack() {
    operations(ragbus)
        .forEach(
            (address, operation) -> {
              serve(address, body -> answer(address));
              assertThat((Object) now(operation.get())).isEqualTo(answer(address));
            });
    assertThat(received)
        .extracting(message -> message.body())
        .containsExactly(
            EmbedRequest.of("a"),
            RerankRequest.of("q", "a"),
            new TokenizeRequest(List.of("a"), null, null),
            new DecodeRequest(List.of(List.of(1)), null, null),
            ModelSpec.of("m", ModelType.EMBEDDING),
            NoArguments.INSTANCE,
            new ModelQuery("m"),
            new ModelQuery(null),
            FunctionSpec.ofModule("f", "math:sqrt"),
            new FunctionName("f"),
            new FunctionQuery("f", false),
            NoArguments.INSTANCE,
            new FunctionCall("f", List.of(2, List.of(3)), Map.of()),
            NoArguments.INSTANCE,
            NoArguments.INSTANCE,
            NoArguments.INSTANCE);
  }

  @Test
  void theDefaultTimeoutIsThatOfTheOperation() {
    Map<String, String> expected =
        Map.of(
            RAG.rerank(), "60000",
            RAG.loadModel(), "60000",
            RAG.clearModels(), "10000",
            RAG.cleanup(), "10000");
    operations(ragbus)
        .forEach(
            (address, operation) -> {
              serve(address, body -> answer(address));
              now(operation.get());
              assertThat(last().headers().get("timeout-ms"))
                  .as(address)
                  .isEqualTo(expected.getOrDefault(address, "30000"));
            });
  }

  @Test
  void aTimeoutOfTheClientGoesForAllOperations() {
    operations(ragbus.withTimeout(Duration.ofMillis(1_500)))
        .forEach(
            (address, operation) -> {
              serve(address, body -> answer(address));
              now(operation.get());
              assertThat(last().headers().get("timeout-ms")).as(address).isEqualTo("1500");
            });
    assertThatIllegalArgumentException()
        .isThrownBy(() -> ragbus.withTimeout(Duration.ofNanos(999_999)));
  }

  private Message<Object> last() {
    return received.get(received.size() - 1);
  }

  @Test
  void aRequestIdTravels() {
    serve(RAG.embed(), body -> VECTORS);
    now(ragbus.withRequestId("my-id").withTimeout(Duration.ofSeconds(5)).embed("a"));
    assertThat(last().headers().get("request-id")).isEqualTo("my-id");
    now(ragbus.embed("a"));
    assertThat(last().headers().get("request-id")).isNull();
    assertThatIllegalArgumentException().isThrownBy(() -> ragbus.withRequestId("not an id"));
  }

  @Test
  void aClientIsACallerUnlessItAsksForAnother() {
    serve(RAG.embed(), body -> VECTORS);
    now(ragbus.embed("a"));
    String own = last().headers().get("caller");
    now(ragbus.withTimeout(Duration.ofSeconds(5)).withRequestId("id").embed("a"));
    assertThat(last().headers().get("caller")).isEqualTo(own);
    now(Ragbus.create(vertx).embed("a"));
    assertThat(last().headers().get("caller")).isNotEqualTo(own);
    now(ragbus.withCaller("key 1").embed("a"));
    assertThat(last().headers().get("caller")).isEqualTo("key 1");
    assertThatIllegalArgumentException().isThrownBy(() -> ragbus.withCaller("x".repeat(129)));
  }

  @Test
  void anotherPrefixIsAnotherDeployment() {
    serve("own.embed", body -> VECTORS);
    assertThat(now(Ragbus.create(vertx, "own").embed("a"))).isSameAs(VECTORS);
    assertThat(failure(ragbus.embed("a")).kind()).isEqualTo(Kind.UNAVAILABLE);
  }

  @Test
  void nobodyThereIsUnavailable() {
    RagbusException failure = failure(ragbus.embed("a"));
    assertThat(failure.kind()).isEqualTo(Kind.UNAVAILABLE);
    assertThat(failure.retryable()).isTrue();
    assertThat(failure.getMessage()).contains("rag.embed");
  }

  @Test
  void noAnswerIsATimeout() {
    serve(RAG.embed(), body -> null);
    RagbusException failure = failure(ragbus.withTimeout(Duration.ofMillis(1)).embed("a"));
    assertThat(failure.kind()).isEqualTo(Kind.TIMEOUT);
    assertThat(failure.getMessage()).contains("1 ms");
  }

  @Test
  void failuresAreTyped() {
    RagbusException sent = RagbusException.of(Kind.OVERLOADED, "full", true, 77, null);
    serve(RAG.embed(), body -> sent);
    assertThat(failure(ragbus.embed("a"))).isSameAs(sent);
    vertx.eventBus().localConsumer(RAG.rerank(), message -> message.fail(418, "odd"));
    assertThat(failure(ragbus.rerank("q", List.of())).kind()).isEqualTo(Kind.RUNTIME);
  }

  @Test
  void cancellingIsPublished() {
    Promise<JsonObject> first = Promise.promise();
    Promise<JsonObject> second = Promise.promise();
    for (Promise<JsonObject> each : List.of(first, second)) {
      vertx.eventBus().<JsonObject>localConsumer(RAG.cancel(), m -> each.complete(m.body()));
    }
    ragbus.cancel("my-id");
    JsonObject expected = new JsonObject().put("request_id", "my-id");
    assertThat(now(first.future())).isEqualTo(expected);
    assertThat(now(second.future())).isEqualTo(expected);
  }

  @Test
  void aModelKnownToBeLoadedIsNotAskedFor() {
    serve(RAG.loadModel(), body -> loaded((ModelSpec) body));
    now(ragbus.ensureModelLoaded("m", ModelType.EMBEDDING));
    now(ragbus.ensureModelLoaded("m", ModelType.EMBEDDING));
    now(ragbus.withRequestId("x").ensureModelLoaded("m", ModelType.EMBEDDING));
    assertThat(received).hasSize(1);
    now(ragbus.ensureModelLoaded("m", ModelType.CROSS_ENCODER));
    now(ragbus.ensureModelLoaded("n", ModelType.EMBEDDING));
    assertThat(received).hasSize(3);
    now(Ragbus.create(vertx).ensureModelLoaded("m", ModelType.EMBEDDING));
    assertThat(received).hasSize(4);
  }

  @Test
  void aModelIsKnownByEveryNameItWasLoadedUnder() {
    serve(RAG.loadModel(), body -> loaded(ModelSpec.of("m", ModelType.EMBEDDING)));
    now(ragbus.ensureModelLoaded("org/m", ModelType.EMBEDDING));
    now(ragbus.ensureModelLoaded("org/m", ModelType.EMBEDDING));
    now(ragbus.ensureModelLoaded("m", ModelType.EMBEDDING));
    assertThat(received).hasSize(1);
  }

  @Test
  void aFailedLoadIsNotKnown() {
    serve(RAG.loadModel(), body -> RagbusException.of(Kind.MODEL_NOT_FOUND, "none"));
    failure(ragbus.ensureModelLoaded("m", ModelType.EMBEDDING));
    failure(ragbus.ensureModelLoaded("m", ModelType.EMBEDDING));
    assertThat(received).hasSize(2);
  }

  @Test
  void clearingForgetsWhatWasKnown() {
    serve(RAG.loadModel(), body -> loaded((ModelSpec) body));
    serve(RAG.clearModels(), body -> CLEARED);
    serve(RAG.cleanup(), body -> CLEANED);
    List<Supplier<Future<?>>> ways =
        List.of(() -> ragbus.clearModels("m"), ragbus::clearMemory, ragbus::cleanup);
    for (Supplier<Future<?>> clearing : ways) {
      now(ragbus.ensureModelLoaded("m", ModelType.EMBEDDING));
      now(clearing.get());
      int before = received.size();
      now(ragbus.ensureModelLoaded("m", ModelType.EMBEDDING));
      assertThat(received).hasSize(before + 1);
    }
  }

  @Test
  void aLoadAnsweredBeforeTheClearingIsForgottenToo() {
    serve(RAG.loadModel(), body -> null);
    serve(RAG.clearModels(), body -> null);
    Future<Void> load = ragbus.ensureModelLoaded("m", ModelType.EMBEDDING);
    Future<ModelsCleared> clear = ragbus.clearModels(null);
    org.awaitility.Awaitility.await().until(() -> received.size() == 2);
    for (Message<Object> message : List.copyOf(received)) {
      boolean isLoad = message.body() instanceof ModelSpec;
      if (isLoad) {
        message.reply(loaded((ModelSpec) message.body()));
        now(load);
      }
    }
    received.stream()
        .filter(message -> message.body() instanceof ModelQuery)
        .forEach(message -> message.reply(CLEARED));
    now(clear);
    ragbus.ensureModelLoaded("m", ModelType.EMBEDDING);
    org.awaitility.Awaitility.await().until(() -> received.size() == 3);
  }

  /** Runs the operation in a verticle's context and tells whether its answers came there. */
  private static final class Caller extends VerticleBase {
    private final Function<Vertx, List<Future<?>>> calls;
    private final Promise<List<String>> seen = Promise.promise();

    Caller(Function<Vertx, List<Future<?>>> calls) {
      this.calls = calls;
    }

    @Override
    public Future<?> start() {
      List<String> wrong = new ArrayList<>();
      List<Future<?>> futures = calls.apply(vertx);
      for (Future<?> future : futures) {
        future.onComplete(
            done -> {
              Context now = Vertx.currentContext();
              if (now != context) {
                wrong.add(now + " on " + Thread.currentThread());
              }
            });
      }
      Future.join(futures).onComplete(done -> seen.complete(wrong));
      return Future.succeededFuture();
    }
  }

  @Test
  void answersComeOnTheContextOfTheCaller() {
    serve(RAG.embed(), body -> VECTORS);
    serve(RAG.rerank(), body -> RagbusException.of(Kind.INVALID, "query"));
    serve(RAG.loadModel(), body -> loaded((ModelSpec) body));
    serve(RAG.stats(), body -> null);
    for (ThreadingModel model : List.of(ThreadingModel.EVENT_LOOP, ThreadingModel.WORKER)) {
      Caller caller =
          new Caller(
              v ->
                  List.of(
                      ragbus.embed("a"),
                      ragbus.rerank("q", List.of()),
                      ragbus.health(),
                      ragbus.withTimeout(Duration.ofMillis(1)).stats(),
                      ragbus.ensureModelLoaded("m", ModelType.EMBEDDING)));
      vertx.deployVerticle(caller, new DeploymentOptions().setThreadingModel(model)).await();
      assertThat(now(caller.seen.future())).as(model.toString()).isEmpty();
    }
  }

  @Test
  void aPlainThreadMayCallToo() {
    serve(RAG.embed(), body -> VECTORS);
    assertThat(Vertx.currentContext()).isNull();
    assertThat(now(ragbus.embed("a"))).isSameAs(VECTORS);
  }
}
