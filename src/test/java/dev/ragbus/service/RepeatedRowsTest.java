// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import static org.assertj.core.api.Assertions.assertThat;

import dev.ragbus.ModelSpec;
import dev.ragbus.ModelType;
import dev.ragbus.RagbusException;
import dev.ragbus.RagbusException.Kind;
import dev.ragbus.RagbusOptions;
import dev.ragbus.Usage;
import dev.ragbus.python.RowValues;
import dev.ragbus.service.FakeEngine.Held;
import io.vertx.core.json.JsonObject;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.RepetitionInfo;
import org.junit.jupiter.api.Test;

class RepeatedRowsTest {
  private static final JsonObject COALESCE = new JsonObject().put("coalesce", true);
  private static final JsonObject CACHE = new JsonObject().put("cache_bytes", 1 << 20);

  private final ManualTime time = new ManualTime();
  private FakeEngine engine = new FakeEngine(1);
  private LoadedModel model = loaded("m", ModelType.EMBEDDING);
  private Batcher batcher;

  private LoadedModel loaded(String name, ModelType type) {
    boolean crossEncoder = type == ModelType.CROSS_ENCODER;
    return new LoadedModel(ModelSpec.of(name, type), engine.add(crossEncoder), time.nanos());
  }

  private void start(JsonObject batching) {
    RagbusOptions options = FakeEngine.options(new JsonObject().put("batching", batching));
    ServiceMetrics metrics = new ServiceMetrics("rag");
    batcher =
        new Batcher(time.vertx(), engine, options, metrics, FakeEngine.requests(), time::nanos);
  }

  /** A job and what came of it. */
  private final class Asked implements Job.Sink {
    final List<String> texts;
    final Map<Integer, float[]> rows = new TreeMap<>();
    final List<Object> answers = new ArrayList<>();
    final Job job;

    /** What its reader does when a text is finished. */
    Runnable reader = () -> {};

    Asked(LoadedModel of, String id, long millis, int dimensions, String... texts) {
      this(of, id, null, millis, dimensions, texts);
    }

    Asked(LoadedModel of, String id, String caller, long millis, int dimensions, String... texts) {
      this.texts = List.of(texts);
      String query = of.type() == ModelType.CROSS_ENCODER ? "q" : null;
      Job.Spec spec =
          new Job.Spec(
              of, query, this.texts, null, false, 0, 1, false, true, dimensions, true, this);
      ServiceMetrics.Operation meters = new ServiceMetrics("rag").operation("embed");
      Call call = new Call(id, caller, time.inMillis(millis), null, new Phases(meters), null);
      job = new Job(spec, null, call);
      batcher
          .submit(job)
          .onComplete(result -> answers.add(result.succeeded() ? result.result() : result.cause()));
    }

    @Override
    public void accept(int text, RowValues values) {
      assertThat(answers).as("told before the answer").isEmpty();
      assertThat(rows.put(text, values.copy().values())).as("answered once").isNull();
    }

    @Override
    public void finished(List<Integer> finished) {
      reader.run();
    }

    boolean succeeded() {
      if (answers.size() != 1 || !(answers.get(0) instanceof Usage)) {
        return false;
      }
      assertThat(rows).hasSize(texts.size());
      rows.forEach(
          (text, row) ->
              assertThat(row)
                  .startsWith(texts.get(text).length(), texts.get(text).charAt(0))
                  .hasSize(4));
      return true;
    }

    Kind failure() {
      assertThat(answers).singleElement().isInstanceOf(RagbusException.class);
      return ((RagbusException) answers.get(0)).kind();
    }
  }

  private Asked ask(String... texts) {
    return askAs("id", texts);
  }

  private Asked askAs(String id, String... texts) {
    return new Asked(model, id, 10_000, 0, texts);
  }

  private List<List<String>> passes() {
    return engine.forwarded.stream().map(FakeEngine::texts).toList();
  }

  private void assertNothingIsHeld() {
    assertThat(batcher.stats().items()).isZero();
    assertThat(batcher.stats().tokens()).isZero();
    assertThat(time.openTimers()).isZero();
    assertThat(batcher.drained().succeeded()).isTrue();
  }

  @Test
  void offMeansOff() {
    start(new JsonObject());
    ask("same");
    Asked second = ask("same", "same");
    engine.finishAll();
    assertThat(second.succeeded()).isTrue();
    ask("same");
    engine.finishAll();
    assertThat(passes()).containsExactly(List.of("same"), List.of("same", "same"), List.of("same"));
    assertThat(batcher.stats().coalesced()).isZero();
    assertThat(batcher.stats().cached()).isZero();
  }

