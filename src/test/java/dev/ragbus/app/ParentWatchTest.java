// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.app;

import static java.util.concurrent.TimeUnit.SECONDS;
import static org.assertj.core.api.Assertions.assertThat;

import io.vertx.core.json.JsonObject;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.OutputStream;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** The application as the worker of a front, which this test is, around a stand-in. */
class ParentWatchTest {
  private static final String INPUT =
      new JsonObject()
              .put(
                  "config", new JsonObject().put("http", new JsonObject().put("host", "localhost")))
              .put("properties", new JsonObject().put("ragbus.http.port", "0"))
              .encode()
          + "\n";

  private Process process;
  private BufferedReader lines;

  private void start() throws IOException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    // The agent that measures coverage, where this JVM has it.
    ManagementFactory.getRuntimeMXBean().getInputArguments().stream()
        .filter(argument -> argument.startsWith("-javaagent:"))
        .forEach(command::add);
    command.add("-D" + ParentWatch.ID_PROPERTY + "=w1.1-ab");
    command.addAll(List.of("-cp", System.getProperty("java.class.path")));
    command.add(FakeMain.class.getName());
    process = new ProcessBuilder(command).redirectErrorStream(true).start();
    lines = process.inputReader();
  }

  private void handOver() throws IOException {
    OutputStream in = process.getOutputStream();
    in.write(INPUT.getBytes(StandardCharsets.UTF_8));
    in.flush();
  }

  private void awaitReady() throws IOException {
    List<String> printed = new ArrayList<>();
    String line = lines.readLine();
    while (line != null && !line.startsWith("Ragbus is ready: ")) {
      printed.add(line);
      line = lines.readLine();
    }
    assertThat(line)
        .as("%s", printed)
        .startsWith("Ragbus is ready: http://localhost:")
        .doesNotContain(":8080");
  }

  private void signal(String name) throws IOException, InterruptedException {
    new ProcessBuilder("kill", "-" + name, Long.toString(process.pid())).start().waitFor();
  }

  private int exitCode() throws InterruptedException {
    assertThat(process.waitFor(60, SECONDS)).isTrue();
    return process.exitValue();
  }

  @AfterEach
  void end() throws InterruptedException {
    process.destroyForcibly().waitFor();
  }

  @Test
  void itServesByWhatTheFrontSaysAndEndsWhenThatIsGone() throws Exception {
    start();
    handOver();
    awaitReady();
    process.getOutputStream().close();

    assertThat(exitCode()).isEqualTo(ParentWatch.ORPHANED);
  }

  @Test
  void aFrontThatIsGoneBeforeItSaidAnythingEndsItToo() throws Exception {
    start();
    process.getOutputStream().close();

    assertThat(exitCode()).isEqualTo(ParentWatch.ORPHANED);
  }

  @Test
  void signalsThatWereMeantForTheFrontAreLeftToThat() throws Exception {
    start();
    handOver();
    awaitReady();
    signal("INT");
    signal("TERM");
    signal("TERM");

    assertThat(exitCode()).isZero();
  }
}
