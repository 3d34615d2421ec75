package dev.ragbus.examples.search;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.junit.jupiter.api.Test;

class RankFusionTest {
  @Test
  void whatBothRankHighIsFirst() {
    assertThat(RankFusion.fuse(List.of(List.of("a", "b", "c"), List.of("c", "b", "d")), 10))
        .containsExactly("c", "b", "a", "d");
  }

  @Test
  void equalOnesKeepTheirOrderAndTheLimitHolds() {
    assertThat(RankFusion.fuse(List.of(List.of("a", "b"), List.of("b", "a"), List.of("c")), 2))
        .containsExactly("a", "b");
    assertThat(RankFusion.fuse(List.of(List.of(), List.of("x")), 5)).containsExactly("x");
    assertThat(RankFusion.<String>fuse(List.of(), 5)).isEmpty();
  }
}
