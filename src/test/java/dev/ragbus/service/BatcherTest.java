// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import static org.assertj.core.api.Assertions.assertThat;

import dev.ragbus.ModelSpec;
import dev.ragbus.ModelType;
import dev.ragbus.RagbusException;
import dev.ragbus.RagbusException.Kind;
import dev.ragbus.RagbusOptions;
import dev.ragbus.Usage;
import dev.ragbus.python.Engine;
import dev.ragbus.python.Engine.ForwardCall;
import dev.ragbus.python.Engine.TokenRow;
import dev.ragbus.python.RowValues;
import dev.ragbus.service.FakeEngine.Held;
import io.vertx.core.Future;
import io.vertx.core.json.JsonObject;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.RepetitionInfo;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class BatcherTest {
  private static final String TEN = "0123456789";

  private final ManualTime time = new ManualTime();
  private final ServiceMetrics metrics = new ServiceMetrics("rag");
  private FakeEngine engine = new FakeEngine(1);
  private Batcher batcher = batcher(new JsonObject());
  private final ServiceMetrics.Operation meters = metrics.operation("embed");
  private final LoadedModel model = loaded("m", false);

  private Batcher batcher(JsonObject batching) {
    RagbusOptions options = FakeEngine.options(new JsonObject().put("batching", batching));
    return new Batcher(time.vertx(), engine, options, metrics, FakeEngine.requests(), time::nanos);
  }

  private void lanes(int lanes, JsonObject batching) {
    Engine.Model known = model.engineModel();
    engine = new FakeEngine(lanes);
    assertThat(engine.add(false)).isEqualTo(known);
    batcher = batcher(batching);
  }

  private LoadedModel loaded(String name, boolean crossEncoder) {
    ModelType type = crossEncoder ? ModelType.CROSS_ENCODER : ModelType.EMBEDDING;
    return new LoadedModel(ModelSpec.of(name, type), engine.add(crossEncoder), time.nanos());
  }

  private LoadedModel packing() {
    ModelSpec spec = ModelSpec.of("p", ModelType.EMBEDDING);
    return new LoadedModel(spec, engine.addPacking(), time.nanos());
  }

  /** A job under test and what became of it. */
  private final class Submitted {
    final Job job;
    final Map<Integer, float[]> rows = new TreeMap<>();
    final List<Object> answers = new ArrayList<>();

    Submitted(LoadedModel model, String id, long millis, String query, List<String> texts) {
      this(model, id, null, millis, query, texts, true);
    }

    Submitted(
        LoadedModel model,
        String id,
        String caller,
        long millis,
        String query,
        List<String> texts,
        boolean truncate) {
      Job.Spec spec =
          new Job.Spec(
              model,
              query,
              texts,
              null,
              false,
              0,
              1,
              false,
              truncate,
              0,
              true,
              (text, values) -> {
                float[] row = values.copy().values();
                assertThat(rows.put(text, row)).as("row of text %s run once", text).isNull();
              });
      job =
          new Job(
              spec,
              null,
              new Call(id, caller, time.inMillis(millis), null, new Phases(meters), null));
      batcher
          .submit(job)
          .onComplete(result -> answers.add(result.succeeded() ? result.result() : result.cause()));
    }

    boolean succeeded() {
      return answers.size() == 1 && answers.get(0) instanceof Usage;
    }

    RagbusException failure() {
      assertThat(answers).singleElement().isInstanceOf(RagbusException.class);
      return (RagbusException) answers.get(0);
    }
  }

  private final class Watched implements Job.Sink {
    final List<List<Integer>> finished = new ArrayList<>();
    final Map<Integer, Integer> rows = new TreeMap<>();
    final Job job;
    Usage usage;

    Watched(LoadedModel model, String query, int maxChunks, List<String> texts) {
      job =
          new Job(
              new Job.Spec(
                  model, query, texts, null, false, 0, maxChunks, false, true, 0, true, this),
              null,
              new Call("watched", time.inMillis(10_000), null));
      batcher.submit(job).onSuccess(result -> usage = result);
    }

    @Override
    public void accept(int text, RowValues values) {
      assertThat(usage).isNull();
      rows.merge(text, 1, Integer::sum);
    }

    @Override
    public void finished(List<Integer> texts) {
      assertThat(usage).as("told before the answer").isNull();
      finished.add(texts);
    }
  }

  private Submitted submit(String... texts) {
    return submit("id", 10_000, texts);
  }

  private Submitted submit(String id, long millis, String... texts) {
    return new Submitted(model, id, millis, null, List.of(texts));
  }

  private static String[] same(int count, String text) {
    return Collections.nCopies(count, text).toArray(String[]::new);
  }

  private static List<List<String>> texts(FakeEngine engine) {
    return engine.forwarded.stream().map(FakeEngine::texts).toList();
  }

  private void assertNothingIsHeld() {
    assertThat(batcher.stats().items()).as("texts held").isZero();
    assertThat(batcher.stats().tokens()).as("tokens held").isZero();
    assertThat(time.openTimers()).as("timers").isZero();
    assertThat(batcher.drained().succeeded()).as("drained").isTrue();
  }

  @Test
  void anIdleLaneGetsWorkAtOnce() {
    Submitted job = submit("one");
    assertThat(texts(engine)).containsExactly(List.of("one"));
    engine.finish();
    assertThat(job.succeeded()).isTrue();
    assertThat(job.rows.get(0)).containsExactly(3, 'o', 'e', 1);
    assertNothingIsHeld();
  }

  @Test
  void batchesGrowWhileTheLanesAreBusy() {
    submit("a1");
    List<Submitted> others = IntStream.range(0, 6).mapToObj(i -> submit("b" + i)).toList();
    assertThat(engine.forwarded).hasSize(1);
    engine.finish();
    assertThat(texts(engine)).last().isEqualTo(List.of("b0", "b1", "b2", "b3", "b4", "b5"));
    engine.finish();
    assertThat(others).allMatch(Submitted::succeeded);
    assertNothingIsHeld();
  }

  @Test
  void everyIdleLaneTakesABatch() {
    lanes(3, new JsonObject().put("max_batch_tokens", 10));
    submit(TEN, TEN, TEN, TEN);
    assertThat(engine.running).extracting(FakeEngine.Running::lane).containsExactly(0, 1, 2);
    engine.finish(1);
    assertThat(engine.running).extracting(FakeEngine.Running::lane).containsExactly(0, 2, 1);
  }

  @Test
  void aPassHasAllComputeThreadsWhereNothingElseRunsOrWaits() {
    lanes(2, new JsonObject().put("max_batch_tokens", 10));
    submit("alone");
    submit("beside");
    engine.finishAll();
    submit(TEN, TEN, TEN);
    engine.finishAll();
    submit("alone");
    engine.finishAll();
    assertThat(engine.forwarded)
        .extracting(Engine.ForwardCall::alone)
        .containsExactly(true, false, false, false, false, true);
    assertNothingIsHeld();
  }

  @Test
  void theLastPassOfARequestIsAlone() {
    lanes(1, new JsonObject().put("max_batch_tokens", 10));
    submit(TEN, TEN);
    engine.finishAll();
    assertThat(engine.forwarded).extracting(Engine.ForwardCall::alone).containsExactly(false, true);
  }

  @Test
  void aPassIsNotAloneWhileTextsAreTokenised() {
    lanes(2, new JsonObject());
    engine.held.add(Held.TOKENIZE);
    submit(same(40, "a"));
    submit(same(40, "b"));
    engine.finishTokenizing();
    assertThat(engine.forwarded).extracting(Engine.ForwardCall::alone).containsOnly(false);
  }

  @Test
  void likeLengthsRunTogether() {
    submit("busy");
    Submitted long1 = submit(TEN.repeat(6));
    submit("abc");
    submit(TEN.repeat(6) + "1");
    submit("abd");
    engine.finish();
    assertThat(texts(engine)).last().isEqualTo(List.of(TEN.repeat(6), TEN.repeat(6) + "1"));
    engine.finish();
    assertThat(texts(engine)).last().isEqualTo(List.of("abc", "abd"));
    assertThat(long1.succeeded()).isTrue();
  }

  @Test
  void aBatchStaysWithinItsTokensAndRows() {
    submit("x");
    submit(same(100, TEN));
    submit(same(100, TEN.repeat(5)));
    engine.finish();
    engine.finishAll();
    for (ForwardCall call : engine.forwarded) {
      int longest = call.rows().stream().mapToInt(TokenRow::length).max().orElseThrow();
      int width = call.model().paddedLength(longest);
      assertThat(call.rows()).hasSizeBetween(1, 32);
      assertThat(call.rows().size() * width).isLessThanOrEqualTo(512);
    }
    assertThat(engine.forwarded).hasSize(1 + 4 + 13);
  }

  @Test
  void pairsHaveARowBudgetOfTheirOwn() {
    LoadedModel reranker = loaded("r", true);
    Submitted job = new Submitted(reranker, "id", 1_000, "q", List.of(same(40, "a")));
    assertThat(engine.finishAll()).isEqualTo(3);
    assertThat(engine.forwarded).extracting(call -> call.rows().size()).containsExactly(16, 16, 8);
    assertThat(FakeEngine.texts(engine.forwarded.get(0))).containsOnly("qa");
    assertThat(job.succeeded()).isTrue();
  }

  @Test
  void modelsAreNotMixed() {
    LoadedModel other = loaded("o", false);
    submit("busy");
    submit("a");
    new Submitted(other, "id", 1_000, null, List.of("b"));
    submit("c");
    engine.finishAll();
    assertThat(texts(engine)).containsExactly(List.of("busy"), List.of("a", "c"), List.of("b"));
  }

  @Test
  void aLargeRequestIsSplitAndMergedInOrder() {
    lanes(2, new JsonObject());
    List<String> texts = new ArrayList<>();
    for (int i = 0; i < 300; i++) {
      texts.add((char) ('A' + i) + "x".repeat(i % 50));
    }
    Submitted job = new Submitted(model, "id", 1_000, null, texts);
    Random random = new Random(1);
    while (!engine.running.isEmpty()) {
      engine.finish(random.nextInt(engine.running.size()));
    }
    assertThat(job.succeeded()).isTrue();
    assertThat(job.rows).hasSize(300);
    job.rows.forEach(
        (text, row) -> {
          assertThat(row[0]).isEqualTo(1 + text % 50);
          assertThat(row[1]).isEqualTo('A' + text);
        });
    int tokens = texts.stream().mapToInt(String::length).sum();
    assertThat(job.answers).containsExactly(new Usage(tokens, List.of()));
    assertNothingIsHeld();
  }

  @Test
  void textsAreTokenisedAFewAtATimeJobsTakingTurns() {
    engine.held.add(Held.TOKENIZE);
    submit(same(1_000, "big"));
    submit("small");
    assertThat(engine.tokenized).hasSize(2);
    assertThat(engine.tokenized).allMatch(call -> call.texts().size() <= 64);
    engine.finishTokenizing();
    engine.finishTokenizing();
    assertThat(engine.tokenized)
        .filteredOn(call -> call.texts().equals(List.of("small")))
        .hasSize(1);
  }

  @Test
  void aTokenisingCallIsBoundedInCharacters() {
    engine.held.add(Held.TOKENIZE);
    submit(same(3, "x".repeat(40_000)));
    assertThat(engine.tokenized.get(0).texts()).hasSize(1);
  }

  @Test
  void aSingleTextDoesNotWaitForALargeRequest() {
    submit(same(10_000, TEN));
    for (int i = 0; i < 10; i++) {
      engine.finish();
    }
    Submitted single = submit("id", 1_000, "9876543210");
    int before = engine.forwarded.size();
    while (!single.succeeded()) {
      engine.finish();
    }
    int started = engine.forwarded.size() - before;
    assertThat(started - 1)
        .as("batches started since, its own and the next one out")
        .isBetween(1, 3);
  }

  /** One caller's 10,000 texts of all lengths, in requests of so many. */
  private void tenThousand(String caller, int textsOfARequest, Random random) {
    for (int first = 0; first < 10_000; first += textsOfARequest) {
      List<String> texts =
          random.ints(textsOfARequest, 1, 65).mapToObj("x"::repeat).collect(Collectors.toList());
      new Submitted(model, "bulk" + first, caller, 1_000_000, null, texts, true);
    }
  }

  @ParameterizedTest
  @CsvSource({"1,1", "1,2", "5,1", "2000,1", "2000,2", "10000,1", "10000,2"})
  void oneCallersTenThousandTextsDelayAnothersOneByTwoBatches(int textsOfARequest, int lanes) {
    lanes(lanes, new JsonObject());
    Random random = new Random(textsOfARequest * 10 + lanes);
    tenThousand("bulk", textsOfARequest, random);
    for (int question = 0; question < 100; question++) {
      for (int i = random.nextInt(4); i > 0; i--) {
        engine.finish();
      }
      String text = "q".repeat(1 + random.nextInt(64));
      Submitted single =
          new Submitted(model, "q" + question, "other", 1_000_000, null, List.of(text), true);
      int before = engine.forwarded.size();
      while (texts(engine).subList(before, engine.forwarded.size()).stream()
          .noneMatch(batch -> batch.contains(text))) {
        engine.finish();
      }
      assertThat(engine.forwarded.size() - before - 1)
          .as("batches begun before its own, besides those that ran already")
          .isBetween(0, 1);
      while (!single.succeeded()) {
        engine.finish();
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 5, 2000})
  void oneCallersTenThousandTextsDelayAnothersTokeniserByTwoCalls(int textsOfARequest) {
    engine.held.add(Held.TOKENIZE);
    tenThousand("bulk", textsOfARequest, new Random(textsOfARequest));
    for (int question = 0; question < 20; question++) {
      new Submitted(model, "q" + question, "other", 1_000_000, null, List.of("question"), true);
      int before = engine.tokenized.size();
      while (engine.tokenized.subList(before, engine.tokenized.size()).stream()
          .noneMatch(call -> call.texts().contains("question"))) {
        engine.finishTokenizing();
      }
      assertThat(engine.tokenized.size() - before - 1)
          .as("calls begun before its own, besides those that ran already")
          .isBetween(0, 1);
      batcher.cancel("q" + question);
    }
  }

  @Test
  void newcomersDoNotStarveTheOthers() {
    Submitted large =
        new Submitted(model, "bulk", "bulk", 1_000_000, null, List.of(same(200, TEN)), true);
    Submitted[] newcomers = new Submitted[20];
    Arrays.setAll(newcomers, this::newcomer);
    for (int pass = 0; pass < 200 && !large.succeeded(); pass++) {
      engine.finish();
      Arrays.setAll(newcomers, i -> newcomers[i].succeeded() ? newcomer(i) : newcomers[i]);
    }
    assertThat(large.succeeded()).isTrue();
  }

  private Submitted newcomer(int number) {
    List<String> text = List.of("longer by far than the other caller's");
    return new Submitted(model, "id", "newcomer " + number, 1_000_000, null, text, true);
  }

  @Test
  void aStreamOfSmallRequestsDoesNotStarveALargeOne() {
    Submitted[] clients = new Submitted[100];
    Arrays.setAll(clients, i -> submit("id", 1_000_000, "client"));
    Submitted large = submit("id", 1_000_000, same(100, "larger"));
    for (int pass = 0; pass < 300 && !large.succeeded(); pass++) {
      engine.finish();
      Arrays.setAll(
          clients, i -> clients[i].succeeded() ? submit("id", 1_000_000, "client") : clients[i]);
    }
    assertThat(large.succeeded()).isTrue();
  }

  @Test
  void aStreamForOneModelDoesNotStarveAnother() {
    Submitted[] clients = new Submitted[100];
    Arrays.setAll(clients, i -> submit("id", 1_000_000, "client"));
    LoadedModel other = loaded("o", false);
    Submitted single = new Submitted(other, "id", 1_000_000, null, List.of("other"));
    for (int pass = 0; pass < 20 && !single.succeeded(); pass++) {
      engine.finish();
      Arrays.setAll(
          clients, i -> clients[i].succeeded() ? submit("id", 1_000_000, "client") : clients[i]);
    }
    assertThat(single.succeeded()).isTrue();
  }

  @Test
  void aFullQueueRefusesAtOnceAndHoldsNothing() {
    lanes(1, new JsonObject().put("max_queue_items", 10));
    Submitted first = submit(same(9, "a"));
    Submitted refused = submit("b", "c");
    RagbusException failure = refused.failure();
    assertThat(failure.kind()).isEqualTo(Kind.OVERLOADED);
    assertThat(failure.retryable()).isTrue();
    assertThat(failure.retryAfterMillis()).isPositive();
    assertThat(failure.getMessage()).contains("max_queue_items = 10", "9 texts");
    assertThat(batcher.stats().items()).isEqualTo(9);
    assertThat(submit("d").answers).isEmpty();
    engine.finishAll();
    assertThat(first.succeeded()).isTrue();
    assertThat(texts(engine).toString()).doesNotContain("b");
    assertNothingIsHeld();
  }

  @Test
  void theQueueIsBoundedInTokensToo() {
    lanes(1, new JsonObject().put("max_queue_tokens", 50));
    submit("x");
    submit(TEN.repeat(4));
    assertThat(submit(TEN.repeat(4)).failure().kind()).isEqualTo(Kind.OVERLOADED);
    engine.finish();
    engine.finish();
    assertThat(submit(TEN.repeat(4)).answers).isEmpty();
  }

  @Test
  void tokensHeldAreTheTrueOnesOnceTheyAreKnown() {
    submit("x");
    engine.held.add(Held.TOKENIZE);
    submit(TEN.repeat(4));
    assertThat(batcher.stats().tokens()).isEqualTo(2 + 12);
    engine.finishTokenizing();
    assertThat(batcher.stats().tokens()).isEqualTo(2 + 40);
  }

  @Test
  void smallRequestsThatWaitShareATokenisingCall() {
    submit("x");
    engine.held.add(Held.TOKENIZE);
    submit("first");
    submit("second");
    Submitted third = submit("third", "3");
    Submitted cancelled = submit("mine", 1_000, "fourth");
    Submitted fifth = submit("fifth");
    assertThat(engine.tokenizing).hasSize(2);
    batcher.cancel("mine");
    engine.finishTokenizing();
    assertThat(engine.tokenizing.get(1).call().texts()).containsExactly("third", "3", "fifth");
    engine.finishTokenizing();
    engine.finishTokenizing();
    engine.finishAll();
    assertThat(cancelled.failure().kind()).isEqualTo(Kind.CANCELLED);
    assertThat(third.rows.get(0)).startsWith(5, 't', 'd');
    assertThat(third.rows.get(1)).startsWith(1, '3', '3');
    assertThat(fifth.rows.get(0)).startsWith(5, 'f', 'h');
    assertNothingIsHeld();
  }

  @Test
  void aSharedTokenisingCallThatFailsIsMadeAgainForEach() {
    submit("x");
    engine.held.add(Held.TOKENIZE);
    submit("first");
    submit("second");
    Submitted third = submit("third");
    Submitted fourth = submit("fourth");
    engine.finishTokenizing();
    engine.tokenizing.remove(1).promise().fail(RagbusException.of(Kind.PYTHON, "bad text"));
    engine.finishTokenizing();
    engine.tokenizing.remove(0).promise().fail(RagbusException.of(Kind.PYTHON, "bad text"));
    engine.finishTokenizing();
    engine.finishAll();
    assertThat(third.failure().kind()).isEqualTo(Kind.PYTHON);
    assertThat(fourth.succeeded()).isTrue();
    assertNothingIsHeld();
  }

  @Test
  void aSmallRequestHasAnIdleLaneToItself() {
    engine.held.add(Held.TOKENIZE);
    Submitted job = submit("abc", "abd");
    assertThat(engine.tokenizing).hasSize(1);
    engine.finishTokenizing();
    assertThat(texts(engine)).containsExactly(List.of("abc", "abd"));
    engine.finish();
    assertThat(job.succeeded()).isTrue();
    assertThat(job.rows).hasSize(2);
    assertNothingIsHeld();
  }

  @Test
  void aSmallRequestOfUnlikeLengthsIsBatchedLikeAnyOther() {
    Submitted job = submit("a", TEN.repeat(6));
    assertThat(texts(engine)).containsExactly(List.of("a"));
    engine.finish();
    engine.finish();
    assertThat(job.succeeded()).isTrue();
    assertThat(job.rows.get(1)).startsWith(60);
    assertNothingIsHeld();
  }

  @Test
  void aSmallRequestThatIsCancelledWhileItIsTokenisedIsNotRun() {
    engine.held.add(Held.TOKENIZE);
    Submitted job = submit("id", 1_000, "abc");
    batcher.cancel("id");
    engine.finishTokenizing();
    assertThat(job.failure().kind()).isEqualTo(Kind.CANCELLED);
    assertThat(engine.forwarded).isEmpty();
    engine.held.remove(Held.TOKENIZE);
    Submitted next = submit("next");
    engine.finish();
    assertThat(next.succeeded()).isTrue();
    assertNothingIsHeld();
  }

  @Test
  void anIdleQueueTakesARequestOfAnySize() {
    lanes(1, new JsonObject().put("max_queue_items", 10));
    assertThat(submit(same(100, "a")).answers).isEmpty();
  }

  @Test
  void aFullerQueueSaysToComeBackLater() {
    lanes(1, new JsonObject().put("max_queue_items", 1_000).put("max_queue_tokens", 100_000));
    submit(same(900, TEN));
    RagbusException early = submit(same(200, TEN)).failure();
    lanes(1, new JsonObject().put("max_queue_items", 1_000).put("max_queue_tokens", 100_000));
    submit(same(900, TEN.repeat(5)));
    RagbusException late = submit(same(200, TEN)).failure();
    assertThat(late.retryAfterMillis()).isGreaterThan(early.retryAfterMillis());
  }

  @Test
  void whatWouldMostlyWaitIsRefusedAtOnce() {
    lanes(1, new JsonObject().put("max_batch_tokens", 16));
    submit("id", 100_000, same(20, TEN));
    time.advanceMillis(400);
    engine.finish();
    Submitted hopeless = submit("id", 1_000, same(20, TEN));
    Submitted patient = submit("id", 100_000, same(10, TEN));
    Submitted small = submit("id", 1_000, TEN);
    assertThat(hopeless.failure().kind()).isEqualTo(Kind.OVERLOADED);
    assertThat(hopeless.failure().getMessage()).contains("the request's 1000 ms");
    assertThat(hopeless.failure().retryAfterMillis()).isBetween(1_600L, 1_700L);
    assertThat(patient.answers).isEmpty();
    assertThat(small.answers).isEmpty();
    engine.finishAll();
    assertThat(patient.succeeded()).isTrue();
    assertThat(small.succeeded()).isTrue();
    assertNothingIsHeld();
  }

  @Test
  void aNewcomerIsNotRefusedForWhatOthersSent() {
    lanes(1, new JsonObject().put("max_batch_tokens", 16));
    for (int i = 0; i < 20; i++) {
      new Submitted(model, "bulk" + i, "bulk", 100_000, null, List.of(TEN), true);
    }
    time.advanceMillis(400);
    engine.finish();
    assertThat(new Submitted(model, "id", "bulk", 1_000, null, List.of(TEN), true).failure().kind())
        .isEqualTo(Kind.OVERLOADED);
    assertThat(new Submitted(model, "id", "new", 1_000, null, List.of(TEN), true).answers)
        .isEmpty();
    assertThat(new Submitted(model, "id", "too many", 1_000, null, List.of(TEN), true).answers)
        .isEmpty();
    assertThat(new Submitted(model, "id", "far", 1_000, null, List.of(TEN), true).failure().kind())
        .isEqualTo(Kind.OVERLOADED);
  }

  @Test
  void aSlowMomentIsForgottenThoughNothingWaits() {
    lanes(1, new JsonObject().put("max_batch_tokens", 16));
    submit("id", 1_000_000, same(2, TEN));
    time.advanceMillis(100_000);
    engine.finish();
    submit("id", 1_000_000, TEN);
    assertThat(submit("id", 1_000, TEN).failure().kind()).isEqualTo(Kind.OVERLOADED);
    for (int i = 0; i < 2; i++) {
      time.advanceMillis(1);
      engine.finish();
    }
    submit("id", 1_000_000, TEN);
    assertThat(submit("id", 1_000, TEN).answers).isEmpty();
  }

  @Test
  void smallPassesDoNotMakeTheLanesSeemSlow() {
    lanes(1, new JsonObject().put("max_batch_tokens", 8));
    submit("id", 100_000, same(50, "a"));
    for (int i = 0; i < 50; i++) {
      time.advanceMillis(2);
      engine.finish();
    }
    submit("id", 100_000, same(400, TEN));
    assertThat(submit("id", 4_000, same(400, TEN)).answers).isEmpty();
  }

  @Test
  void aFailingBatchSaysNothingAboutSpeed() {
    lanes(1, new JsonObject().put("max_queue_items", 1_000));
    for (int i = 0; i < 100; i++) {
      submit("a");
      engine.fail(0, Kind.PYTHON);
    }
    submit(same(900, TEN));
    assertThat(submit(same(200, TEN)).failure().retryAfterMillis()).isBetween(3_000L, 6_000L);
  }

  @Test
  void lateWorkIsDroppedBeforeItRunsAndCounted() {
    Submitted running = submit("id", 500, "running");
    Submitted waiting = submit("id", 100, "w1", "w2");
    time.advanceMillis(100);
    assertThat(waiting.failure().kind()).isEqualTo(Kind.TIMEOUT);
    assertThat(waiting.failure().getMessage()).contains("before the work had started");
    assertThat(batcher.stats().dropped()).isEqualTo(2);
    assertThat(batcher.stats().items()).isEqualTo(1);
    time.advanceMillis(400);
    assertThat(running.failure().getMessage()).contains("while the work was running");
    engine.finish();
    assertThat(engine.running).isEmpty();
    assertThat(running.rows).isEmpty();
    assertNothingIsHeld();
  }

  @Test
  void lateWorkIsCountedAlsoWhereItWasNotTokenisedYet() {
    engine.held.add(Held.TOKENIZE);
    submit("id", 100, "w1", "w2");
    time.advanceMillis(100);
    assertThat(batcher.stats().dropped()).isEqualTo(2);
    engine.finishTokenizing();
    assertThat(engine.forwarded).isEmpty();
    assertThat(batcher.stats().dropped()).isEqualTo(2);
    assertNothingIsHeld();
  }

  @Test
  void aRequestThatComesLateIsNotAdmitted() {
    assertThat(submit("id", 0, "late").failure().kind()).isEqualTo(Kind.TIMEOUT);
    assertThat(engine.tokenized).isEmpty();
    assertNothingIsHeld();
  }

  @Test
  void aCancelledRequestThatWaitsIsNotRun() {
    submit("x");
    Submitted cancelled = submit("mine", 1_000, "c1", "c2");
    Submitted other = submit("other", 1_000, "o1");
    batcher.cancel("mine");
    batcher.cancel("nobody");
    assertThat(cancelled.failure().kind()).isEqualTo(Kind.CANCELLED);
    assertThat(batcher.stats().dropped()).isEqualTo(2);
    engine.finishAll();
    assertThat(other.succeeded()).isTrue();
    assertThat(texts(engine)).containsExactly(List.of("x"), List.of("o1"));
    assertNothingIsHeld();
  }

  @Test
  void aCancelledRequestThatRunsIsAnsweredAtOnceAndItsRowsAreIgnored() {
    Submitted job = submit("mine", 1_000, same(100, TEN));
    batcher.cancel("mine");
    assertThat(job.failure().kind()).isEqualTo(Kind.CANCELLED);
    assertThat(batcher.stats().items()).isZero();
    engine.finish();
    assertThat(engine.running).isEmpty();
    assertThat(job.rows).isEmpty();
    assertNothingIsHeld();
  }

  @Test
  void allRequestsOfAnIdAreCancelled() {
    Submitted first = submit("mine", 1_000, "a");
    Submitted second = submit("mine", 1_000, "b");
    batcher.cancel("mine");
    assertThat(first.failure().kind()).isEqualTo(Kind.CANCELLED);
    assertThat(second.failure().kind()).isEqualTo(Kind.CANCELLED);
  }

  @Test
  void aRequestWhoseTokensFailIsAnswered() {
    engine.held.add(Held.TOKENIZE);
    Submitted job = submit("a");
    engine.tokenizing.remove(0).promise().fail(RagbusException.of(Kind.LANE_LOST, "gone"));
    assertThat(job.failure().kind()).isEqualTo(Kind.LANE_LOST);
    Submitted untyped = submit("b");
    engine.tokenizing.remove(0).promise().fail(new IllegalStateException("odd"));
    assertThat(untyped.failure().kind()).isEqualTo(Kind.RUNTIME);
    assertNothingIsHeld();
  }

  @Test
  void aTextThatMayNotBeCutIsRefusedWithItsLimit() {
    Submitted job =
        new Submitted(model, "id", null, 1_000, null, List.of("ok", "x".repeat(65)), false);
    assertThat(job.failure().kind()).isEqualTo(Kind.TOO_LARGE);
    assertThat(job.failure().getMessage()).contains("texts[1]", "65", "64");
    assertThat(engine.forwarded).isEmpty();
    assertNothingIsHeld();
  }

  @Test
  void aLaneWithoutAnInterpreterRestsAndFailsNoMoreThanItHad() {
    lanes(2, new JsonObject());
    Submitted broken = submit("a");
    engine.fail(0, Kind.NOT_INITIALIZED);
    assertThat(broken.failure().kind()).isEqualTo(Kind.NOT_INITIALIZED);
    submit("b");
    Submitted waits = submit("c");
    assertThat(engine.running).singleElement().returns(1, FakeEngine.Running::lane);
    engine.finish();
    assertThat(engine.running).singleElement().returns(1, FakeEngine.Running::lane);
    time.advanceMillis(1_000);
    submit("d");
    assertThat(engine.running).hasSize(2);
    engine.fail(1, Kind.NOT_INITIALIZED);
    time.advanceMillis(1_000);
    engine.finishAll();
    assertThat(waits.succeeded()).isTrue();
    assertNothingIsHeld();
  }

  @Test
  void aTextThatMayNotBeCutIsRefusedWhenALaneHasRunIt() {
    LoadedModel packs = packing();
    List<String> texts = List.of("x".repeat(60), "y".repeat(65));
    Submitted job = new Submitted(packs, "id", "a", 1_000, null, texts, false);
    Submitted waits = new Submitted(packs, "id", "b", 1_000, null, List.of("z".repeat(60)), true);
    engine.finish();
    assertThat(job.failure().kind()).isEqualTo(Kind.TOO_LARGE);
    engine.finishAll();
    assertThat(waits.succeeded()).isTrue();
    Submitted next = new Submitted(packs, "id", "a", 1_000, null, List.of("ok"), false);
    engine.finishAll();
    assertThat(next.succeeded()).isTrue();
    assertNothingIsHeld();
  }

  @Test
  void cutTextsAreReported() {
    Submitted job = submit("ok", "x".repeat(65), "y".repeat(64), "z".repeat(100));
    engine.finishAll();
    assertThat(job.answers).containsExactly(new Usage(2 + 3 * 64, List.of(1, 3)));
  }

  @Test
  void aFailedBatchOfOneRequestFailsIt() {
    Submitted job = submit("a", "b");
    Submitted next = submit("c");
    engine.fail(0, Kind.PYTHON);
    assertThat(job.failure().kind()).isEqualTo(Kind.PYTHON);
    engine.finish();
    assertThat(next.succeeded()).isTrue();
    assertNothingIsHeld();
  }

  @Test
  void aFailedSharedBatchIsRunAgainRequestByRequest() {
    submit("x");
    Submitted first = submit("a1", "a2");
    Submitted bad = submit("bb");
    Submitted third = submit("cc");
    Submitted later = submit("dd".repeat(30));
    engine.finish();
    engine.fail(0, Kind.PYTHON);
    assertThat(FakeEngine.texts(engine.running.get(0).call())).containsExactly("a1", "a2");
    engine.finish();
    assertThat(FakeEngine.texts(engine.running.get(0).call())).containsExactly("bb");
    engine.fail(0, Kind.PYTHON);
    engine.finishAll();
    assertThat(bad.failure().kind()).isEqualTo(Kind.PYTHON);
    assertThat(List.of(first, third, later)).allMatch(Submitted::succeeded);
    assertNothingIsHeld();
  }

  @Test
  void anErrorOfACancelledRequestDoesNotTouchTheOthersOfItsBatch() {
    submit("x");
    submit("bad", 1_000, "bb");
    Submitted good = submit("gg");
    engine.finish();
    batcher.cancel("bad");
    engine.fail(0, Kind.PYTHON);
    engine.finishAll();
    assertThat(good.succeeded()).isTrue();
    assertNothingIsHeld();
  }

  @Test
  void aRequestCancelledBeforeItsTurnToRunAgainIsNotRun() {
    submit("x");
    Submitted first = submit("first", 1_000, "aa");
    submit("second", 1_000, "bb");
    engine.finish();
    engine.fail(0, Kind.PYTHON);
    batcher.cancel("second");
    engine.finish();
    assertThat(first.succeeded()).isTrue();
    assertThat(engine.running).isEmpty();
    assertThat(texts(engine)).last().isEqualTo(List.of("aa"));
    assertNothingIsHeld();
  }

  @Test
  void aLostLaneFailsItsRequestsAndIsUsedAgain() {
    submit("x");
    Submitted first = submit("a");
    Submitted second = submit("b");
    engine.finish();
    engine.fail(0, Kind.LANE_LOST);
    assertThat(first.failure().kind()).isEqualTo(Kind.LANE_LOST);
    assertThat(first.failure().retryable()).isTrue();
    assertThat(second.failure().kind()).isEqualTo(Kind.LANE_LOST);
    Submitted next = submit("c");
    engine.finish();
    assertThat(next.succeeded()).isTrue();
    assertNothingIsHeld();
  }

  @Test
  void numbersThatAreNotFiniteFailTheirOwnRequestOnly() {
    for (float bad : new float[] {Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY}) {
      Submitted first = submit("x");
      Submitted good = submit("a");
      Submitted broken = submit("b0", "b1");
      engine.finish();
      float[] results = FakeEngine.results(engine.running.get(0).call());
      results[4 * engine.running.get(0).call().rows().size() - 1] = bad;
      engine.finishWith(0, results);
      assertThat(List.of(first, good)).allMatch(Submitted::succeeded);
      assertThat(broken.failure().kind()).isEqualTo(Kind.RUNTIME);
      assertThat(broken.failure().getMessage()).contains("texts[1]", "not finite");
    }
    assertNothingIsHeld();
  }

  @Test
  void whatIsNotFiniteInAPackedBatchIsRunRowByRow() {
    LoadedModel packing = packing();
    Submitted first = new Submitted(packing, "first", 1_000, null, List.of("x"));
    Submitted good = new Submitted(packing, "good", 1_000, null, List.of("aaa", "aab"));
    Submitted broken = new Submitted(packing, "broken", 1_000, null, List.of("bbbb", "bbbc"));
    engine.finish();
    Engine.ForwardCall batch = engine.running.get(0).call();
    assertThat(batch.rows()).hasSize(4);
    assertThat(batch.layout().lines()).isEqualTo(2);
    float[] none = FakeEngine.results(batch);
    Arrays.fill(none, Float.NaN);
    engine.finishWith(0, none);
    while (!engine.running.isEmpty()) {
      Engine.ForwardCall alone = engine.running.get(0).call();
      assertThat(alone.rows()).hasSize(1);
      float[] results = FakeEngine.results(alone);
      if (FakeEngine.texts(alone).equals(List.of("bbbc"))) {
        results[3] = Float.NaN;
      }
      engine.finishWith(0, results);
    }
    assertThat(List.of(first, good)).allMatch(Submitted::succeeded);
    assertThat(broken.failure().getMessage()).contains("texts[1]", "not finite");
    assertNothingIsHeld();
  }

  @Test
  void whatIsNotFiniteInAPackedDirectCallIsRunRowByRow() {
    LoadedModel packing = packing();
    Submitted direct = new Submitted(packing, "direct", 1_000, null, List.of("aaa", "bbb"));
    for (int rows : new int[] {2, 2}) {
      float[] none = new float[4 * rows];
      Arrays.fill(none, Float.NaN);
      assertThat(engine.running.get(0).call().rows()).hasSize(rows);
      engine.finishWith(0, none);
    }
    engine.finish();
    engine.finishWith(0, new float[] {1, 1, 1, Float.NaN});
    assertThat(direct.failure().getMessage()).contains("texts[1]", "not finite");
    assertThat(engine.running).isEmpty();
    assertNothingIsHeld();
  }

  @Test
  void aBatchOfTheWrongSizeFailsItsRequests() {
    Submitted job = submit("a", "b");
    engine.finishWith(0, new float[7]);
    assertThat(job.failure().kind()).isEqualTo(Kind.RUNTIME);
    Submitted next = submit("c");
    engine.finish();
    assertThat(next.succeeded()).isTrue();
  }

  @Test
  void aLaneIsGivenUpSomeTimeAfterItsLastRequestIsOver() {
    submit("x");
    submit("id", 1_000, "a");
    submit("id", 5_000, "b");
    engine.finish();
    long stuck = RagbusOptions.defaults().lanes().stuckTimeout().toMillis();
    assertThat(engine.running.get(0).giveUpNanos()).isEqualTo(time.inMillis(5_000 + stuck));
  }

  @Test
  void drainedWaitsForTheLastAnswer() {
    submit("a");
    submit("b");
    Future<Void> drained = batcher.drained();
    engine.finish();
    assertThat(drained.isComplete()).isFalse();
    engine.finish();
    assertThat(drained.succeeded()).isTrue();
  }

  @Test
  void failAllAnswersEverybody() {
    Submitted running = submit("a");
    Submitted waiting = submit("b");
    Future<Void> drained = batcher.drained();
    batcher.failAll(RagbusException.of(Kind.UNAVAILABLE, "over"));
    assertThat(running.failure().kind()).isEqualTo(Kind.UNAVAILABLE);
    assertThat(waiting.failure().kind()).isEqualTo(Kind.UNAVAILABLE);
    assertThat(drained.succeeded()).isTrue();
    engine.finish();
    assertThat(engine.running).isEmpty();
    assertNothingIsHeld();
  }

  @Test
  void anAnswerMaySubmitTheNextRequest() {
    List<Submitted> next = new ArrayList<>();
    Submitted first = submit("a");
    first.job.future().onComplete(done -> next.add(submit("b")));
    engine.finish();
    engine.finish();
    assertThat(next).singleElement().matches(Submitted::succeeded);
    assertNothingIsHeld();
  }

  @Test
  void batchesAreCountedWithTheirPadding() {
    submit("x");
    submit("aaaa");
    submit("bb");
    engine.finishAll();
    var stats = batcher.stats();
    assertThat(stats.batches()).isEqualTo(2);
    assertThat(stats.rows()).isEqualTo(3);
    assertThat(stats.realTokens()).isEqualTo(1 + 6);
    assertThat(stats.paddedTokens()).isEqualTo(8 + 2 * 8);
    assertThat(stats.dropped()).isZero();
  }

  @Test
  void tellsAfterEachPassWhichTextsAreFinished() {
    Watched watched = new Watched(model, null, 1, List.of(same(70, TEN)));
    engine.finish();
    assertThat(watched.finished).hasSize(1);
    assertThat(watched.finished.get(0)).hasSize(32).startsWith(0, 1, 2);
    engine.finishAll();
    assertThat(watched.usage).isNotNull();
    assertThat(watched.finished.stream().flatMap(List::stream))
        .containsExactlyInAnyOrderElementsOf(IntStream.range(0, 70).boxed().toList());
  }

  @Test
  void aTextOfSeveralWindowsIsFinishedWithItsLast() {
    LoadedModel reranker = loaded("r", true);
    Watched watched = new Watched(reranker, "q", 9, List.of("x".repeat(63 * 9), "b", "c"));
    int passes = 0;
    while (!engine.running.isEmpty()) {
      engine.finish();
      passes++;
      boolean told = watched.finished.stream().anyMatch(texts -> texts.contains(0));
      assertThat(told).isEqualTo(watched.rows.getOrDefault(0, 0) == 9);
    }
    assertThat(passes).isGreaterThan(1);
    assertThat(watched.usage).isNotNull();
    assertThat(watched.finished.stream().flatMap(List::stream)).containsExactlyInAnyOrder(0, 1, 2);
  }

  @Test
  void aPausedJobDoesNotRunAndHoldsUpNobody() {
    submit("x");
    Watched paused = new Watched(model, null, 1, List.of(same(100, TEN)));
    engine.finish();
    batcher.pause(paused.job);
    batcher.pause(paused.job);
    engine.finish();
    assertThat(engine.running).isEmpty();
    assertThat(paused.rows).hasSize(32);
    Submitted other = submit("id", 10_000, same(40, "other"));
    engine.finishAll();
    assertThat(other.succeeded()).isTrue();
    assertThat(paused.rows).hasSize(32);
    assertThat(batcher.stats().items()).isEqualTo(100);
    batcher.resume(paused.job);
    batcher.resume(paused.job);
    engine.finishAll();
    assertThat(paused.rows).hasSize(100).allSatisfy((text, rows) -> assertThat(rows).isOne());
    assertThat(paused.usage).isNotNull();
    assertNothingIsHeld();
  }

  @Test
  void aResumedJobGetsNoTurnThatHasGoneBy() {
    submit("x");
    Watched paused = new Watched(model, null, 1, List.of(same(200, TEN)));
    batcher.pause(paused.job);
    submit("id", 1_000_000, same(3_000, TEN));
    for (int i = 0; i < 50; i++) {
      engine.finish();
    }
    batcher.resume(paused.job);
    Submitted single = submit("id", 1_000_000, "other");
    int passes = 0;
    while (!single.succeeded()) {
      engine.finish();
      passes++;
    }
    assertThat(passes).as("nobody waits for what the paused job has missed").isLessThan(5);
    engine.finishAll();
    assertThat(paused.usage).isNotNull();
  }

  @Test
  void aJobPausedWhileItIsTokenisedWaitsToo() {
    submit("x");
    engine.held.add(Held.TOKENIZE);
    Watched paused = new Watched(model, null, 1, List.of(same(100, TEN)));
    batcher.pause(paused.job);
    engine.finishTokenizing();
    engine.finishTokenizing();
    engine.finish();
    assertThat(engine.running).isEmpty();
    batcher.resume(paused.job);
    engine.finishAll();
    assertThat(paused.usage).isNotNull();
    assertNothingIsHeld();
  }

  @Test
  void aPausedJobsTimeGoesOn() {
    submit("x");
    Watched paused = new Watched(model, null, 1, List.of(same(100, TEN)));
    engine.finish();
    batcher.pause(paused.job);
    time.advanceMillis(10_000);
    assertThat(paused.job.isOver()).isTrue();
    batcher.resume(paused.job);
    engine.finishAll();
    assertThat(paused.rows).isEmpty();
    assertThat(engine.forwarded).hasSize(2);
    assertNothingIsHeld();
  }

  @Test
  void endingAJobStopsItsRemainingPasses() {
    submit("x");
    Watched ended = new Watched(model, null, 1, List.of(same(100, TEN)));
    engine.finish();
    batcher.end(ended.job, RagbusException.of(Kind.CANCELLED, "unwanted"));
    batcher.end(ended.job, RagbusException.of(Kind.CANCELLED, "unwanted"));
    engine.finishAll();
    assertThat(engine.forwarded).hasSize(2);
    assertThat(ended.job.future().cause()).hasMessage("CANCELLED: unwanted");
    assertThat(ended.finished).isEmpty();
    assertNothingIsHeld();
  }

  @Test
  void aPassThatNobodyWaitsForIsCut() {
    Submitted job = submit("id", 1_000, "abc");
    time.advanceMillis(1_000);
    assertThat(job.failure().kind()).isEqualTo(Kind.TIMEOUT);
    assertThat(engine.cancelled).hasSize(1);
    Submitted next = submit("next");
    engine.endCancelled(engine.cancelled.get(0));
    engine.finish();
    assertThat(next.succeeded()).isTrue();
    assertThat(job.answers).hasSize(1);
    assertNothingIsHeld();
  }

  @Test
  void aPassWithALiveRowIsNotCut() {
    submit("x");
    submit("dies", 1_000, "aa", "ab");
    Submitted dies2 = submit("dies", 1_000, "ac");
    Submitted lives = submit("lives", 5_000, "ad");
    engine.finish();
    batcher.cancel("dies");
    assertThat(dies2.failure().kind()).isEqualTo(Kind.CANCELLED);
    assertThat(engine.cancelled).isEmpty();
    batcher.cancel("lives");
    assertThat(lives.failure().kind()).isEqualTo(Kind.CANCELLED);
    assertThat(engine.cancelled).hasSize(1);
  }

  @Test
  void whatIsAliveInACancelledPassIsRunAgain() {
    submit("x");
    Submitted dies = submit("dies", 1_000, "aa");
    Submitted lives = submit("lives", 5_000, "ad");
    engine.finish();
    batcher.cancel("dies");
    engine.endCancelled(engine.running.get(0));
    assertThat(texts(engine)).last().isEqualTo(List.of("ad"));
    engine.finish();
    assertThat(lives.succeeded()).isTrue();
    assertThat(dies.failure().kind()).isEqualTo(Kind.CANCELLED);
    assertNothingIsHeld();
  }

  @Test
  void everyPassOfARequestThatIsOverIsCut() {
    lanes(3, new JsonObject());
    submit("id", 1_000, same(200, TEN));
    time.advanceMillis(1_000);
    assertThat(engine.cancelled)
        .extracting(FakeEngine.Running::lane)
        .containsExactlyInAnyOrder(0, 1, 2);
    List.copyOf(engine.cancelled).forEach(engine::endCancelled);
    assertThat(engine.running).isEmpty();
    assertNothingIsHeld();
  }

  @Test
  void aPassThatEndsBeforeItsCancellationIsJustOver() {
    submit("id", 1_000, "abc");
    time.advanceMillis(1_000);
    engine.finish();
    Submitted next = submit("next");
    assertThat(engine.cancelled).hasSize(1);
    engine.finish();
    assertThat(next.succeeded()).isTrue();
    assertNothingIsHeld();
  }

  /** Whatever happens in whatever order: one answer each, nothing kept, nothing run for nothing. */
  @RepeatedTest(10)
  void everyRequestIsAnsweredOnceWhateverHappens(RepetitionInfo repetition) {
    Random random = new Random(repetition.getCurrentRepetition());
    lanes(1 + random.nextInt(4), new JsonObject().put("max_queue_items", 400));
    engine.held.add(Held.TOKENIZE);
    List<LoadedModel> models = List.of(model, loaded("o", false), loaded("r", true));
    List<Submitted> all = new ArrayList<>();
    Map<String, Submitted> byMark = new java.util.HashMap<>();
    List<Job> paused = new ArrayList<>();
    int seen = 0;
    for (int step = 0; step < 4_000; step++) {
      switch (random.nextInt(12)) {
        case 0, 1, 2 -> all.add(randomJob(random, models, all.size(), byMark));
        case 3, 4, 5 -> {
          if (!engine.tokenizing.isEmpty()) {
            engine.finishTokenizing();
          }
        }
        case 6, 7, 8 -> {
          if (!engine.running.isEmpty()) {
            engine.finish(random.nextInt(engine.running.size()));
          }
        }
        case 9 -> oneFailure(random);
        case 10 -> {
          batcher.cancel("id" + random.nextInt(all.size() + 1));
          if (!all.isEmpty()) {
            Job any = all.get(Math.max(0, all.size() - 1 - random.nextInt(5))).job;
            batcher.pause(any);
            paused.add(any);
          }
          if (paused.size() > 3) {
            batcher.resume(paused.remove(0));
          }
        }
        default -> time.advanceMillis(random.nextInt(40));
      }
      assertOnlyDeadRowsAreCancelled(byMark, random);
      seen = assertOnlyLiveRowsWereStarted(byMark, seen);
      if (paused.stream().allMatch(Job::isOver)) {
        assertNoLaneIdlesWhileWorkWaits();
      }
    }
    paused.forEach(batcher::resume);
    while (!engine.tokenizing.isEmpty() || !engine.running.isEmpty()) {
      if (!engine.tokenizing.isEmpty()) {
        engine.finishTokenizing();
      }
      engine.finishAll();
    }
    assertThat(all).hasSizeGreaterThan(500).allMatch(job -> job.answers.size() == 1);
    assertThat(all)
        .filteredOn(Submitted::succeeded)
        .hasSizeGreaterThan(100)
        .allMatch(job -> job.rows.size() == job.job.spec().texts().size());
    assertThat(kinds(all)).contains(Kind.PYTHON, Kind.LANE_LOST, Kind.CANCELLED, Kind.TIMEOUT);
    assertNothingIsHeld();
    for (int lane = 0; lane < engine.inferenceLanes(); lane++) {
      submit("lane" + lane + "x".repeat(14 * lane));
      engine.finishTokenizing();
    }
    assertThat(engine.running).hasSize(engine.inferenceLanes());
  }

  private Submitted randomJob(
      Random random, List<LoadedModel> models, int number, Map<String, Submitted> byMark) {
    String mark = Character.toString((char) (0x4000 + number));
    List<String> texts = new ArrayList<>();
    int count = random.nextInt(4) == 0 ? 1 + random.nextInt(100) : 1;
    for (int i = 0; i < count; i++) {
      texts.add(mark + "x".repeat(random.nextInt(60)));
    }
    LoadedModel of = models.get(random.nextInt(models.size()));
    String query = of.type() == ModelType.CROSS_ENCODER ? "q" : null;
    Submitted job = new Submitted(of, "id" + number, 1 + random.nextInt(2_000), query, texts);
    byMark.put(mark, job);
    return job;
  }

  private void oneFailure(Random random) {
    if (random.nextInt(4) == 0 && !engine.tokenizing.isEmpty()) {
      engine.tokenizing.remove(0).promise().fail(RagbusException.of(Kind.PYTHON, "tokens"));
    } else if (!engine.running.isEmpty()) {
      Kind kind = random.nextBoolean() ? Kind.PYTHON : Kind.LANE_LOST;
      engine.fail(random.nextInt(engine.running.size()), kind);
    }
  }

  /** What was cancelled since the last step belongs to jobs that are over; it may end or fail. */
  private void assertOnlyDeadRowsAreCancelled(Map<String, Submitted> byMark, Random random) {
    for (FakeEngine.Running batch : engine.cancelled) {
      for (TokenRow row : batch.call().rows()) {
        assertThat(byMark.get(mark(row)).answers).as("a cancelled row's job is over").hasSize(1);
      }
      if (random.nextBoolean() && engine.running.contains(batch)) {
        engine.endCancelled(batch);
      }
    }
    engine.cancelled.clear();
  }

  private static String mark(TokenRow row) {
    String text = FakeEngine.text(row);
    return text.startsWith("q") ? text.substring(1, 2) : text.substring(0, 1);
  }

  /** Rows in batches started since the last step belong to jobs that were alive then. */
  private int assertOnlyLiveRowsWereStarted(Map<String, Submitted> byMark, int seen) {
    for (FakeEngine.Running batch : engine.running) {
      if (engine.forwarded.indexOf(batch.call()) >= seen) {
        for (TokenRow row : batch.call().rows()) {
          assertThat(byMark.get(mark(row)).answers).as("a started row's job is alive").isEmpty();
        }
      }
    }
    return engine.forwarded.size();
  }

  private void assertNoLaneIdlesWhileWorkWaits() {
    if (engine.running.isEmpty() && engine.tokenizing.isEmpty()) {
      assertThat(batcher.stats().items()).isZero();
    }
  }

  private static Set<Kind> kinds(List<Submitted> all) {
    Set<Kind> kinds = new HashSet<>();
    all.stream().filter(job -> !job.succeeded()).forEach(job -> kinds.add(job.failure().kind()));
    return kinds;
  }

  private static List<Long> millis(Phases phases) {
    return java.util.stream.LongStream.of(
            phases.waitingNanos(), phases.tokenizingNanos(), phases.inferenceNanos())
        .mapToObj(nanos -> nanos / 1_000_000)
        .toList();
  }

  @Test
  void aRequestsTimeIsThatOfItsPhases() {
    Submitted first = submit("first");
    engine.held.add(FakeEngine.Held.TOKENIZE);
    time.advanceMillis(1);
    Submitted second = submit("second");
    time.advanceMillis(2);
    engine.finishTokenizing();
    time.advanceMillis(4);
    engine.finish();
    time.advanceMillis(8);
    engine.finish();

    assertThat(millis(first.job.phases())).containsExactly(0L, 0L, 7L);
    assertThat(millis(second.job.phases())).containsExactly(4L, 2L, 8L);
  }

  @Test
  void aRequestThatIsOverTakesNoMoreTime() {
    submit("busy");
    Submitted waiting = submit("late", 3, "waits");
    time.advanceMillis(5);
    engine.finish();

    assertThat(waiting.failure().kind()).isEqualTo(Kind.TIMEOUT);
    assertThat(millis(waiting.job.phases())).containsExactly(3L, 0L, 0L);
  }
}
