// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.cluster;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.function.LongSupplier;

/**
 * What a process prints: told line by line, at most so many a second, and its end kept. All of it
 * is read, so that the process never waits for a reader. A thread of its own does so, and ends soon
 * after the process.
 */
final class WorkerOutput {
  static final int TAIL_BYTES = 64 * 1024;

  /** A longer line is told in parts. */
  static final int LINE_BYTES = 8 * 1024;

  /** Lines told in a second; of further ones only how many there were. */
  static final int LINES_PER_SECOND = 200;

  /** How long it rests where there was nothing to read. */
  private static final long REST_MILLIS = 20;

  private final Process process;
  private final Consumer<String> lines;
  private final LongSupplier nanos;
  private final CompletableFuture<String> tail = new CompletableFuture<>();
  private final byte[] last = new byte[TAIL_BYTES];
  private final ByteArrayOutputStream line = new ByteArrayOutputStream();
  private long total;
  private long secondBegan;
  private int toldThen;
  private long untold;

  private WorkerOutput(Process process, Consumer<String> lines, LongSupplier nanos) {
    this.process = process;
    this.lines = lines;
    this.nanos = nanos;
    this.secondBegan = nanos.getAsLong();
  }

  /**
   * Begins to read.
   *
   * @param name of the thread
   * @param lines told each line, on that thread
   * @return completes when the process is gone, with the last {@value #TAIL_BYTES} bytes
   */
  static CompletableFuture<String> read(
      Process process, String name, Consumer<String> lines, LongSupplier nanos) {
    WorkerOutput output = new WorkerOutput(process, lines, nanos);
    Thread thread = new Thread(output::run, name);
    thread.setDaemon(true);
    thread.start();
    return output.tail;
  }

  private void run() {
    try {
      readToItsEnd();
    } catch (IOException e) {
      // The process was gone before what it printed could be read.
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    } finally {
      endLine();
      tellUntold();
      tail.complete(tailText());
    }
  }

  /**
   * Never blocks in a read: a process that this one has left behind may hold the pipe open long
   * after.
   */
  private void readToItsEnd() throws IOException, InterruptedException {
    byte[] bytes = new byte[8 * 1024];
    boolean ended = false;
    while (true) {
      int read = readAvailable(bytes);
      if (read > 0) {
        add(bytes, read);
      } else if (ended) {
        return;
      } else {
        // Once more after its end, for what it printed last.
        ended = process.waitFor(REST_MILLIS, TimeUnit.MILLISECONDS);
      }
    }
  }

  private int readAvailable(byte[] bytes) throws IOException {
    InputStream in = process.getInputStream();
    try {
      return readAvailable(in, bytes);
    } catch (IOException e) {
      // Java changes the stream when the process ends.
      return readAvailable(in, bytes);
    }
  }

  private static int readAvailable(InputStream in, byte[] bytes) throws IOException {
    int available = in.available();
    return available > 0 ? in.read(bytes, 0, Math.min(available, bytes.length)) : 0;
  }

  private void add(byte[] bytes, int count) {
    for (int i = 0; i < count; i++) {
      last[(int) (total++ % TAIL_BYTES)] = bytes[i];
      if (bytes[i] == '\n') {
        endLine();
      } else {
        line.write(bytes[i]);
        if (line.size() >= LINE_BYTES) {
          endLine();
        }
      }
    }
  }

  private void endLine() {
    if (line.size() > 0) {
      tell(line.toString(StandardCharsets.UTF_8));
      line.reset();
    }
  }

  private void tell(String text) {
    long now = nanos.getAsLong();
    if (now - secondBegan >= TimeUnit.SECONDS.toNanos(1)) {
      tellUntold();
      secondBegan = now;
      toldThen = 0;
    }
    if (toldThen < LINES_PER_SECOND) {
      toldThen++;
      lines.accept(text.stripTrailing());
    } else {
      untold++;
    }
  }

  private void tellUntold() {
    if (untold > 0) {
      lines.accept("… and " + untold + " lines more");
      untold = 0;
    }
  }

  private String tailText() {
    int size = (int) Math.min(total, TAIL_BYTES);
    byte[] text = new byte[size];
    for (int i = 0; i < size; i++) {
      text[i] = last[(int) ((total - size + i) % TAIL_BYTES)];
    }
    return new String(text, StandardCharsets.UTF_8);
  }
}
