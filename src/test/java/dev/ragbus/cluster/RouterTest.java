// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.cluster;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.RepetitionInfo;
import org.junit.jupiter.api.Test;

class RouterTest {
  private static final int CHOICES = 1_000;

  private final Router router = new Router(new Random(1));

  private record Worker(String name, double waitSeconds, double tokensPerSecond, boolean known)
      implements Router.Candidate {}

  private static Worker waiting(String name, double waitSeconds) {
    return new Worker(name, waitSeconds, 100, true);
  }

  private static Worker unknown(String name) {
    return new Worker(name, 0, 100, false);
  }

  /** How often each was chosen. */
  private Map<Worker, Integer> choose(List<Worker> workers, Worker near) {
    Map<Worker, Integer> chosen = new HashMap<>();
    for (int i = 0; i < CHOICES; i++) {
      chosen.merge(router.choose(workers, near), 1, Integer::sum);
    }
    return chosen;
  }

  @Test
  void theOnlyOneIsChosen() {
    assertThat(choose(List.of(waiting("a", 9)), null)).hasSize(1);
    assertThat(choose(List.of(unknown("a")), null)).hasSize(1);
  }

  @Test
  void ofTwoTheOneWithLessBeforeItIsChosen() {
    Worker less = waiting("less", 1);

    assertThat(choose(List.of(waiting("more", 1.1), less), null)).containsOnlyKeys(less);
  }

  @Test
  void ofTwoAlikeEachIsChosenAsOften() {
    List<Worker> workers = List.of(waiting("a", 1), waiting("b", 1));

    assertThat(choose(workers, null)).hasSize(2).allSatisfy((worker, times) -> isAbout(500, times));
  }

  @Test
  void ofTwoWithAsMuchBeforeThemTheFasterIsChosen() {
    Worker fast = new Worker("fast", 0, 101, true);

    assertThat(choose(List.of(waiting("slow", 0), fast), null)).containsOnlyKeys(fast);
    assertThat(choose(List.of(fast, waiting("slow", 0)), null)).containsOnlyKeys(fast);
  }

  @Test
  void oneIsDrawnAsOftenAsItIsFast() {
    List<Worker> workers = new ArrayList<>();
    for (int i = 0; i < 9; i++) {
      workers.add(waiting("slow " + i, 1));
    }
    Worker fast = new Worker("fast", 0, 2_000, true);
    workers.add(fast);

    // Drawn first 20 times in 29, else second 20 times in 28. Drawn alike it would be 200 in all.
    isAbout(911, choose(workers, null).get(fast));
  }

  @Test
  void theNearOneIsOneOfTheTwo() {
    Worker near = waiting("near", 2);
    Worker less = waiting("less", 1);
    Worker as = waiting("as much", 2);
    Worker more = waiting("more", 3);

    Map<Worker, Integer> chosen = choose(List.of(less, as, near, more), near);

    assertThat(chosen).containsOnlyKeys(less, near);
    isAbout(333, chosen.get(less));
  }

  @Test
  void unknownOnesTakeTurns() {
    List<Worker> workers = List.of(unknown("a"), unknown("b"), unknown("c"), unknown("d"));

    assertThat(choose(workers, null)).hasSize(4).allSatisfy((worker, times) -> isTheSame(times));
    assertThat(choose(workers, workers.get(1))).hasSize(4);
  }

  private static void isTheSame(int times) {
    assertThat(times).isEqualTo(CHOICES / 4);
  }

  @Test
  void unknownOnesGetNothingWhileOthersAreKnown() {
    Worker known = waiting("known", 100);
    List<Worker> workers = List.of(unknown("a"), known, unknown("b"));

    assertThat(choose(workers, null)).containsOnlyKeys(known);
    assertThat(choose(workers, workers.get(0))).containsOnlyKeys(known);
  }

  @RepeatedTest(20)
  void everyoneIsReachedButTheOneWithMost(RepetitionInfo repetition) {
    Random random = new Random(repetition.getCurrentRepetition());
    List<Worker> workers = new ArrayList<>();
    int count = 2 + random.nextInt(8);
    for (int i = 0; i < count; i++) {
      workers.add(new Worker("w" + i, random.nextDouble(), 50 + random.nextInt(100), true));
    }
    Worker most = Collections.max(workers, Comparator.comparingDouble(Worker::waitSeconds));
    List<Worker> others = new ArrayList<>(workers);
    others.remove(most);

    assertThat(choose(workers, null)).containsOnlyKeys(others.toArray(Worker[]::new));
  }

  private static void isAbout(int expected, int times) {
    assertThat(times).isBetween(expected - 60, expected + 60);
  }
}
