// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.python.environment;

import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.function.Predicate;

/**
 * One child process, run to its end: no input, both outputs read together line by line, ended with
 * all its descendants when the limit passes, the calling thread is interrupted or this JVM shuts
 * down.
 */
record Command(List<String> words, Map<String, String> variables, Path folder, Duration limit) {
  private static final int TAIL_LINES = 40;

  /** How a process ended; {@code tail} is the last lines that it printed. */
  record Outcome(int exitCode, boolean timedOut, List<String> tail) {
    boolean succeeded() {
      return exitCode == 0 && !timedOut;
    }

    boolean printed(Predicate<String> wanted) {
      return tail.stream().anyMatch(wanted);
    }
  }

  /**
   * Runs it and blocks until it ends.
   *
   * @param onLine told each line of output, on another thread
   * @throws IOException if it cannot be started
   */
  Outcome run(Consumer<String> onLine) throws IOException {
    var builder = new ProcessBuilder(words).redirectErrorStream(true).directory(folder.toFile());
    builder.redirectInput(ProcessBuilder.Redirect.from(new File("/dev/null")));
    builder.environment().clear();
    builder.environment().putAll(variables);
    Process process = builder.start();
    var hook = new Thread(() -> destroy(process));
    try {
      Runtime.getRuntime().addShutdownHook(hook);
      return await(process, onLine);
    } finally {
      destroy(process);
      forget(hook);
    }
  }

  private Outcome await(Process process, Consumer<String> onLine) {
    Deque<String> tail = new ArrayDeque<>();
    var reader = new Thread(() -> read(process, tail, onLine), "ragbus-child-output");
    reader.setDaemon(true);
    reader.start();
    try {
      boolean ended = process.waitFor(limit.toMillis(), TimeUnit.MILLISECONDS);
      if (!ended) {
        destroy(process);
      }
      // A descendant that was left behind may hold the pipe open for ever.
      reader.join(2_000);
      synchronized (tail) {
        return new Outcome(ended ? process.exitValue() : -1, !ended, List.copyOf(tail));
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new PythonEnvironmentException("Interrupted while running " + words.get(0), e);
    }
  }

  private static void read(Process process, Deque<String> tail, Consumer<String> onLine) {
    try (var lines = new BufferedReader(process.inputReader(StandardCharsets.UTF_8))) {
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        synchronized (tail) {
          tail.addLast(line);
          if (tail.size() > TAIL_LINES) {
            tail.removeFirst();
          }
        }
        onLine.accept(line);
      }
    } catch (IOException e) {
      // The process was destroyed: what it printed until then is all there is.
    }
  }

  private static void destroy(Process process) {
    process.descendants().forEach(ProcessHandle::destroyForcibly);
    process.destroyForcibly();
  }

  private static void forget(Thread hook) {
    try {
      Runtime.getRuntime().removeShutdownHook(hook);
    } catch (IllegalStateException e) {
      // The JVM is shutting down, and the hook runs or has run.
    }
  }
}
