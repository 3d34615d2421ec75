// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.time.Duration;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class DurationTextTest {
  @ParameterizedTest
  @CsvSource({
    "30s, 30000000000, 30s",
    "0.5ms, 500000, 500us",
    "5m, 300000000000, 5m",
    "60s, 60000000000, 1m",
    "1h, 3600000000000, 1h",
    "90 s, 90000000000, 90s",
    "1.5h, 5400000000000, 90m",
    "7ns, 7, 7ns",
    "250us, 250000, 250us",
    "0s, 0, 0ns",
  })
  void reads_and_writes(String text, long nanos, String written) {
    Duration duration = DurationText.parse(text);
    assertThat(duration).isEqualTo(Duration.ofNanos(nanos));
    assertThat(DurationText.format(duration)).isEqualTo(written);
    assertThat(DurationText.parse(written)).isEqualTo(duration);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "30",
        "s",
        "-1s",
        "1d",
        "1 minute",
        "1,5s",
        "PT30S",
        "0.5ns",
        "1e3s",
        "9999999999999h",
        "1S",
        "NaNs"
      })
  void refuses(String text) {
    assertThatThrownBy(() -> DurationText.parse(text))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("'" + text + "'");
  }
}