  @Test
  void aTextUnderWayRunsOnce() {
    start(COALESCE);
    Asked busy = ask("busy");
    Asked first = ask("same", "other");
    Asked second = ask("same", "same");
    Asked third = ask("busy");
    engine.finishAll();
    assertThat(passes()).containsExactly(List.of("busy"), List.of("same", "other"));
    assertThat(List.of(busy, first, second, third)).allMatch(Asked::succeeded);
    assertThat(second.answers.get(0)).isEqualTo(new Usage(8, List.of()));
    assertThat(batcher.stats().coalesced()).isEqualTo(3);
    assertNothingIsHeld();
    ask("same");
    engine.finishAll();
    assertThat(engine.forwarded).as("nothing is kept").hasSize(3);
  }

  @Test
  void whatDiffersInModelOrOptionsIsNotTheSame() {
    start(COALESCE.copy().mergeIn(CACHE));
    LoadedModel again = loaded("m", ModelType.EMBEDDING);
    for (int round = 1; round <= 2; round++) {
      ask("same");
      new Asked(model, "id", 10_000, 2, "same");
      new Asked(again, "id", 10_000, 0, "same");
      engine.finishAll();
      assertThat(passes().stream().flatMap(List::stream)).hasSize(3);
    }
    assertThat(batcher.stats().cached()).isEqualTo(3);
  }

  @Test
  void scoresAreNotKept() {
    start(COALESCE.copy().mergeIn(CACHE));
    LoadedModel ranker = loaded("r", ModelType.CROSS_ENCODER);
    for (int round = 0; round < 2; round++) {
      new Asked(ranker, "id", 10_000, 0, "same", "same");
      engine.finishAll();
    }
    assertThat(passes().stream().flatMap(List::stream)).hasSize(4);
  }

  @Test
  void whoWaitsForACancelledTextRunsItItself() {
    start(COALESCE);
    ask("busy");
    Asked waits = askAs("gone", "same");
    Asked follows = ask("same");
    Asked followsToo = ask("same");
    batcher.cancel("gone");
    assertThat(waits.failure()).isEqualTo(Kind.CANCELLED);
    engine.finishAll();
    assertThat(passes()).containsExactly(List.of("busy"), List.of("same"));
    assertThat(follows.succeeded() && followsToo.succeeded()).isTrue();
    assertNothingIsHeld();
  }

  @Test
  void whoWaitsForATextWhoseRequestEndsWhileItRunsHasItsVector() {
    start(COALESCE);
    Asked runs = askAs("gone", "same");
    Asked follows = ask("same");
    batcher.cancel("gone");
    engine.finishAll();
    assertThat(runs.failure()).isEqualTo(Kind.CANCELLED);
    assertThat(follows.succeeded()).isTrue();
    assertThat(engine.forwarded).hasSize(1);
    assertNothingIsHeld();
  }

  @Test
  void whoWaitsForATextWhoseRunIsCutRunsItItself() {
    start(COALESCE);
    askAs("gone", "same");
    Asked follows = ask("same");
    batcher.cancel("gone");
    engine.endCancelled(engine.cancelled.get(0));
    engine.finishAll();
    assertThat(follows.succeeded()).isTrue();
    assertNothingIsHeld();
  }

  @Test
  void whoWaitsForATextThatFailsRunsItItself() {
    start(COALESCE);
    Asked fails = ask("same");
    Asked follows = ask("same");
    engine.fail(0, Kind.PYTHON);
    assertThat(fails.failure()).isEqualTo(Kind.PYTHON);
    engine.finishWith(0, new float[] {Float.NaN, 0, 0, 0});
    assertThat(follows.failure()).isEqualTo(Kind.RUNTIME);
    assertNothingIsHeld();
  }

  @Test
  void whoWaitsMayBeCancelledAlone() {
    start(COALESCE);
    Asked runs = ask("same");
    Asked follows = askAs("gone", "same");
    batcher.cancel("gone");
    engine.finishAll();
    assertThat(follows.failure()).isEqualTo(Kind.CANCELLED);
    assertThat(runs.succeeded()).isTrue();
    assertNothingIsHeld();
  }

  @Test
  void aNewcomersTextThatIsUnderWayIsRunForBothInItsTurn() {
    start(COALESCE);
    new Asked(model, "a", "a", 10_000, 0, "busy");
    Asked first = new Asked(model, "a", "a", 10_000, 0, "same");
    Asked newcomer = new Asked(model, "b", "b", 10_000, 0, "same");
    engine.finish();
    engine.finish();
    assertThat(first.succeeded() && newcomer.succeeded()).isTrue();
    new Asked(model, "c", "c", 10_000, 0, "same");
    engine.finishAll();
    assertNothingIsHeld();
  }

