package dev.ragbus.examples.search;

import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Reciprocal rank fusion: several rankings of the same things made one, by the sum of {@code 1 /
 * (60 + rank)} over the rankings that have a thing (Cormack, Clarke and Büttcher, SIGIR 2009).
 * Ranks count from 1, so scores of different scales never meet.
 */
final class RankFusion {
  private static final double CONSTANT = 60;

  private RankFusion() {}

  /** The best of all rankings, best first; equal ones in the order they are met. */
  static <T> List<T> fuse(List<List<T>> rankings, int limit) {
    Map<T, Double> sums = new LinkedHashMap<>();
    for (List<T> ranking : rankings) {
      for (int rank = 1; rank <= ranking.size(); rank++) {
        sums.merge(ranking.get(rank - 1), 1 / (CONSTANT + rank), Double::sum);
      }
    }
    return sums.entrySet().stream()
        .sorted(Map.Entry.comparingByValue(Comparator.<Double>reverseOrder()))
        .limit(limit)
        .map(Map.Entry::getKey)
        .toList();
  }
}
