package dev.ragbus.app;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.logging.Level;
import java.util.logging.LogRecord;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

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
}