  @Test
  void nobodyWaitsForTheTurnOfWhoHasThousandsBeforeTheSameText() {
    start(COALESCE.copy().put("max_batch_tokens", 16));
    ask("busy");
    String[] many = new String[1_000];
    Arrays.setAll(many, i -> "%08d".formatted(i));
    new Asked(model, "a", "a", 100_000, 0, many);
    new Asked(model, "b", "b", 100_000, 0, "sooner");
    Asked newcomer = new Asked(model, "c", "c", 100_000, 0, many[998]);
    Asked known = new Asked(model, "b", "b", 100_000, 0, many[999]);
    for (int pass = 0; pass < 6; pass++) {
      engine.finish();
    }
    assertThat(newcomer.succeeded()).isTrue();
    assertThat(known.succeeded()).isTrue();
    engine.finishAll();
    assertNothingIsHeld();
  }

  @Test
  void aNewcomerWhoWaitedForARunInVainIsStillOne() {
    engine = new FakeEngine(2);
    model = loaded("m", ModelType.EMBEDDING);
    start(COALESCE.copy().put("max_batch_tokens", 16));
    new Asked(model, "gone", "a", 100_000, 0, "same");
    new Asked(model, "a", "a", 100_000, 0, "busy");
    for (int i = 0; i < 1_000; i++) {
      new Asked(model, "a", "a", 100_000, 0, "%08d".formatted(i));
    }
    Asked newcomer = new Asked(model, "b", "b", 100_000, 0, "same");
    engine.finish(1);
    engine.finish(1);
    batcher.cancel("gone");
    engine.endCancelled(engine.cancelled.get(0));
    for (int pass = 0; pass < 4; pass++) {
      engine.finish();
    }
    assertThat(newcomer.succeeded()).isTrue();
    engine.finishAll();
    assertNothingIsHeld();
  }

  @Test
  void manyThatWaitForOneTextEndOneByOne() {
    start(COALESCE);
    ask("busy");
    List<Asked> all = new ArrayList<>();
    for (int i = 0; i < 2_000; i++) {
      all.add(askAs("id" + i, "same"));
    }
    for (int i = 0; i < 1_999; i++) {
      batcher.cancel("id" + i);
    }
    engine.finishAll();
    assertThat(all.get(1_999).succeeded()).isTrue();
    assertThat(batcher.stats().coalesced()).isEqualTo(1_999);
    assertNothingIsHeld();
  }

  @Test
  void whoWaitsForATextThatIsHeldUpRunsItItself() {
    start(COALESCE);
    ask("busy");
    Asked held = ask("same");
    Asked follows = ask("same");
    batcher.pause(held.job);
    engine.finishAll();
    assertThat(follows.succeeded()).isTrue();
    batcher.resume(held.job);
    engine.finishAll();
    assertThat(held.succeeded()).isTrue();
    Asked later = ask("same");
    engine.finishAll();
    assertThat(later.succeeded()).isTrue();
    assertNothingIsHeld();
  }

  @Test
  void whoIsHeldUpWhileItWaitsIsAnsweredOnce() {
    start(COALESCE);
    Asked runs = ask("same");
    Asked held = ask("same", "other");
    batcher.pause(held.job);
    batcher.resume(held.job);
    Asked ends = ask("same");
    batcher.pause(ends.job);
    batcher.end(ends.job, RagbusException.of(Kind.CANCELLED, "gone"));
    engine.fail(0, Kind.PYTHON);
    engine.finishAll();
    assertThat(runs.failure()).isEqualTo(Kind.PYTHON);
    assertThat(held.succeeded()).isTrue();
    assertThat(ends.failure()).isEqualTo(Kind.CANCELLED);
    assertNothingIsHeld();
  }

  @Test
  void aTextThatComesAgainNeedsNoLane() {
    start(CACHE);
    ask("same", "other");
    engine.finishAll();
    Asked again = ask("other", "new", "same");
    engine.finishAll();
    Asked wholly = ask("same");
    assertThat(again.succeeded() && wholly.succeeded()).isTrue();
    assertThat(wholly.answers.get(0)).isEqualTo(new Usage(4, List.of()));
    assertThat(passes()).containsExactly(List.of("same", "other"), List.of("new"));
    assertThat(batcher.stats().cached()).isEqualTo(3);
    batcher.clearCache();
    ask("same");
    assertThat(engine.running).as("nothing is known any more").hasSize(1);
    engine.finishAll();
    assertNothingIsHeld();
  }

