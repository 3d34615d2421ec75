// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.app;

import static java.util.concurrent.TimeUnit.MILLISECONDS;
import static java.util.concurrent.TimeUnit.SECONDS;
import static org.assertj.core.api.Assertions.assertThat;

import dev.ragbus.Await;
import dev.ragbus.python.environment.TestPython;
import io.vertx.core.Context;
import io.vertx.core.Future;
import io.vertx.core.Promise;
import io.vertx.core.Vertx;
import io.vertx.core.http.HttpClientAgent;
import io.vertx.core.http.HttpMethod;
import io.vertx.core.http.PoolOptions;
import io.vertx.core.http.RequestOptions;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.management.ManagementFactory;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeoutException;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Signals to real processes: the application under load or with stuck Python, and a library user.
 */
class ShutdownIT {
  private static final String READY = "Ragbus is ready: ";

  /** What was sent so long before the signal has been accepted by then, on a slow machine too. */
  private static final long SURELY_ACCEPTED_MILLIS = 300;

  private static final int LONG_MILLIS = 60_000;

  @TempDir private Path folder;
  private final List<String> output = new CopyOnWriteArrayList<>();
  private final CompletableFuture<URI> address = new CompletableFuture<>();
  private Vertx vertx;
  private Process process;

  @BeforeAll
  static void environmentIsReady() {
    TestPython.environment();
  }

  @BeforeEach
  void functions() throws IOException {
    vertx = Vertx.vertx();
    Files.writeString(
        folder.resolve("functions.py"),
        """
        import re
        import time


        def nap(seconds: float) -> str:
            time.sleep(seconds)
            return "rested"


        def stuck() -> bool:
            # In C, with the interpreter lock, for longer than anybody waits.
            return re.match("(a+)+$", "a" * 64 + "b") is None
        """);
  }

  @AfterEach
  void end() throws InterruptedException {
    if (process != null && process.isAlive()) {
      process.destroyForcibly().waitFor();
    }
    Await.result(vertx.close());
  }

