// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.cluster;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.ragbus.Addresses;
import dev.ragbus.Await;
import dev.ragbus.EmbedRequest;
import dev.ragbus.Embeddings;
import dev.ragbus.FunctionCall;
import dev.ragbus.FunctionSpec;
import dev.ragbus.Health;
import dev.ragbus.JsonBodies;
import dev.ragbus.ModelSpec;
import dev.ragbus.ModelType;
import dev.ragbus.Ragbus;
import dev.ragbus.RagbusException;
import dev.ragbus.RagbusException.Kind;
import dev.ragbus.RagbusOptions;
import dev.ragbus.RerankRequest;
import dev.ragbus.Stats;
import io.vertx.core.Future;
import io.vertx.core.Promise;
import io.vertx.core.Vertx;
import io.vertx.core.eventbus.ReplyException;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** A front and workers with made-up answers, each a node of a real cluster. */
class FrontTest {
  private static final AtomicInteger TESTS = new AtomicInteger();
  private static final TestCluster CLUSTER = new TestCluster();
  private static Vertx frontNode;
  private static Vertx nodeA;
  private static Vertx nodeB;

  private final String prefix = "test" + TESTS.incrementAndGet();
  private final AtomicLong addedNanos = new AtomicLong();
  private final Meters meters = new Meters();
  private final List<Front> fronts = new ArrayList<>();
  private final List<FakeWorker> workers = new ArrayList<>();
  private Ragbus ragbus;

  /** Counts what it is told. */
  private static final class Meters implements FrontMeters, FrontMeters.Operation {
    private final Map<Kind, Integer> repeated = new ConcurrentHashMap<>();
    private volatile int serving;
    private volatile int fewest = Integer.MAX_VALUE;

    @Override
    public Operation operation(String name) {
      return this;
    }

    @Override
    public Map<String, Stats.Operation> operations() {
      return Map.of("embed", new Stats.Operation(7, 6, Map.of(), 1, 2));
    }

    @Override
    public void repeated(Kind kind) {
      repeated.merge(kind, 1, Integer::sum);
    }

    @Override
    public void workers(int serving, int others) {
      this.serving = serving;
      this.fewest = Math.min(fewest, serving);
    }

    @Override
    public void accepted() {}

    @Override
    public void answered(long nanos) {}

    @Override
    public void failed(Kind kind) {}
  }

  @BeforeAll
  static void nodes() {
    frontNode = CLUSTER.node();
    nodeA = CLUSTER.node();
    nodeB = CLUSTER.node();
  }

  @AfterAll
  static void end() {
    CLUSTER.close();
  }

  @AfterEach
  void stop() {
    workers.forEach(FakeWorker::silent);
    onLoop(frontNode, () -> fronts.forEach(Front::stop));
  }

  private RagbusOptions options(String clusterOptions, String... embedding) {
    JsonObject cluster = new JsonObject(clusterOptions.replace('\'', '"'));
    if (!cluster.containsKey("enabled")) {
      cluster.put("enabled", true);
    }
    if (!cluster.containsKey("announce_interval")) {
      cluster.put("announce_interval", "100ms");
    }
    return RagbusOptions.from(
        new JsonObject()
            .put("bus", new JsonObject().put("address_prefix", prefix))
            .put(
                "models",
                new JsonObject()
                    .put(
                        "embedding",
                        new JsonArray(embedding.length == 0 ? List.of("fake") : List.of(embedding)))
                    .put("reranker", new JsonArray().add("fake")))
            .put("cluster", cluster));
  }

  private static void onLoop(Vertx vertx, Runnable action) {
    Await.result(
        Future.future(
            promise ->
                vertx.runOnContext(
                    v -> {
                      action.run();
                      promise.complete();
                    })));
  }

  private Front front(RagbusOptions options) {
    WorkerAddresses addresses = new WorkerAddresses(prefix, ClusterSecret.of(options.cluster()));
    Front front =
        new Front(
            frontNode,
            options,
            addresses,
            null,
            meters,
            () -> System.nanoTime() + addedNanos.get());
    fronts.add(front);
    Await.result(
        Future.<Void>future(
            promise -> frontNode.runOnContext(v -> front.start().onComplete(promise))));
    ragbus = Ragbus.create(frontNode, prefix);
    return front;
  }

