// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.app;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.management.ManagementFactory;
import java.net.URI;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** The application in a process of its own. */
final class RagbusProcess implements AutoCloseable {
  private static final String READY = "Ragbus is ready: ";

  private final List<String> output = new CopyOnWriteArrayList<>();
  private final CompletableFuture<String> ready = new CompletableFuture<>();
  private final Process process;

  private RagbusProcess(Process process) {
    this.process = process;
    Thread reader = new Thread(this::read, "ragbus-process-output");
    reader.setDaemon(true);
    reader.start();
  }

  /** Starts it with options such as {@code http.port=0}, off line. */
  static RagbusProcess start(List<String> before, String... options) throws IOException {
    List<String> command = new ArrayList<>(before);
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    // The agent that measures coverage, where this JVM has it.
    ManagementFactory.getRuntimeMXBean().getInputArguments().stream()
        .filter(argument -> argument.startsWith("-javaagent:"))
        .forEach(command::add);
    command.addAll(List.of("-Xmx256m", "-Dragbus.models.offline=true", "-Dragbus.http.port=0"));
    for (String option : options) {
      command.add("-Dragbus." + option);
    }
    command.addAll(List.of("-cp", System.getProperty("java.class.path"), Main.class.getName()));
    return new RagbusProcess(new ProcessBuilder(command).redirectErrorStream(true).start());
  }

  private void read() {
    try (BufferedReader lines = process.inputReader()) {
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        output.add(line);
        if (line.startsWith(READY)) {
          ready.complete(line.substring(READY.length()));
        }
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } finally {
      ready.completeExceptionally(new IllegalStateException("ended: " + output));
    }
  }

  /** Waits until it says that it is ready, and tells what it says of itself. */
  String ready() throws InterruptedException, ExecutionException, TimeoutException {
    try {
      return ready.get(120, TimeUnit.SECONDS);
    } catch (TimeoutException e) {
      throw new AssertionError("not ready: " + output, e);
    }
  }

  /** Where it serves HTTP. */
  URI address() throws InterruptedException, ExecutionException, TimeoutException {
    return URI.create(ready().split(" ", 2)[0]);
  }

  /** Sends it a signal, such as {@code TERM}. */
  void signal(String name) throws IOException, InterruptedException {
    new ProcessBuilder("kill", "-" + name, Long.toString(process.pid())).start().waitFor();
  }

  /** Its exit code, if it ends in time. */
  int exitCode(Duration within) throws InterruptedException {
    assertThat(process.waitFor(within.toMillis(), TimeUnit.MILLISECONDS)).as("%s", output).isTrue();
    return process.exitValue();
  }

  /** What it has printed. */
  List<String> output() {
    return output;
  }

  long pid() {
    return process.pid();
  }

  @Override
  public void close() {
    process.destroyForcibly();
  }
}
