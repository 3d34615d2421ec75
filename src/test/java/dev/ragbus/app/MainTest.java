// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.app;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.BufferedReader;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The application in a process of its own, around a stand-in for the service. */
class MainTest {
  private static final Pattern READY =
      Pattern.compile(
          "Ragbus is ready: (http://127\\.0\\.0\\.1:\\d+) \\(embedding fake, reranker fake\\)");

  @TempDir private Path folder;
  private Process process;

  @AfterEach
  void end() throws InterruptedException {
    if (process != null && process.isAlive()) {
      process.destroyForcibly().waitFor();
    }
  }

  private void start(List<String> jvmArguments, String... arguments) throws IOException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    // The agent that measures coverage, where this JVM has it.
    ManagementFactory.getRuntimeMXBean().getInputArguments().stream()
        .filter(argument -> argument.startsWith("-javaagent:"))
        .forEach(command::add);
    command.addAll(jvmArguments);
    command.addAll(List.of("-cp", System.getProperty("java.class.path")));
    command.add(FakeMain.class.getName());
    command.addAll(List.of(arguments));
    process = new ProcessBuilder(command).directory(folder.toFile()).start();
  }

  private List<String> errors() throws IOException {
    try (BufferedReader lines = process.errorReader()) {
      return lines.lines().filter(line -> !line.startsWith("SLF4J")).collect(Collectors.toList());
    }
  }

  private URI ready() throws IOException {
    String line = process.inputReader().readLine();
    Matcher matcher = READY.matcher(String.valueOf(line));
    assertThat(matcher.matches()).as("%s %s", line, line == null ? errors() : "").isTrue();
    return URI.create(matcher.group(1));
  }

  private int exitCode() throws InterruptedException {
    assertThat(process.waitFor(20, TimeUnit.SECONDS)).isTrue();
    return process.exitValue();
  }

  private void signal(String name) throws IOException, InterruptedException {
    new ProcessBuilder("kill", "-" + name, Long.toString(process.pid())).start().waitFor();
  }

  private static HttpRequest embed(URI address, String text) {
    return HttpRequest.newBuilder(address.resolve("/v1/embeddings"))
        .version(HttpClient.Version.HTTP_1_1)
        .header("Content-Type", "application/json")
        .POST(HttpRequest.BodyPublishers.ofString("{\"input\": \"" + text + "\"}"))
        .build();
  }

  private static final HttpClient CLIENT = HttpClient.newHttpClient();

  @ParameterizedTest
  @ValueSource(strings = {"TERM", "INT"})
  void it_serves_until_a_signal_and_exits_with_0(String signal) throws Exception {
    start(List.of("-Dragbus.http.port=0"));
    URI address = ready();
    HttpResponse<String> answer =
        CLIENT.send(embed(address, "abc"), HttpResponse.BodyHandlers.ofString());
    assertThat(answer.statusCode()).isEqualTo(200);
    HttpRequest scrape = HttpRequest.newBuilder(address.resolve("/metrics")).build();
    assertThat(CLIENT.send(scrape, HttpResponse.BodyHandlers.ofString()).body())
        .contains("vertx_eventbus_processed_total{address=\"rag.embed\"");
    signal(signal);
    assertThat(exitCode()).isZero();
    assertThat(errors()).isEmpty();
  }

  @Test
  void it_reads_conf_ragbus_toml_and_the_file_that_is_named() throws Exception {
    Files.createDirectory(folder.resolve("conf"));
    Files.writeString(folder.resolve("conf/ragbus.toml"), "[http]\nport = 70000\n");
    start(List.of());
    assertThat(exitCode()).isEqualTo(1);
    assertThat(errors())
        .containsExactly("Ragbus did not start: http.port must be between 0 and 65535, not 70000");

    Files.writeString(folder.resolve("other.toml"), "[http]\nport = 0\n");
    start(List.of("-Dragbus.config=other.toml"));
    ready();
    signal("TERM");
    assertThat(exitCode()).isZero();
  }

  @Test
  void a_second_signal_ends_it_at_once() throws Exception {
    start(List.of("-Dragbus.http.port=0", "-Dragbus.lanes.drain_timeout=1h"));
    URI address = ready();
    CompletableFuture<HttpResponse<String>> held =
        CLIENT.sendAsync(embed(address, "hold"), HttpResponse.BodyHandlers.ofString());
    Awaitility.await()
        .until(
            () ->
                CLIENT
                    .send(
                        HttpRequest.newBuilder(address.resolve("/metrics")).build(),
                        HttpResponse.BodyHandlers.ofString())
                    .body()
                    .lines()
                    .anyMatch(
                        line ->
                            line.startsWith("vertx_http_server_active_requests{")
                                && line.contains("method=\"POST\"")
                                && line.endsWith(" 1.0")));
    signal("TERM");
    Awaitility.await().until(() -> readiness(address) == 503);
    assertThat(process.isAlive()).isTrue();
    signal("TERM");
    assertThat(exitCode()).isEqualTo(143);
    assertThat(held).failsWithin(Duration.ofSeconds(10));
  }

  private static int readiness(URI address) throws Exception {
    HttpRequest request = HttpRequest.newBuilder(address.resolve("/health/ready")).build();
    return CLIENT.send(request, HttpResponse.BodyHandlers.discarding()).statusCode();
  }

  @Test
  void what_does_not_start_is_told_in_one_line() throws Exception {
    start(List.of("-Dragbus.http.prot=0"));
    assertThat(exitCode()).isEqualTo(1);
    assertThat(errors())
        .containsExactly(
            "Ragbus did not start: ragbus.http.prot (= 0) is not an option; did you mean"
                + " ragbus.http.port?");

    start(List.of("-Dragbus.config=nowhere.toml"));
    assertThat(exitCode()).isEqualTo(1);
    assertThat(errors())
        .containsExactly(
            "Ragbus did not start: the configuration file nowhere.toml does not exist");

    Files.writeString(folder.resolve("broken.toml"), "[http\nport = 1\n");
    start(List.of("-Dragbus.config=broken.toml"));
    assertThat(exitCode()).isEqualTo(1);
    assertThat(errors())
        .singleElement()
        .asString()
        .contains("broken.toml is not TOML at line 1, column");

    start(List.of("-Dragbus.http.port=0"), "no.such.Verticle");
    assertThat(exitCode()).isEqualTo(1);
    assertThat(errors())
        .containsExactly("Ragbus did not start: no.such.Verticle is not on the class path");
  }

  @Test
  void a_port_that_is_taken_is_told_in_one_line() throws Exception {
    try (ServerSocket taken =
        new ServerSocket(0, 1, InetAddress.getByAddress(new byte[] {127, 0, 0, 1}))) {
      start(List.of("-Dragbus.http.port=" + taken.getLocalPort()));
      assertThat(exitCode()).isEqualTo(1);
      assertThat(errors())
          .singleElement()
          .asString()
          .startsWith(
              "Ragbus did not start: cannot listen on 127.0.0.1:" + taken.getLocalPort() + ": ");
    }
  }
}
