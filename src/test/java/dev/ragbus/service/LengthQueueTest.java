// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import static org.assertj.core.api.Assertions.assertThat;

import dev.ragbus.ModelSpec;
import dev.ragbus.ModelType;
import dev.ragbus.python.Engine;
import dev.ragbus.python.Engine.ForwardCall;
import dev.ragbus.python.Engine.TokenRow;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.RepetitionInfo;
import org.junit.jupiter.api.Test;

class LengthQueueTest {
  private static final BatchLimits ONE = new BatchLimits(512, 1);

  private final LengthQueue queue = new LengthQueue();
  private long number;

  private static Job job() {
    return job(FakeEngine.model(1, false));
  }

  private static Job packed() {
    return job(FakeEngine.packing(1, 96));
  }

  private static Job job(Engine.Model engineModel) {
    LoadedModel model = new LoadedModel(ModelSpec.of("m", ModelType.EMBEDDING), engineModel, 0);
    return new Job(
        new Job.Spec(model, null, List.of(), null, false, 0, 1, false, true, 0, true, (t, v) -> {}),
        null,
        new Call("id", 0, null));
  }

  private Row row(Job job, int length, long turn) {
    TokenRow tokens = new TokenRow(new int[length], 0, length, length, 0, true);
    Row row = new Row(job, 0, tokens, turn, number++);
    queue.add(row);
    return row;
  }

  @Test
  void isEmptyAtFirst() {
    assertThat(queue.isEmpty()).isTrue();
    assertThat(queue.first()).isNull();
  }

  @Test
  void theLowestTurnIsFirstWhateverItsLength() {
    row(job(), 5, 20);
    Row first = row(job(), 50, 10);
    row(job(), 2, 30);
    assertThat(queue.first()).isSameAs(first);
    assertThat(queue.take(ONE, queue.first())).containsExactly(first);
    assertThat(queue.isEmpty()).isFalse();
  }

  @Test
  void aBatchIsTakenAroundTheRowThatIsGiven() {
    Row first = row(job(), 9, 1);
    Row given = row(job(), 9, 2);
    assertThat(queue.take(ONE, given)).containsExactly(given);
    assertThat(queue.take(ONE, queue.first())).containsExactly(first);
    assertThat(queue.isEmpty()).isTrue();
  }

  @Test
  void equalTurnsGoInOrderOfArrival() {
    Row first = row(job(), 9, 1);
    row(job(), 3, 1);
    assertThat(queue.first()).isSameAs(first);
  }

  @Test
  void aRowThatIsTakenOutIsNeitherCountedNorTaken() {
    Row gone = row(job(), 5, 1);
    Row left = row(job(), 5, 2);
    assertThat(queue.remove(gone)).isTrue();
    assertThat(queue.remove(gone)).isFalse();
    assertThat(queue.contains(gone)).isFalse();
    assertThat(queue.contains(left)).isTrue();
    assertThat(queue.first()).isSameAs(left);
    assertThat(queue.take(new BatchLimits(512, 32), queue.first())).containsExactly(left);
    assertThat(queue.isEmpty()).isTrue();
  }

  @Test
  void linesAreFilledByTurnThenByWhatFits() {
    BatchLimits limits = new BatchLimits(96, 32);
    Row third = row(packed(), 30, 3);
    Row first = row(packed(), 40, 1);
    Row tooLong = row(packed(), 41, 4);
    Row second = row(packed(), 20, 2);
    Row last = row(packed(), 6, 9);
    row(packed(), 5, 8);
    assertThat(queue.take(limits, queue.first())).containsExactly(first, third, second, last);
    assertThat(queue.first()).isSameAs(tooLong);
  }

  @Test
  void wideLinesAreForRowsThatNeedThem() {
    Job wide = job(FakeEngine.packing(1, 256));
    BatchLimits limits = new BatchLimits(400, 32);
    Row first = row(wide, 200, 1);
    Row next = row(wide, 50, 2);
    Row needs = row(wide, 150, 3);
    assertThat(queue.take(limits, queue.first())).containsExactly(first, needs, next);

    Row narrow = row(wide, 50, 4);
    Row later = row(wide, 97, 5);
    assertThat(queue.take(limits, narrow)).containsExactly(narrow);
    assertThat(queue.first()).isSameAs(later);
  }