  private FakeWorker worker(Vertx node, RagbusOptions options, String id) {
    FakeWorker worker = FakeWorker.start(node, options, id);
    workers.add(worker);
    return worker;
  }

  private void seen(int serving) {
    await().until(() -> meters.serving == serving);
  }

  private static int asked(FakeWorker worker) {
    return worker.service().embedRequests.size();
  }

  @Test
  void whatAWorkerOfAnotherNodeAnswersIsTheAnswerTypedAndAsJson() {
    RagbusOptions options = options("{}");
    front(options);
    worker(nodeA, options, "a");
    seen(1);

    Embeddings made = Await.result(ragbus.embed(EmbedRequest.of("four", "by")));
    assertThat(made.values()).containsExactly(4, 4 / 3f, -4, 2, 2 / 3f, -2);

    RagbusException unknown =
        Await.ragbusFailure(ragbus.embed(EmbedRequest.of("x").withModel("unknown")));
    assertThat(unknown.kind()).isEqualTo(Kind.MODEL_NOT_FOUND);
    assertThat(unknown.detail()).isEqualTo("no model 'unknown'");
  }

  @Test
  void whatAJsonCallerAsksIsAnsweredInKind() {
    RagbusOptions options = options("{}");
    front(options);
    worker(nodeA, options, "a");
    seen(1);

    JsonObject models =
        Await.result(
                frontNode
                    .eventBus()
                    .<JsonObject>request(new Addresses(prefix).listModels(), new JsonObject()))
            .body();
    assertThat(models.getInteger("total_count")).isEqualTo(3);
    Throwable refused =
        Await.failure(
            frontNode
                .eventBus()
                .request(
                    new Addresses(prefix).loadModel(),
                    new JsonObject().put("model_name", "m").put("modal", "x")));
    assertThat(refused).isInstanceOf(ReplyException.class).hasMessageStartingWith("INVALID: modal");
    assertThat(((ReplyException) refused).failureCode()).isEqualTo(400);
  }

  @Test
  void withoutWorkersItSaysSoAndWhenToComeAgain() {
    front(options("{}"));
    RagbusException failure = Await.ragbusFailure(ragbus.embed(EmbedRequest.of("x")));
    assertThat(failure.kind()).isEqualTo(Kind.UNAVAILABLE);
    assertThat(failure.retryAfterMillis()).isPositive();
    Health health = Await.result(ragbus.health());
    assertThat(health.up()).isFalse();
    assertThat(health.initialized()).isFalse();
  }

  @Test
  void theOneWithLessBeforeItGetsTheRequest() {
    RagbusOptions options = options("{}");
    front(options);
    FakeWorker a = worker(nodeA, options, "a").tells(told -> with(told, 0, 50_000));
    FakeWorker b = worker(nodeB, options, "b");
    seen(2);
    for (int i = 0; i < 10; i++) {
      Await.result(ragbus.embed(EmbedRequest.of("x")));
    }
    assertThat(asked(a)).isZero();
    assertThat(asked(b)).isEqualTo(10);
  }

  private static Announcement with(Announcement told, int items, long tokens) {
    return changed(
        told, told.state(), items, tokens, told.defaults().get("embedding"), told.models());
  }

  private static Announcement with(Announcement told, Announcement.State state) {
    return changed(
        told, state, told.items(), told.tokens(), told.defaults().get("embedding"), told.models());
  }

  private static Announcement with(Announcement told, String embedding, String... models) {
    return changed(told, told.state(), told.items(), told.tokens(), embedding, List.of(models));
  }

  private static Announcement changed(
      Announcement told,
      Announcement.State state,
      int items,
      long tokens,
      String embedding,
      List<String> models) {
    return new Announcement(
        told.worker(),
        told.node(),
        state,
        told.lanes(),
        items,
        told.maxItems(),
        tokens,
        told.maxTokens(),
        told.tokensPerSecond(),
        Map.of("embedding", embedding, "reranker", "fake"),
        models,
        told.functions(),
        told.requests(),
        told.proof());
  }

