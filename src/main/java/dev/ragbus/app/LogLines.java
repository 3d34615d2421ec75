package dev.ragbus.app;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.time.ZoneId;
import java.time.format.DateTimeFormatter;
import java.util.Set;
import java.util.logging.ConsoleHandler;
import java.util.logging.Formatter;
import java.util.logging.Handler;
import java.util.logging.Level;
import java.util.logging.LogRecord;
import java.util.logging.Logger;

/** One line a record: time, level, the class that logged without its packages, and what it said. */
final class LogLines extends Formatter {
  private static final DateTimeFormatter TIME =
      DateTimeFormatter.ofPattern("HH:mm:ss.SSS").withZone(ZoneId.systemDefault());

  /** Whoever sets one of these has configured logging. */
  private static final Set<String> CONFIGURED =
      Set.of(
          "java.util.logging.config.file",
          "java.util.logging.config.class",
          "java.util.logging.SimpleFormatter.format");

  /** Kept, since a logger that nobody holds forgets its level. */
  private static final Logger METERS =
      Logger.getLogger("io.micrometer.core.instrument.MeterRegistry");

  /** Makes the console's records lines, unless the user has configured logging. */
  static void install() {
    if (CONFIGURED.stream().anyMatch(property -> System.getProperty(property) != null)) {
      return;
    }
    // It warns of each gauge that Vert.x registers again, as it does by design.
    METERS.setLevel(Level.SEVERE);
    for (Handler handler : Logger.getLogger("").getHandlers()) {
      if (handler instanceof ConsoleHandler) {
        handler.setFormatter(new LogLines());
      }
    }
  }

  @Override
  public String format(LogRecord entry) {
    StringBuilder line = new StringBuilder(TIME.format(entry.getInstant()));
    line.append(' ').append(level(entry.getLevel())).append(' ').append(source(entry)).append(": ");
    line.append(formatMessage(entry)).append(System.lineSeparator());
    if (entry.getThrown() != null) {
      StringWriter trace = new StringWriter();
      entry.getThrown().printStackTrace(new PrintWriter(trace, true));
      line.append(trace);
    }
    return line.toString();
  }

  private static String level(Level level) {
    if (level.intValue() >= Level.SEVERE.intValue()) {
      return "ERROR";
    }
    if (level.intValue() >= Level.WARNING.intValue()) {
      return "WARN ";
    }
    return level.intValue() >= Level.INFO.intValue() ? "INFO " : "DEBUG";
  }

  private static String source(LogRecord entry) {
    String name = entry.getLoggerName();
    return name == null ? "-" : name.substring(name.lastIndexOf('.') + 1);
  }
}
