// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.app;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.util.List;
import java.util.logging.Level;
import java.util.logging.LogRecord;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class LogLinesTest {
  private static LogRecord entry(Level level, String message) {
    LogRecord entry = new LogRecord(level, message);
    entry.setLoggerName("dev.ragbus.service.RagbusVerticle");
    return entry;
  }

  @ParameterizedTest
  @CsvSource({"SEVERE, ERROR", "WARNING, 'WARN '", "INFO, 'INFO '", "FINE, DEBUG"})
  void a_record_is_a_line(String level, String shown) {
    LogRecord entry = entry(Level.parse(level), "{0} is ready");
    entry.setParameters(new Object[] {"lane 1"});
    assertThat(new LogLines().format(entry))
        .matches("\\d\\d:\\d\\d:\\d\\d\\.\\d{3} " + shown + " RagbusVerticle: lane 1 is ready\\R");
  }

  @Test
  void what_was_thrown_comes_after_it() {
    LogRecord entry = entry(Level.SEVERE, "broken");
    entry.setLoggerName(null);
    entry.setThrown(new IllegalStateException("why"));
    assertThat(new LogLines().format(entry))
        .contains("ERROR -: broken")
        .contains("java.lang.IllegalStateException: why")
        .contains("at dev.ragbus.app.LogLinesTest");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"\n", "\r\n", "\r", "\u0085", "\u2028", "\u001b[2K\u001b[G", "\u009b2K", "\b"})
  void no_text_passes_for_another_record(String end) {
    String forged = "x" + end + "12:00:00.000 INFO  Main: all is well";
    LogRecord entry = entry(Level.WARNING, "{0} is no model");
    entry.setParameters(new Object[] {forged});
    entry.setThrown(new IllegalStateException(forged, new IOException(forged)));
    String shown = new LogLines().format(entry);
    List<String> lines = shown.lines().toList();
    assertThat(lines.get(0)).contains(" WARN  RagbusVerticle: x");
    assertThat(lines.subList(1, lines.size())).isNotEmpty().allMatch(it -> it.startsWith("    "));
    assertThat(shown.replaceAll("[\\n\\t]", "")).matches("[\\x20-\\x7e]*");
  }

  @Test
  void what_is_written_in_any_language_stays() {
    assertThat(new LogLines().format(entry(Level.INFO, "caf\u00e9 \u65e5\u672c \ud83d\ude00")))
        .contains("caf\u00e9 \u65e5\u672c \ud83d\ude00");
  }
}