  @Test
  void theOneThatHasTheNamedModelGetsTheRequest() {
    RagbusOptions options = options("{}");
    front(options);
    FakeWorker a = worker(nodeA, options, "a").tells(told -> with(told, "fake", "fake", "rare"));
    FakeWorker b = worker(nodeB, options, "b");
    seen(2);
    for (int i = 0; i < 10; i++) {
      Await.result(ragbus.embed(EmbedRequest.of("x").withModel("rare")));
    }
    assertThat(asked(a)).isEqualTo(10);
    assertThat(asked(b)).isZero();
  }

  @Test
  void aModelThatNobodyHasYetIsLoadedByOneForAllWhoWait() {
    RagbusOptions options = options("{}");
    front(options);
    FakeWorker a = worker(nodeA, options, "a");
    FakeWorker b = worker(nodeB, options, "b");
    seen(2);
    List<Future<Embeddings>> waiting = new ArrayList<>();
    for (int i = 0; i < 10; i++) {
      String id = "held" + i;
      waiting.add(ragbus.withRequestId(id).embed(EmbedRequest.of("hold").withModel("new")));
    }
    await().until(() -> a.service().ids.size() + b.service().ids.size() == 10);
    assertThat(List.of(a.service().ids.size(), b.service().ids.size())).contains(0, 10);
    a.service().release();
    b.service().release();
    waiting.forEach(Await::result);
  }

  @Test
  void theDefaultModelIsSettledOnceByTheFrontsPreferences() {
    RagbusOptions options = options("{}", "first", "second");
    front(options);
    FakeWorker a = worker(nodeA, options, "a").tells(told -> with(told, "second", "second"));
    FakeWorker b = worker(nodeB, options, "b").tells(told -> with(told, "first", "first"));
    seen(2);
    for (int i = 0; i < 10; i++) {
      Await.result(ragbus.embed(EmbedRequest.of("x")));
    }
    assertThat(asked(a)).isZero();
    b.tells(told -> with(told, Announcement.State.DOWN));
    seen(1);
    RagbusException failure = Await.ragbusFailure(ragbus.embed(EmbedRequest.of("x")));
    assertThat(failure.kind()).isEqualTo(Kind.UNAVAILABLE);
    assertThat(asked(a)).as("vectors of two models do not mix").isZero();
  }

  @Test
  void aFullWorkerIsNotAskedAndFullOnesAreToldOf() {
    RagbusOptions options = options("{}");
    front(options);
    FakeWorker a = worker(nodeA, options, "a").tells(told -> with(told, 100, 0));
    FakeWorker b = worker(nodeB, options, "b");
    seen(2);
    for (int i = 0; i < 10; i++) {
      Await.result(ragbus.embed(EmbedRequest.of("x")));
    }
    assertThat(asked(a)).isZero();
    b.tells(told -> with(told, 100, 0));
    await()
        .untilAsserted(
            () ->
                assertThat(Await.ragbusFailure(ragbus.embed(EmbedRequest.of("x"))).kind())
                    .isEqualTo(Kind.OVERLOADED));
  }

  @Test
  void whatIsNotQueuedForAModelGoesToAFullWorkerToo() {
    RagbusOptions options = options("{}");
    front(options);
    worker(nodeA, options, "a").tells(told -> with(told, 100, 0));
    seen(1);
    assertThat(Await.ragbusFailure(ragbus.embed(EmbedRequest.of("x"))).kind())
        .isEqualTo(Kind.OVERLOADED);
    assertThat(Await.result(ragbus.call(FunctionCall.of("echo", 1))).result())
        .isEqualTo(List.of(1));
    assertThat(Await.result(ragbus.model("fake")).modelName()).isEqualTo("fake");
  }

  @Test
  void aCallOfAFunctionHasTheTimeThatItBringsOrThatOfItsFunction() {
    JsonObject echo = new JsonObject().put("echo", new JsonObject().put("timeout", "45s"));
    JsonObject config = options("{}").toJson();
    config.getJsonObject("python").put("functions", echo);
    RagbusOptions options = RagbusOptions.from(config);
    front(options);
    FakeWorker a = worker(nodeA, options, "a");
    seen(1);
    Await.result(ragbus.withTimeout(Duration.ofHours(3)).call(FunctionCall.of("other")));
    Await.result(ragbus.withTimeout(Duration.ofDays(30)).call(FunctionCall.of("other")));
    String address = new Addresses(prefix).callFunction();
    for (String function : List.of("echo", "other")) {
      Await.result(frontNode.eventBus().request(address, FunctionCall.of(function)));
    }
    List<Long> seconds = a.service().timeouts.stream().map(ms -> (ms + 999) / 1_000).toList();
    assertThat(seconds).containsExactly(10_800L, 86_400L, 45L, 30L);
  }