  @Test
  void whatCouldNotBeComputedIsNotKept() {
    start(CACHE);
    ask("same");
    engine.finishWith(0, new float[] {Float.NaN, 0, 0, 0});
    Asked again = ask("same");
    engine.finishAll();
    assertThat(again.succeeded()).isTrue();
  }

  @Test
  void theCacheIsBoundedInBytes() {
    start(new JsonObject().put("cache_bytes", 2_000));
    for (int i = 0; i < 100; i++) {
      ask("text " + i);
      engine.finishAll();
    }
    int before = engine.forwarded.size();
    for (int i = 0; i < 100; i++) {
      ask("text " + i);
      engine.finishAll();
    }
    assertThat(engine.forwarded.size() - before).isBetween(80, 100);
  }

  /** Whatever happens in whatever order: one right answer each, and no text runs twice at once. */
  @RepeatedTest(10)
  void everyRequestIsAnsweredOnceWhateverHappens(RepetitionInfo repetition) {
    Random random = new Random(repetition.getCurrentRepetition());
    engine = new FakeEngine(1 + random.nextInt(3));
    model = loaded("m", ModelType.EMBEDDING);
    start(repetition.getCurrentRepetition() % 2 == 0 ? COALESCE : COALESCE.copy().mergeIn(CACHE));
    engine.held.add(Held.TOKENIZE);
    List<Asked> all = new ArrayList<>();
    for (int step = 0; step < 4_000; step++) {
      switch (random.nextInt(11)) {
        case 10 -> disturb(all, random);
        case 0, 1, 2 -> {
          String[] texts = new String[1 + random.nextInt(6)];
          Arrays.setAll(
              texts, i -> Character.toString((char) ('a' + random.nextInt(26))).repeat(9));
          String caller = random.nextInt(4) == 0 ? null : "caller" + random.nextInt(30);
          Asked asked =
              new Asked(model, "id" + all.size(), caller, 1 + random.nextInt(500), 0, texts);
          all.add(asked);
          if (random.nextInt(5) == 0) {
            asked.reader = () -> disturb(all, random);
          }
        }
        case 3, 4 -> {
          if (!engine.tokenizing.isEmpty()) {
            engine.finishTokenizing();
          }
        }
        case 5, 6 -> {
          if (!engine.running.isEmpty()) {
            engine.finish(random.nextInt(engine.running.size()));
          }
        }
        case 7 -> {
          if (!engine.running.isEmpty()) {
            Kind kind = random.nextBoolean() ? Kind.PYTHON : Kind.LANE_LOST;
            engine.fail(random.nextInt(engine.running.size()), kind);
          }
        }
        case 8 -> {
          batcher.cancel("id" + (all.size() - random.nextInt(20)));
          batcher.clearCache();
        }
        default -> time.advanceMillis(random.nextInt(20));
      }
      engine.cancelled.stream().filter(engine.running::contains).toList().stream()
          .distinct()
          .forEach(engine::endCancelled);
      engine.cancelled.clear();
      assertThat(engine.running.stream().flatMap(run -> FakeEngine.texts(run.call()).stream()))
          .doesNotHaveDuplicates();
    }
    all.forEach(asked -> asked.reader = () -> {});
    all.forEach(asked -> batcher.resume(asked.job));
    while (!engine.tokenizing.isEmpty() || !engine.running.isEmpty()) {
      if (!engine.tokenizing.isEmpty()) {
        engine.finishTokenizing();
      }
      engine.finishAll();
    }
    assertThat(all).hasSizeGreaterThan(500).allMatch(asked -> asked.answers.size() == 1);
    assertThat(all).filteredOn(Asked::succeeded).hasSizeGreaterThan(100);
    assertThat(batcher.stats().coalesced()).isPositive();
    assertNothingIsHeld();
  }

  /** Holds one of the last requests up, lets it go on, or ends it. */
  private void disturb(List<Asked> all, Random random) {
    if (all.isEmpty()) {
      return;
    }
    Job job = all.get(Math.max(0, all.size() - 1 - random.nextInt(20))).job;
    switch (random.nextInt(5)) {
      case 0, 1 -> batcher.pause(job);
      case 2, 3 -> batcher.resume(job);
      default -> batcher.end(job, RagbusException.of(Kind.CANCELLED, "its reader has gone"));
    }
  }
}
