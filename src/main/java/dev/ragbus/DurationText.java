// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.databind.DeserializationContext;
import com.fasterxml.jackson.databind.Module;
import com.fasterxml.jackson.databind.SerializerProvider;
import com.fasterxml.jackson.databind.deser.std.StdScalarDeserializer;
import com.fasterxml.jackson.databind.module.SimpleModule;
import com.fasterxml.jackson.databind.ser.std.StdScalarSerializer;
import java.io.IOException;
import java.math.BigDecimal;
import java.math.RoundingMode;
import java.time.Duration;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Durations as a number and a unit: {@code "0.5ms"}, {@code "30s"}, {@code "5m"}, {@code "1h"}. */
final class DurationText {
  /** What a duration looks like, for messages. */
  static final String ALLOWED = "a number and a unit of ns, us, ms, s, m or h, such as \"30s\"";

  private static final Pattern PATTERN =
      Pattern.compile("(\\d{1,18}(?:\\.\\d{1,9})?) *(ns|us|ms|s|m|h)");

  /** Longest first, so that a duration is written in the first of these that divides it. */
  private enum Unit {
    H(3_600_000_000_000L),
    M(60_000_000_000L),
    S(1_000_000_000L),
    MS(1_000_000L),
    US(1_000L),
    NS(1L);

    private final long nanos;

    Unit(long nanos) {
      this.nanos = nanos;
    }

    private String text() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  private DurationText() {}

  /**
   * Reads a duration.
   *
   * @throws IllegalArgumentException if it is none, is finer than a nanosecond or longer than 292
   *     years
   */
  static Duration parse(String text) {
    Matcher matcher = PATTERN.matcher(text.trim());
    if (!matcher.matches()) {
      throw new IllegalArgumentException("'" + text + "' is not " + ALLOWED);
    }
    Unit unit = Unit.valueOf(matcher.group(2).toUpperCase(Locale.ROOT));
    BigDecimal nanos = new BigDecimal(matcher.group(1)).multiply(BigDecimal.valueOf(unit.nanos));
    try {
      return Duration.ofNanos(nanos.setScale(0, RoundingMode.UNNECESSARY).longValueExact());
    } catch (ArithmeticException e) {
      throw new IllegalArgumentException("'" + text + "' is too long or too fine a duration", e);
    }
  }

  /** Writes a duration in the largest unit that gives a whole number. */
  static String format(Duration duration) {
    long nanos = duration.toNanos();
    Unit largest = Unit.NS;
    for (Unit unit : Unit.values()) {
      if (nanos != 0 && nanos % unit.nanos == 0) {
        largest = unit;
        break;
      }
    }
    return nanos / largest.nanos + largest.text();
  }

  /** Teaches Jackson these durations. */
  static Module module() {
    return new SimpleModule("durations")
        .addDeserializer(Duration.class, new Reader())
        .addSerializer(Duration.class, new Writer());
  }

  private static final class Reader extends StdScalarDeserializer<Duration> {
    private static final long serialVersionUID = 1L;

    Reader() {
      super(Duration.class);
    }

    @Override
    public Duration deserialize(JsonParser parser, DeserializationContext context)
        throws IOException {
      if (!parser.hasToken(JsonToken.VALUE_STRING)) {
        return (Duration) context.handleUnexpectedToken(Duration.class, parser);
      }
      try {
        return parse(parser.getText());
      } catch (IllegalArgumentException e) {
        return (Duration)
            context.handleWeirdStringValue(Duration.class, parser.getText(), "%s", e.getMessage());
      }
    }
  }

  private static final class Writer extends StdScalarSerializer<Duration> {
    private static final long serialVersionUID = 1L;

    Writer() {
      super(Duration.class);
    }

    @Override
    public void serialize(Duration value, JsonGenerator generator, SerializerProvider provider)
        throws IOException {
      generator.writeString(format(value));
    }
  }
}