  @Test
  void whatAWorkerRefusesAnotherGets() {
    RagbusOptions options = options("{}");
    front(options);
    worker(nodeA, options, "a");
    worker(nodeB, options, "b");
    seen(2);
    for (Kind kind : List.of(Kind.OVERLOADED, Kind.UNAVAILABLE, Kind.NOT_INITIALIZED)) {
      RagbusException failure = Await.ragbusFailure(ragbus.embed(EmbedRequest.of("fail:" + kind)));
      assertThat(failure.kind()).isEqualTo(kind);
      assertThat(meters.repeated).as("both were asked").containsEntry(kind, 1);
    }
    assertThat(Await.ragbusFailure(ragbus.embed(EmbedRequest.of("fail:PYTHON"))).kind())
        .isEqualTo(Kind.PYTHON);
    assertThat(meters.repeated).doesNotContainKey(Kind.PYTHON);
  }

  @Test
  void whatAWorkerHadIsSentToAnotherOnceItsNodeHasLeft() {
    RagbusOptions options = options("{}");
    front(options);
    Vertx leaving = CLUSTER.node();
    FakeWorker a = worker(leaving, options, "a");
    seen(1);
    Future<String> held = a.service().holding();
    Future<Embeddings> embedding = ragbus.withRequestId("moved").embed(EmbedRequest.of("hold"));
    Future<?> call = ragbus.withRequestId("call").call(new FunctionCall("hold", null, null));
    Await.result(held);
    FakeWorker b = worker(nodeB, options, "b");
    seen(2);

    Future<String> heldByB = b.service().holding();
    workers.remove(a);
    CLUSTER.end(leaving);
    assertThat(Await.result(heldByB)).isEqualTo("moved");
    b.service().release();
    assertThat(Await.result(embedding).values()).containsExactly(4, 4 / 3f, -4);
    RagbusException lost = Await.ragbusFailure(call);
    assertThat(lost.kind()).isEqualTo(Kind.LANE_LOST);
    assertThat(lost.retryable()).as("a call may not be repeated").isFalse();
    assertThat(b.service().ids).containsExactly("moved");
  }

  @Test
  void aProcessThatHasEndedIsLostAtOnceAndWithNobodyElseItsRequestsFail() {
    RagbusOptions options = options("{}");
    Front front = front(options);
    FakeWorker a = worker(nodeA, options, "a");
    seen(1);
    Future<String> held = a.service().holding();
    Future<Embeddings> embedding = ragbus.withRequestId("lost").embed(EmbedRequest.of("hold"));
    Await.result(held);
    a.silent();
    onLoop(frontNode, () -> front.lost("a"));
    RagbusException lost = Await.ragbusFailure(embedding);
    assertThat(lost.kind()).isEqualTo(Kind.LANE_LOST);
    assertThat(lost.retryable()).as("an embedding may be asked for again").isTrue();
    a.service().release();
  }

  @Test
  void oneThatIsSilentGetsNoRequestsAndIsGivenUpAfterAWhile() {
    RagbusOptions options = options("{}");
    front(options);
    FakeWorker a = worker(nodeA, options, "a");
    FakeWorker b = worker(nodeB, options, "b").tells(told -> with(told, 0, 50_000));
    seen(2);
    a.silent();
    seen(1);
    Await.result(ragbus.embed(EmbedRequest.of("x")));
    assertThat(asked(a)).isZero();
    meters.fewest = Integer.MAX_VALUE;
    // As when the front itself was stopped for so long.
    addedNanos.addAndGet(Duration.ofSeconds(20).toNanos());
    await()
        .untilAsserted(
            () ->
                assertThat(Await.result(ragbus.health()).checks())
                    .extracting(Health.Check::id)
                    .containsExactly("workers", "worker b"));
    assertThat(meters.fewest).as("the other was there all the time").isEqualTo(1);
    assertThat(asked(b)).isEqualTo(1);
  }

