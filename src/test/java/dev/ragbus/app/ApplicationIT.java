// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.app;

import static java.util.concurrent.TimeUnit.SECONDS;
import static org.assertj.core.api.Assertions.assertThat;

import dev.ragbus.ChildProcess;
import dev.ragbus.python.environment.PackagedModels;
import dev.ragbus.python.environment.PythonEnvironment;
import dev.ragbus.python.environment.TestPython;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.InputStreamReader;
import java.lang.management.ManagementFactory;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.jar.JarEntry;
import java.util.jar.JarOutputStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The packed jar's application in a process of its own, as a user starts it. */
class ApplicationIT {
  private static final String READY = "Ragbus is ready: ";

  private final List<String> output = new CopyOnWriteArrayList<>();
  private final CompletableFuture<String> address = new CompletableFuture<>();
  private Process process;
  private String classPath = System.getProperty("java.class.path");

  @TempDir Path folder;

  @BeforeAll
  static void environmentIsReady() {
    TestPython.environment();
  }

  @AfterEach
  void kill() {
    if (process != null) {
      process.destroyForcibly();
    }
  }

  private void start(Map<String, String> environment, String... options) throws IOException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    coverage().forEach(command::add);
    command.addAll(List.of(options));
    command.addAll(List.of("-cp", classPath));
    command.add("dev.ragbus.app.Main");
    ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
    builder.environment().putAll(environment);
    process = builder.start();
    Thread reader = new Thread(this::read, "application-output");
    reader.setDaemon(true);
    reader.start();
  }

  /** The agent that measures this JVM's coverage, for the child too. */
  private static Stream<String> coverage() {
    return ManagementFactory.getRuntimeMXBean().getInputArguments().stream()
        .filter(argument -> argument.startsWith("-javaagent:") && argument.contains("jacoco"));
  }

  private void read() {
    try (BufferedReader lines =
        new BufferedReader(
            new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8))) {
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        output.add(line);
        if (line.startsWith(READY)) {
          address.complete(line.substring(READY.length()).split(" ", 2)[0]);
        }
      }
    } catch (IOException e) {
      address.completeExceptionally(e);
    }
    address.completeExceptionally(new IllegalStateException("ended: " + output));
  }

  private String address() throws Exception {
    return address.get(120, SECONDS);
  }

  private static HttpResponse<String> post(String url, String body) throws Exception {
    HttpRequest request =
        HttpRequest.newBuilder(URI.create(url))
            .header("Content-Type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString(body))
            .build();
    return HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
  }

  @Test
  void servesThenStopsCleanlyOnASignal() throws Exception {
    start(Map.of("RAGBUS_HTTP_PORT", "1"), "-Dragbus.http.port=0", "-Dragbus.models.offline=true");
    String url = address();

    HttpResponse<String> embedding = post(url + "/v1/embeddings", "{\"input\":[\"a\",\"b\"]}");
    HttpResponse<String> ranking =
        post(url + "/v1/rerank", "{\"query\":\"cats\",\"documents\":[\"dogs\",\"cats purr\"]}");
    process.destroy();

    assertThat(embedding.statusCode()).isEqualTo(200);
    assertThat(new JsonObject(embedding.body()).getJsonArray("data")).hasSize(2);
    assertThat(
            new JsonObject(ranking.body())
                .getJsonArray("results")
                .getJsonObject(0)
                .getInteger("index"))
        .isEqualTo(1);
    assertThat(process.waitFor(30, SECONDS)).isTrue();
    assertThat(process.exitValue()).isZero();
    assertThat(output).noneMatch(line -> line.contains("Exception"));
  }

  @Test
  void startsWithAHubThatNeverAnswers() throws Exception {
    try (ServerSocket silent = new ServerSocket(0, 5, InetAddress.getLoopbackAddress())) {
      String hub = "http://127.0.0.1:" + silent.getLocalPort();
      start(Map.of("HF_ENDPOINT", hub), "-Dragbus.http.port=0");

      assertThat(post(address() + "/v1/embeddings", "{\"input\":\"a\"}").statusCode())
          .isEqualTo(200);
      assertThat(output).anyMatch(line -> line.contains("passed over"));
    }
  }

  @Test
  void aModelFromTheHubAndOneOfAnotherJarServeRequests() throws Exception {
    Path model =
        PackagedModels.of(
                PythonEnvironment.Settings.defaultCacheFolder(), getClass().getClassLoader())
            .folder("all-MiniLM-L6-v2")
            .orElseThrow();
    classPath += File.pathSeparator + jarOfTheTinyReranker();
    Path config =
        Files.writeString(
            folder.resolve("ragbus.toml"),
            """
            [models]
            embedding = ["org/mini"]
            reranker = ["tiny"]
            [[models.preload]]
            model_name = "org/mini"
            source = "hub"
            revision = "main"
            """);
    try (Hub hub = new Hub("org/mini", model)) {
      Map<String, String> environment =
          Map.of(
              "HF_ENDPOINT",
              hub.address,
              "HF_HOME",
              folder.toString(),
              "no_proxy",
              "127.0.0.1,localhost");
      start(environment, "-Dragbus.http.port=0", "-Dragbus.config=" + config);
      String url = address();

      HttpResponse<String> embedding = post(url + "/v1/embeddings", "{\"input\":[\"a\",\"b\"]}");
      HttpResponse<String> ranking =
          post(url + "/v1/rerank", "{\"query\":\"q\",\"documents\":[\"a\",\"b\"]}");

      assertThat(embedding.statusCode()).isEqualTo(200);
      assertThat(new JsonObject(embedding.body()).getString("model")).isEqualTo("org/mini");
      assertThat(ranking.statusCode()).isEqualTo(200);
      assertThat(new JsonObject(ranking.body()).getString("model")).isEqualTo("org/tiny");
      assertThat(output)
          .anyMatch(line -> line.contains("downloading org/mini: "))
          .anyMatch(line -> line.contains("downloaded org/mini in "));
      assertThat(folder.resolve("hub/models--org--mini/refs/main")).exists();
    }
  }

  private Path jarOfTheTinyReranker() throws IOException {
    Path source = Path.of("python/tests/golden/cross-encoder");
    Path jar = folder.resolve("tiny.jar");
    JsonObject files = new JsonObject();
    try (JarOutputStream out = new JarOutputStream(Files.newOutputStream(jar));
        Stream<Path> all = Files.walk(source)) {
      for (Path file : all.filter(Files::isRegularFile).toList()) {
        String name = source.relativize(file).toString();
        files.put(name, "models/tiny/" + name);
        out.putNextEntry(new JarEntry("models/tiny/" + name));
        Files.copy(file, out);
      }
      JsonObject declaration =
          new JsonObject()
              .put("name", "org/tiny")
              .put("aliases", new JsonArray().add("tiny"))
              .put("files", files);
      out.putNextEntry(new JarEntry("META-INF/ragbus/models.json"));
      out.write(new JsonArray().add(declaration).toBuffer().getBytes());
    }
    return jar;
  }

  /** The hub of the Python tests, in a process of its own. */
  private static final class Hub implements AutoCloseable {
    final String address;
    private final Process process;

    Hub(String name, Path model) throws IOException {
      process =
          new ProcessBuilder(
                  TestPython.environment().python().toString(),
                  "python/tests/hub.py",
                  name,
                  model.toString())
              .redirectError(ProcessBuilder.Redirect.INHERIT)
              .start();
      address =
          new BufferedReader(
                  new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8))
              .readLine();
    }

    @Override
    public void close() {
      process.destroyForcibly();
    }
  }

  @Test
  void aWrongOptionEndsTheStartWithOneLine() throws Exception {
    start(Map.of(), "-Dragbus.http.prot=0");

    assertThat(process.waitFor(30, SECONDS)).isTrue();
    assertThat(process.exitValue()).isEqualTo(1);
    assertThat(output)
        .anyMatch(line -> line.contains("ragbus.http.prot") && line.contains("http.port"));
  }

  @Test
  void theOfficialOpenAiClientUsesItUnchanged() throws Exception {
    start(Map.of(), "-Dragbus.http.port=0", "-Dragbus.models.offline=true");
    String url = address();

    ProcessBuilder client =
        new ProcessBuilder(
            TestPython.environment().python().toString(), "src/test/python/openai_client.py", url);

    assertThat(ChildProcess.run(client)).isZero();
  }
}