  @Test
  void noLineIsWiderThanTheModelsLongestRow() {
    Job small = job(FakeEngine.packing(1, 64));
    Row first = row(small, 40, 1);
    Row third = row(small, 30, 3);
    Row second = row(small, 20, 2);
    assertThat(queue.take(new BatchLimits(96, 32), queue.first())).containsExactly(first, second);
    assertThat(queue.first()).isSameAs(third);
  }

  @Test
  void aRowBeyondTheBudgetHasABatchToItself() {
    Row first = row(packed(), 60, 1);
    Row next = row(packed(), 9, 2);
    BatchLimits limits = new BatchLimits(50, 32);
    assertThat(queue.take(limits, queue.first())).containsExactly(first);
    assertThat(queue.take(limits, queue.first())).containsExactly(next);
  }

  @Test
  void aPackedBatchHasNoMoreRowsThanItMay() {
    IntStream.range(0, 20).forEach(turn -> row(packed(), 2, turn));
    assertThat(queue.take(new BatchLimits(512, 8), queue.first()))
        .extracting(Row::turn)
        .containsExactly(0L, 1L, 2L, 3L, 4L, 5L, 6L, 7L);
  }

  @RepeatedTest(5)
  void packsEachLiveRowOnceAndWithinTheBudget(RepetitionInfo repetition) {
    Random random = new Random(repetition.getCurrentRepetition());
    List<Row> live = new ArrayList<>();
    for (int step = 0; step < 3_000; step++) {
      int choice = random.nextInt(10);
      if (choice < 6) {
        live.add(row(packed(), 1 + random.nextInt(63), random.nextInt(1_000)));
      } else if (choice < 7 && !live.isEmpty()) {
        Row gone = live.remove(random.nextInt(live.size()));
        assertThat(queue.remove(gone)).isTrue();
      } else if (!live.isEmpty()) {
        BatchLimits limits = new BatchLimits(16 + random.nextInt(600), 1 + random.nextInt(40));
        Row first = live.stream().min(Row.BY_TURN).orElseThrow();
        List<Row> taken = queue.take(limits, queue.first());
        assertThat(live).containsAll(taken);
        assertThat(taken).contains(first).doesNotHaveDuplicates();
        assertThat(taken.size()).isLessThanOrEqualTo(limits.maxRows());
        ForwardCall call =
            ForwardCall.of(
                FakeEngine.packing(1, 96), taken.stream().map(Row::tokens).toList(), false);
        assertThat(taken.size() == 1 || call.layout().tokens() <= limits.maxTokens())
            .as("%s of at most %s tokens", call.layout(), limits.maxTokens())
            .isTrue();
        live.removeAll(taken);
      }
      assertThat(queue.isEmpty()).isEqualTo(live.isEmpty());
    }
  }

  @RepeatedTest(5)
  void takesEachLiveRowOnceInOrderOfTurnWithinALength(RepetitionInfo repetition) {
    Random random = new Random(repetition.getCurrentRepetition());
    List<Row> live = new ArrayList<>();
    for (int step = 0; step < 3_000; step++) {
      int choice = random.nextInt(10);
      if (choice < 5) {
        live.add(row(job(), 1 + random.nextInt(40), random.nextInt(1_000)));
      } else if (choice < 7 && !live.isEmpty()) {
        Row gone = live.remove(random.nextInt(live.size()));
        assertThat(queue.remove(gone)).isTrue();
      } else if (!live.isEmpty()) {
        Row first = live.stream().min(Row.BY_TURN).orElseThrow();
        assertThat(queue.first()).isSameAs(first);
        List<Row> taken = queue.take(new BatchLimits(200, 8), queue.first());
        assertThat(live).containsAll(taken);
        assertThat(taken).contains(first).doesNotHaveDuplicates();
        live.removeAll(taken);
        for (Row row : taken) {
          assertThat(live)
              .filteredOn(other -> other.tokens().length() == row.tokens().length())
              .allMatch(other -> Row.BY_TURN.compare(row, other) < 0);
        }
      }
      assertThat(queue.isEmpty()).isEqualTo(live.isEmpty());
    }
  }
}