  @Test
  void aStreamThatMayHaveBegunIsNotBegunAgain() {
    RagbusOptions options = options("{}");
    Front front = front(options);
    Queue<String> asked = new ConcurrentLinkedQueue<>();
    WorkerAddresses addresses = new WorkerAddresses(prefix, ClusterSecret.of(options.cluster()));
    Promise<String> at = Promise.promise();
    for (FakeWorker worker : List.of(worker(nodeA, options, "a"), worker(nodeB, options, "b"))) {
      Await.result(
          worker
              .vertx()
              .eventBus()
              .consumer(
                  addresses.of(worker.id()).rerankStream(),
                  message -> {
                    asked.add(worker.id());
                    at.tryComplete(worker.id());
                  })
              .completion());
    }
    seen(2);
    Future<?> stream = ragbus.rerankStream(RerankRequest.of("q", List.of("x")));
    String first = Await.result(at.future());
    onLoop(frontNode, () -> front.lost(first));
    RagbusException lost = Await.ragbusFailure(stream);
    assertThat(lost.kind()).isEqualTo(Kind.LANE_LOST);
    assertThat(lost.retryable()).as("by the caller, who knows which is which").isTrue();
    assertThat(asked).containsExactly(first);
  }

  @Test
  void itIsInitializedOnceAWorkerTakesRequests() {
    RagbusOptions options = options("{}");
    front(options);
    FakeWorker a =
        FakeWorker.start(nodeA, options, "a", told -> with(told, Announcement.State.DOWN));
    workers.add(a);
    await().until(() -> Await.result(ragbus.health()).checks().size() == 2);
    assertThat(Await.result(ragbus.health()).initialized()).isFalse();
    a.tells(told -> with(told, Announcement.State.SERVING));
    await().until(() -> Await.result(ragbus.health()).initialized());
  }

  @Test
  void oneThatDrainsGetsNoMoreButAnswersWhatItHas() {
    RagbusOptions options = options("{}");
    front(options);
    FakeWorker a = worker(nodeA, options, "a");
    seen(1);
    Future<String> held = a.service().holding();
    Future<Embeddings> embedding = ragbus.withRequestId("kept").embed(EmbedRequest.of("hold"));
    Await.result(held);
    a.tells(told -> with(told, Announcement.State.DRAINING));
    seen(0);
    assertThat(Await.ragbusFailure(ragbus.embed(EmbedRequest.of("x"))).kind())
        .isEqualTo(Kind.UNAVAILABLE);
    a.service().release();
    assertThat(Await.result(embedding).count()).isEqualTo(1);
  }

  @Test
  void aModelIsLoadedOnAsManyWorkersAsTheLoadSays() {
    RagbusOptions options = options("{}");
    front(options);
    FakeWorker a = worker(nodeA, options, "a");
    FakeWorker b = worker(nodeB, options, "b").tells(told -> with(told, 0, 50_000));
    seen(2);
    ModelSpec model = ModelSpec.of("m", ModelType.EMBEDDING);
    Await.result(ragbus.loadModel(model.withWorkers(1)));
    assertThat(a.service().ids).hasSize(1);
    assertThat(b.service().ids).isEmpty();
    Await.result(ragbus.loadModel(model));
    assertThat(a.service().ids).hasSize(2);
    assertThat(b.service().ids).hasSize(1);
    RagbusException tooMany = Await.ragbusFailure(ragbus.loadModel(model.withWorkers(3)));
    assertThat(tooMany.kind()).isEqualTo(Kind.INVALID);
    assertThat(tooMany.detail()).startsWith("workers must be at most 2");
  }

  @Test
  void aChangeIsForThoseTooThatAreDownOrSilentForNow() {
    RagbusOptions options = options("{}");
    front(options);
    worker(nodeA, options, "a");
    FakeWorker b = worker(nodeB, options, "b");
    FakeWorker c = worker(nodeB, options, "c");
    FakeWorker d = worker(nodeB, options, "d");
    seen(4);
    b.tells(told -> with(told, Announcement.State.DOWN));
    c.silent();
    d.tells(told -> with(told, Announcement.State.DRAINING));
    seen(1);
    Await.result(ragbus.unregister("echo"));
    assertThat(b.service().ids).hasSize(1);
    assertThat(c.service().ids).hasSize(1);
    assertThat(d.service().ids).isEmpty();
  }

