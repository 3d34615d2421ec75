// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import org.junit.jupiter.api.Test;

class SparseEmbeddingsTest {
  private static final Usage USAGE = new Usage(3, List.of());
  private static final SparseEmbeddings MADE =
      new SparseEmbeddings(
          new int[] {2, 2, 5},
          new int[] {1, 4, 0, 4, 9},
          new float[] {2, 3, 1, 0.5f, 7},
          "m",
          10,
          USAGE);

  @Test
  void eachVectorHasItsOwn() {
    assertThat(MADE.count()).isEqualTo(3);
    assertThat(MADE.indices(0)).containsExactly(1, 4);
    assertThat(MADE.values(0)).containsExactly(2, 3);
    assertThat(MADE.indices(1)).isEmpty();
    assertThat(MADE.values(2)).containsExactly(1, 0.5f, 7);
    assertThatThrownBy(() -> MADE.values(3)).isInstanceOf(IndexOutOfBoundsException.class);
  }

  @Test
  void theDotProductIsOfWhatBothHave() {
    assertThat(MADE.dot(0, 2)).isEqualTo(1.5);
    assertThat(MADE.dot(2, 0)).isEqualTo(1.5);
    assertThat(MADE.dot(0, 0)).isEqualTo(13);
    assertThat(MADE.dot(0, 1)).isZero();
  }

  @Test
  void jsonHasRowsOfIndicesAndValues() {
    assertThat(MADE.toJson().encode())
        .isEqualTo(
            "{\"embeddings\":[{\"indices\":[1,4],\"values\":[2.0,3.0]},"
                + "{\"indices\":[],\"values\":[]},"
                + "{\"indices\":[0,4,9],\"values\":[1.0,0.5,7.0]}],"
                + "\"model\":\"m\",\"dimensions\":10,\"count\":3,"
                + "\"usage\":{\"prompt_tokens\":3,\"truncated\":[]}}");
  }

  @Test
  void partsThatDoNotFitAreRefused() {
    int[] one = {0};
    float[] value = {1};
    assertThatThrownBy(() -> new SparseEmbeddings(new int[] {2}, one, value, "m", 9, USAGE))
        .hasMessage("1 indices and 1 values are not 2");
    assertThatThrownBy(() -> new SparseEmbeddings(new int[] {1, 0}, one, value, "m", 9, USAGE))
        .hasMessage("a vector ends at 0, before it starts");
    assertThatThrownBy(() -> new SparseEmbeddings(one, one, value, "m", 9, USAGE))
        .hasMessage("1 indices and 1 values are not 0");
  }
}
