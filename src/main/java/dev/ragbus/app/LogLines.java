// SPDX-License-Identifier: Apache-2.0
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
import java.util.regex.Pattern;

/**
 * One line a record: time, level, the class that logged without its packages, and what it said.
 * What follows in lines of its own, such as a stack trace, is indented, and what could drive a
 * terminal is escaped: no text, whoever chose it, passes for another record.
 */
final class LogLines extends Formatter {
  private static final DateTimeFormatter TIME =
      DateTimeFormatter.ofPattern("HH:mm:ss.SSS").withZone(ZoneId.systemDefault());

  /** What begins each line of a record but its first. */
  private static final String CONTINUED = "    ";

  private static final Pattern END_OF_LINE = Pattern.compile("\\r?\\n");

  /** Escapes to a terminal, ends of lines that are none to us, changes of direction. */
  private static final Set<Integer> UNSEEN =
      Set.of(
          (int) Character.CONTROL,
          (int) Character.FORMAT,
          (int) Character.LINE_SEPARATOR,
          (int) Character.PARAGRAPH_SEPARATOR,
          (int) Character.SURROGATE);

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
    append(line, formatMessage(entry));
    if (entry.getThrown() != null) {
      StringWriter trace = new StringWriter();
      entry.getThrown().printStackTrace(new PrintWriter(trace, true));
      append(line.append(CONTINUED), trace.toString());
    }
    return line.toString();
  }

  private static void append(StringBuilder line, String text) {
    String[] parts = END_OF_LINE.split(text.stripTrailing(), -1);
    for (int i = 0; i < parts.length; i++) {
      line.append(i == 0 ? "" : CONTINUED);
      parts[i].codePoints().forEach(character -> append(line, character));
      line.append(System.lineSeparator());
    }
  }

  private static void append(StringBuilder line, int character) {
    if (character != '\t' && UNSEEN.contains(Character.getType(character))) {
      line.append(String.format("\\u%04x", character));
    } else {
      line.appendCodePoint(character);
    }
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