  @Test
  void aChangeThatOneFailsHasFailedAndMayBeAskedForAgain() {
    RagbusOptions options = options("{}");
    front(options);
    FakeWorker a = worker(nodeA, options, "a");
    FakeWorker b = worker(nodeB, options, "b");
    seen(2);
    b.service().failsToUnregister(Kind.LANE_LOST);
    assertThat(Await.ragbusFailure(ragbus.unregister("echo")).kind()).isEqualTo(Kind.LANE_LOST);
    assertThat(a.service().ids).hasSize(1);

    b.service().failsToUnregister(Kind.FUNCTION_NOT_FOUND);
    assertThat(Await.result(ragbus.unregister("echo")).name()).isEqualTo("echo");
    a.service().failsToUnregister(Kind.FUNCTION_NOT_FOUND);
    assertThat(Await.ragbusFailure(ragbus.unregister("echo")).kind())
        .isEqualTo(Kind.FUNCTION_NOT_FOUND);
  }

  @Test
  void oneThatComesLaterGetsTheFunctionsThatWereRegistered() {
    RagbusOptions options = options("{}");
    front(options);
    worker(nodeA, options, "a");
    seen(1);
    FunctionSpec other = FunctionSpec.ofModule("other", "m:f");
    FunctionSpec echo = FunctionSpec.ofModule("echo", "m:f");
    Await.result(ragbus.register(other));
    Await.result(ragbus.register(echo.withReplace(true)));
    Await.ragbusFailure(ragbus.register(FunctionSpec.ofModule("refused", "m:f")));
    Await.ragbusFailure(ragbus.register(FunctionSpec.ofModule("refused", "m:f")));
    Future<?> registering = ragbus.register(FunctionSpec.ofModule("hold", "m:f"));
    FakeWorker b = worker(nodeB, options, "b");
    seen(2);
    await()
        .untilAsserted(
            () ->
                assertThat(b.service().registered)
                    .as("one replaces its own, one is under way")
                    .containsExactly("other", "echo", "hold"));
    assertThat(registering.isComplete()).isFalse();
  }

  @Test
  void whatAllWorkersSayIsOneAnswer() {
    RagbusOptions options = options("{}");
    front(options);
    worker(nodeA, options, "a");
    worker(nodeB, options, "b");
    seen(2);
    assertThat(Await.result(ragbus.listModels()).cachedModels())
        .hasSize(3)
        .allSatisfy(model -> assertThat(model.memoryBytes()).as("of two workers").isEqualTo(2));
    assertThat(Await.result(ragbus.clearModels("m")).clearedModels()).containsExactly("m");
    assertThat(Await.result(ragbus.cleanup()).collected()).isEqualTo(2);
    Stats stats = Await.result(ragbus.stats());
    assertThat(stats.residentBytes()).isEqualTo(2);
    assertThat(stats.operations().get("embed").accepted()).as("as the front counts").isEqualTo(7);
  }

  @Test
  void theModelFunctionsGoToAllWorkersByTheirNamesToo() {
    RagbusOptions options = options("{}");
    front(options);
    FakeWorker a = worker(nodeA, options, "a");
    FakeWorker b = worker(nodeB, options, "b").tells(told -> with(told, 0, 50_000));
    seen(2);
    assertThat(Await.result(ragbus.call("load_model", "m")).toJson())
        .isEqualTo(
            new JsonObject()
                .put(
                    "result",
                    JsonBodies.format(
                        Await.result(ragbus.loadModel(ModelSpec.of("m", ModelType.EMBEDDING))))));
    assertThat(a.service().ids).hasSize(2);
    assertThat(b.service().ids).hasSize(2);

    JsonObject once =
        new JsonObject()
            .put("name", "load_model")
            .put("args", new JsonObject().put("model_name", "m").put("workers", 1));
    assertThat(called(once).getString("cache_key")).isEqualTo("embedding:m");
    assertThat(a.service().ids).hasSize(3);
    assertThat(b.service().ids).hasSize(2);

    JsonObject listed = called(new JsonObject().put("name", "list_models"));
    assertThat(listed.getInteger("total_count")).isEqualTo(3);
    assertThat(listed.getJsonArray("cached_models"))
        .allSatisfy(
            model ->
                assertThat(((JsonObject) model).getInteger("memory_bytes"))
                    .as("of two workers")
                    .isEqualTo(2));
    assertThat(Await.result(ragbus.call("clear_cache", "m")).toJson().getJsonObject("result"))
        .isEqualTo(JsonBodies.format(Await.result(ragbus.clearModels("m"))));
    assertThat(Await.result(ragbus.call("clear_cache", "raises")).result())
        .isEqualTo(Map.of("error", "no such file", "error_type", "OSError"));
    assertThat(Await.ragbusFailure(ragbus.call("load_model", "unknown")).kind())
        .isEqualTo(Kind.MODEL_NOT_FOUND);
  }

