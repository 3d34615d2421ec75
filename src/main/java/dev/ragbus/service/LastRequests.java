// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import dev.ragbus.RagbusException;
import dev.ragbus.RagbusException.Kind;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.function.LongSupplier;

/**
 * What each lane runs, and the requests that came last, by operation and id, never by their texts.
 *
 * <p>Lines of text in one buffer, which is the only state: {@link CrashFile} maps it into a file,
 * so that it is there to be read when the process has crashed. Belongs to the service's event loop.
 */
final class LastRequests {
  /** So many requests are kept. */
  static final int REQUESTS = 256;

  private static final System.Logger LOG = System.getLogger(LastRequests.class.getName());
  private static final int LINE_BYTES = 256;
  private static final int OUTCOME_COLUMN = 140;
  private static final String RUNS = " runs ";
  private static final String UNDER_WAY = "under way";
  private static final DateTimeFormatter SECOND =
      DateTimeFormatter.ofPattern("uuuu-MM-dd'T'HH:mm:ss.").withZone(ZoneOffset.UTC);

  /** The lanes of which it is told what they run. */
  enum Role {
    INFERENCE("inference"),
    FUNCTION("function");

    private final String text;

    Role(String text) {
      this.text = text;
    }
  }

  private final int inferenceLanes;
  private final int lanes;
  private final LongSupplier nanoClock;
  private final long[] begunNanos = new long[REQUESTS];
  private ByteBuffer lines;
  private long count;
  private long epochSecond = Long.MIN_VALUE;
  private String second;

  LastRequests(int inferenceLanes, int functionLanes, LongSupplier nanoClock) {
    this.inferenceLanes = inferenceLanes;
    this.lanes = inferenceLanes + functionLanes;
    this.nanoClock = nanoClock;
    this.lines = ByteBuffer.allocate((lanes + REQUESTS) * LINE_BYTES);
    for (int line = 0; line < lanes + REQUESTS; line++) {
      write(line, 0, "");
    }
  }

  /** Its size, which never changes. */
  int bytes() {
    return lines.capacity();
  }

  /** Goes on in another buffer of its size. */
  void moveTo(ByteBuffer other) {
    other.put(0, lines, 0, lines.capacity());
    lines = other;
  }

  /**
   * A request has come.
   *
   * @return its number here
   */
  long begun(String operation, String requestId) {
    long number = count++;
    begunNanos[slot(number)] = nanoClock.getAsLong();
    int line = lanes + slot(number);
    write(line, 0, "request " + now() + " " + operation + " " + requestId);
    write(line, OUTCOME_COLUMN, UNDER_WAY);
    return number;
  }

  /**
   * A request was answered.
   *
   * @param failure null where it has not failed
   */
  void ended(long number, Kind failure) {
    if (count - number <= REQUESTS) {
      long millis = (nanoClock.getAsLong() - begunNanos[slot(number)]) / 1_000_000;
      String outcome = failure == null ? "answered" : failure.name();
      write(lanes + slot(number), OUTCOME_COLUMN, outcome + " after " + millis + " ms");
    }
  }

  private static int slot(long number) {
    return (int) (number % REQUESTS);
  }

  /** A lane begins to run something for these requests. */
  void runs(Role role, int lane, Collection<String> requestIds) {
    write(
        line(role, lane),
        0,
        "lane " + role.text + "-" + lane + " since " + now() + RUNS + String.join(" ", requestIds));
  }

  /**
   * A lane has ended what it ran; if that was because it was lost, the log is told.
   *
   * @param failure null for none
   */
  void rests(Role role, int lane, Throwable failure) {
    if (failure instanceof RagbusException typed && typed.kind() == Kind.LANE_LOST) {
      log("lane " + role.text + "-" + lane + " was lost");
    }
    write(line(role, lane), 0, "lane " + role.text + "-" + lane + " rests since " + now());
  }

  private int line(Role role, int lane) {
    return role == Role.INFERENCE ? lane : inferenceLanes + lane;
  }

  /** Writes what is under way to the log. */
  void log(String why) {
    LOG.log(
        System.Logger.Level.ERROR,
        why + "; under way, by request id:\n" + String.join("\n", underWay()));
  }

  /** What lanes run and the requests not answered yet, oldest first. */
  List<String> underWay() {
    List<String> found = new ArrayList<>();
    for (int lane = 0; lane < lanes; lane++) {
      String line = read(lane);
      if (line.contains(RUNS)) {
        found.add(line);
      }
    }
    for (long number = Math.max(0, count - REQUESTS); number < count; number++) {
      String line = read(lanes + slot(number));
      if (line.endsWith(UNDER_WAY)) {
        found.add(line);
      }
    }
    return found;
  }

  /** A second's text is kept, since each request has three times: only milliseconds are new. */
  private String now() {
    Instant now = Instant.now();
    if (now.getEpochSecond() != epochSecond) {
      epochSecond = now.getEpochSecond();
      second = SECOND.format(now);
    }
    return second + Integer.toString(1_000 + now.getNano() / 1_000_000).substring(1) + "Z";
  }

  /** Writes the rest of a line; what does not fit is cut. */
  private void write(int line, int column, String text) {
    byte[] bytes = new byte[LINE_BYTES - column];
    java.util.Arrays.fill(bytes, (byte) ' ');
    byte[] ascii = text.getBytes(StandardCharsets.US_ASCII);
    System.arraycopy(ascii, 0, bytes, 0, Math.min(ascii.length, bytes.length - 1));
    bytes[bytes.length - 1] = '\n';
    lines.put(line * LINE_BYTES + column, bytes);
  }

  private String read(int line) {
    byte[] bytes = new byte[LINE_BYTES];
    lines.get(line * LINE_BYTES, bytes);
    return new String(bytes, StandardCharsets.US_ASCII).strip().replaceAll(" +", " ");
  }
}
