// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class TimingsTest {
  @Test
  void areWrittenAsServerTimingAndReadBack() {
    Timings timings = new Timings(0.25, 1, 12.5, 14);

    assertThat(timings.header())
        .isEqualTo("queue;dur=0.250, tokenize;dur=1.000, inference;dur=12.500, total;dur=14.000");
    assertThat(Timings.parse(timings.header())).isEqualTo(timings);
    assertThat(new Timings(0.0004, 0.0015, 59_999.9996, 0).header())
        .startsWith("queue;dur=0.000, tokenize;dur=0.002, inference;dur=60000.000, ");
    assertThat(Timings.parse("other;dur=3, total;dur=2")).isEqualTo(new Timings(0, 0, 0, 2));
  }

  @Test
  void addUp() {
    assertThat(new Timings(1, 2, 3, 4).plus(new Timings(10, 20, 30, 40)).withTotalMillis(9))
        .isEqualTo(new Timings(11, 22, 33, 9));
  }
}