  /** The result of a call in JSON. */
  private JsonObject called(JsonObject call) {
    return Await.result(
            frontNode.eventBus().<JsonObject>request(new Addresses(prefix).callFunction(), call))
        .body()
        .getJsonObject("result");
  }

  @Test
  void textsGoTheSameWayByTheNamesOfTheirFunctions() {
    RagbusOptions options = options("{}", "first", "second");
    front(options);
    FakeWorker a = worker(nodeA, options, "a").tells(told -> with(told, "second", "rare"));
    FakeWorker b = worker(nodeB, options, "b").tells(told -> with(told, "first", "first"));
    seen(2);
    List<String> texts = List.of("x");
    for (int i = 0; i < 5; i++) {
      Await.result(ragbus.call("embed_texts", texts));
    }
    assertThat(a.service().ids).isEmpty();
    assertThat(b.service().ids).hasSize(5);
    Map<String, Object> named = Map.of("texts", texts, "model", "rare");
    Await.result(ragbus.call(FunctionCall.of("embed_texts", texts, "rare")));
    Await.result(ragbus.call(FunctionCall.of("embed_texts", texts).withKwargs(named)));
    Await.result(ragbus.call(FunctionCall.of("rerank_texts", "query", texts, "rare")));
    Await.result(ragbus.call(new FunctionCall("embed_texts", named, null)));
    assertThat(a.service().ids).hasSize(4);

    b.tells(told -> with(told, "second", "rare"));
    await()
        .untilAsserted(
            () ->
                assertThat(Await.ragbusFailure(ragbus.call("embed_texts", texts)).kind())
                    .isEqualTo(Kind.UNAVAILABLE));
    Throwable lost =
        Await.failure(
            ragbus.call(FunctionCall.of("embed_texts", List.of("fail:LANE_LOST"), "rare")));
    assertThat(((RagbusException) lost).kind()).isEqualTo(Kind.LANE_LOST);
    assertThat(meters.repeated).as("both were asked").containsEntry(Kind.LANE_LOST, 1);
    a.tells(told -> with(told, 100, 0));
    b.tells(told -> with(told, 100, 0));
    await()
        .untilAsserted(
            () ->
                assertThat(Await.ragbusFailure(ragbus.call("embed_texts", texts, "rare")).kind())
                    .isEqualTo(Kind.OVERLOADED));
  }

  @Test
  void otherNodesMayUseItButNotChangeIt() {
    RagbusOptions options = options("{}");
    front(options);
    worker(nodeA, options, "a");
    seen(1);
    Ragbus elsewhere = Ragbus.create(nodeB, prefix);
    assertThat(Await.result(elsewhere.embed(EmbedRequest.of("x"))).count()).isEqualTo(1);
    RagbusException refused =
        Await.ragbusFailure(elsewhere.loadModel(ModelSpec.of("m", ModelType.EMBEDDING)));
    assertThat(refused.kind()).isEqualTo(Kind.UNAVAILABLE);
    Await.result(ragbus.loadModel(ModelSpec.of("m", ModelType.EMBEDDING)));

    Await.result(elsewhere.call("list_models"));
    Await.result(elsewhere.call("embed_texts", List.of("x")));
    for (String name : List.of("load_model", "clear_cache")) {
      assertThat(Await.ragbusFailure(elsewhere.call(name, "m")).kind()).isEqualTo(Kind.FORBIDDEN);
      Await.result(ragbus.call(name, "m"));
      called(new JsonObject().put("name", name).put("args", new JsonArray().add("m")));
    }
  }