  private void start(String mainClass, String... options) throws IOException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    // The agent that measures coverage, where this JVM has it.
    ManagementFactory.getRuntimeMXBean().getInputArguments().stream()
        .filter(argument -> argument.startsWith("-javaagent:"))
        .forEach(command::add);
    command.addAll(List.of("-Dragbus.http.port=0", "-Dragbus.models.offline=true", "-Xmx256m"));
    command.add("-Dragbus.functions.dir=" + folder);
    command.addAll(List.of(options));
    command.addAll(List.of("-cp", System.getProperty("java.class.path"), mainClass));
    process = new ProcessBuilder(command).redirectErrorStream(true).start();
    Thread reader = new Thread(this::read, "application-output");
    reader.setDaemon(true);
    reader.start();
  }

  private void startApplication(String... options) throws IOException {
    start(Main.class.getName(), options);
  }

  private void read() {
    try (BufferedReader lines = process.inputReader()) {
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        output.add(line);
        if (line.startsWith(READY)) {
          address.complete(URI.create(line.substring(READY.length()).split(" ", 2)[0]));
        }
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private URI address() throws InterruptedException, ExecutionException, TimeoutException {
    return address.get(120, SECONDS);
  }

  private void signal(String name) throws IOException, InterruptedException {
    new ProcessBuilder("kill", "-" + name, Long.toString(process.pid())).start().waitFor();
  }

  private int exitCode(Duration within) throws InterruptedException {
    assertThat(process.waitFor(within.toMillis(), MILLISECONDS)).as("%s", output).isTrue();
    return process.exitValue();
  }

  private record Outcome(long sentMillis, int status, JsonObject body, String connection) {}

  private Future<Outcome> post(HttpClientAgent client, String path, JsonObject body) {
    URI to = address.join();
    long sentMillis = System.currentTimeMillis();
    RequestOptions request =
        new RequestOptions()
            .setMethod(HttpMethod.POST)
            .setHost(to.getHost())
            .setPort(to.getPort())
            .setURI(path)
            .putHeader("Content-Type", "application/json");
    return client
        .request(request)
        .compose(made -> made.send(body.toBuffer()))
        .compose(
            response ->
                response
                    .body()
                    .map(
                        bytes ->
                            new Outcome(
                                sentMillis,
                                response.statusCode(),
                                bytes.toJsonObject(),
                                response.getHeader("Connection"))))
        // No answer: refused, or closed.
        .otherwise(failure -> new Outcome(sentMillis, 0, null, null));
  }

  private Future<Outcome> call(HttpClientAgent client, String function, Object... arguments) {
    JsonObject body =
        new JsonObject().put("name", function).put("args", new JsonArray(List.of(arguments)));
    return post(client, "/v1/ragbus/functions/call", body);
  }

  /** Asks again and again until nobody answers. */
  private Future<Void> load(HttpClientAgent client, int number, Queue<Outcome> outcomes) {
    Promise<Void> done = Promise.promise();
    Context context = vertx.getOrCreateContext();
    context.runOnContext(v -> next(context, client, number, outcomes, done));
    return done.future();
  }

  private void next(
      Context context,
      HttpClientAgent client,
      int number,
      Queue<Outcome> outcomes,
      Promise<Void> done) {
    JsonObject texts =
        new JsonObject()
            .put("input", new JsonArray(Collections.nCopies(4, "some words ".repeat(60))));
    Future<Outcome> answer =
        number % 4 == 0 ? call(client, "nap", 0.1) : post(client, "/v1/embeddings", texts);
    answer.onSuccess(
        outcome -> {
          outcomes.add(outcome);
          if (outcome.status == 0) {
            done.complete();
          } else {
            context.runOnContext(v -> next(context, client, number, outcomes, done));
          }
        });
  }

  @Test
  void underLoadWhatWasAcceptedIsAnsweredAndItExitsWith0() throws Exception {
    startApplication("-Dragbus.lanes.drain_timeout=30s");
    address();
    int clients = 32;
    HttpClientAgent client = vertx.createHttpClient(new PoolOptions().setHttp1MaxSize(clients));
    Queue<Outcome> outcomes = new ConcurrentLinkedQueue<>();
    List<Future<Void>> loops = new ArrayList<>();
    for (int i = 0; i < clients; i++) {
      loops.add(load(client, i, outcomes));
    }
    Awaitility.await().atMost(Duration.ofMinutes(1)).until(() -> outcomes.size() > clients);
    long signalledMillis = System.currentTimeMillis();
    int before = outcomes.size();
    signal("TERM");
    int code = exitCode(Duration.ofSeconds(40));
    long tookMillis = System.currentTimeMillis() - signalledMillis;
    Await.result(Future.all(loops));

    List<Outcome> after = outcomes.stream().skip(before).toList();
    List<Outcome> accepted =
        after.stream()
            .filter(each -> each.sentMillis < signalledMillis - SURELY_ACCEPTED_MILLIS)
            .toList();
    List<Outcome> refused = after.stream().filter(each -> each.status == 503).toList();
    System.out.printf(
        "SIGTERM with %d requests under way, %d of them for longer than %d ms: all those answered,"
            + " %d others refused with 503, exit %d after %d ms%n",
        clients, accepted.size(), SURELY_ACCEPTED_MILLIS, refused.size(), code, tookMillis);
    assertThat(code).isZero();
    assertThat(accepted).isNotEmpty().allSatisfy(each -> assertThat(each.status).isEqualTo(200));
    assertThat(after).extracting(Outcome::status).containsOnly(200, 503, 0);
    assertThat(refused).isNotEmpty();
    assertThat(refused)
        .allSatisfy(each -> assertThat(each.connection).isEqualToIgnoringCase("close"));
    // Netty itself warns of a connection that it accepted just as it closed.
    assertThat(output)
        .noneMatch(line -> line.contains("at dev.ragbus.") || line.contains("RagbusException"));
  }

  @Test
  void pythonThatIsStuckWithTheInterpreterLockHoldsNothingUp() throws Exception {
    startApplication("-Dragbus.lanes.drain_timeout=1s", "-Dragbus.lanes.stuck_timeout=1h");
    address();
    HttpClientAgent client = vertx.createHttpClient();
    Future<Outcome> stuck = call(client, "stuck");
    awaitReadiness(client, 503);
    long signalledMillis = System.currentTimeMillis();
    signal("TERM");

    assertThat(exitCode(Duration.ofSeconds(20))).isZero();
    System.out.printf(
        "SIGTERM with the interpreter lock held for ever, drain_timeout 1 s: exit 0 after %d ms%n",
        System.currentTimeMillis() - signalledMillis);
    assertThat(Await.result(stuck).status).isEqualTo(503);
  }

  private void awaitReadiness(HttpClientAgent client, int status) {
    URI to = address.join();
    RequestOptions request =
        new RequestOptions().setHost(to.getHost()).setPort(to.getPort()).setURI("/health/ready");
    Awaitility.await()
        .atMost(Duration.ofSeconds(30))
        .until(
            () ->
                Await.result(
                        client
                            .request(request)
                            .compose(made -> made.send())
                            .map(response -> response.statusCode()))
                    == status);
  }

  @Test
  void aSecondSignalEndsItAtOnce() throws Exception {
    startApplication("-Dragbus.lanes.drain_timeout=1h", "-Dragbus.lanes.function=2");
    address();
    HttpClientAgent client = vertx.createHttpClient();
    Future<Outcome> napping = call(client, "nap", LONG_MILLIS / 1_000);
    // Its answer means that the one before is on its lane.
    assertThat(Await.result(call(client, "nap", 0)).status).isEqualTo(200);
    signal("TERM");
    awaitReadiness(client, 503);
    assertThat(process.isAlive()).isTrue();
    long signalledMillis = System.currentTimeMillis();
    signal("TERM");

    assertThat(exitCode(Duration.ofSeconds(10))).isEqualTo(143);
    System.out.printf(
        "second SIGTERM: exit 143 after %d ms%n", System.currentTimeMillis() - signalledMillis);
    assertThat(Await.result(napping).status).isZero();
  }

  @Test
  void aSignalDuringTheStartEndsItWith0() throws Exception {
    startApplication();
    Awaitility.await().atMost(Duration.ofMinutes(1)).until(() -> !output.isEmpty());
    signal("TERM");

    assertThat(exitCode(Duration.ofSeconds(60))).isZero();
  }

  @ParameterizedTest
  @CsvSource({"TERM, 143", "INT, 130"})
  void theLibraryLeavesSignalsToItsApplication(String name, int code) throws Exception {
    start(LibraryUserMain.class.getName());
    Awaitility.await()
        .atMost(Duration.ofMinutes(2))
        .until(() -> output.contains(LibraryUserMain.SERVING));
    signal(name);

    assertThat(exitCode(Duration.ofSeconds(20))).isEqualTo(code);
    assertThat(output).contains(LibraryUserMain.HOOK_RAN);
  }
}