  @Test
  void itServesNobodyElseWhereItIsNotToAndEverythingWhereItIs() {
    RagbusOptions alone = options("{'serve': 'none'}");
    Front front = front(alone);
    worker(nodeA, alone, "a");
    seen(1);
    Ragbus elsewhere = Ragbus.create(nodeB, prefix);
    assertThat(Await.ragbusFailure(elsewhere.embed(EmbedRequest.of("x"))).kind())
        .isEqualTo(Kind.UNAVAILABLE);
    onLoop(frontNode, front::stop);
    fronts.clear();

    front(options("{'serve': 'all'}"));
    await()
        .untilAsserted(
            () -> Await.result(elsewhere.loadModel(ModelSpec.of("m", ModelType.EMBEDDING))));
    Await.result(elsewhere.call("load_model", "m"));
  }

  @Test
  void whereOnlyProcessesOfItsOwnAreNodesItServesNoOther() {
    RagbusOptions options = options("{'enabled': false, 'isolation': 'process'}");
    front(options);
    worker(nodeA, options, "a");
    worker(nodeB, options("{}"), "b");
    seen(1);
    assertThat(Await.result(ragbus.embed(EmbedRequest.of("x"))).count()).isEqualTo(1);
    Ragbus elsewhere = Ragbus.create(nodeB, prefix);
    assertThat(Await.ragbusFailure(elsewhere.embed(EmbedRequest.of("x"))).kind())
        .isEqualTo(Kind.UNAVAILABLE);
    assertThat(Await.result(ragbus.health()).checks())
        .extracting(Health.Check::id)
        .containsExactly("workers", "worker a");
  }

  @Test
  void whoDoesNotKnowTheSecretIsNoWorker() {
    RagbusOptions with = options("{'secret': 'one-secret-of-many-letters'}");
    front(with);
    worker(nodeA, options("{'secret': 'another-secret-of-letters'}"), "a");
    worker(nodeB, options("{}"), "b");
    FakeWorker c = worker(nodeB, with, "c");
    seen(1);
    for (int i = 0; i < 5; i++) {
      Await.result(ragbus.embed(EmbedRequest.of("x")));
    }
    assertThat(asked(c)).isEqualTo(5);
  }

  @Test
  void aFrontThatClosesAnswersWhatItHasAndRefusesMore() {
    RagbusOptions options = options("{}");
    Front front = front(options);
    FakeWorker a = worker(nodeA, options, "a");
    seen(1);
    Future<String> held = a.service().holding();
    Future<Embeddings> embedding = ragbus.withRequestId("last").embed(EmbedRequest.of("hold"));
    Await.result(held);
    Future<Void> closed =
        Future.future(promise -> frontNode.runOnContext(v -> front.close().onComplete(promise)));
    await()
        .untilAsserted(
            () ->
                assertThat(Await.ragbusFailure(ragbus.embed(EmbedRequest.of("x"))).detail())
                    .isEqualTo("the service is shutting down"));
    assertThat(closed.isComplete()).isFalse();
    a.service().release();
    Await.result(embedding);
    Await.result(closed);
  }

  /** When a network is whole again, messages come before the cluster is: none could be answered. */
  @Test
  void oneWhoseNodeIsNotInTheClusterIsNoWorkerYet() {
    RagbusOptions options = options("{}");
    front(options);
    FakeWorker a = worker(nodeA, options, "a");
    seen(1);
    JsonObject cutOff =
        JsonBodies.format(
            new Announcement(
                "b",
                "a node that left",
                Announcement.State.SERVING,
                1,
                0,
                100,
                0,
                100_000,
                1_000,
                Map.of("embedding", "fake"),
                List.of("fake"),
                List.of(),
                0,
                null));
    nodeB.eventBus().publish(prefix + ".workers", cutOff);
    a.tells(told -> with(told, Announcement.State.DOWN));
    seen(0);
    assertThat(Await.result(ragbus.health()).checks())
        .extracting(Health.Check::id)
        .containsExactly("workers", "worker a");
  }
}
