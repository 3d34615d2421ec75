// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.cluster;

import static org.assertj.core.api.Assertions.assertThat;

import dev.ragbus.RagbusOptions;
import dev.ragbus.RagbusOptions.Cluster;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import java.io.File;
import java.io.IOException;
import java.net.URI;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class WorkerCommandTest {
  private static final JsonObject CONFIG =
      new JsonObject()
          .put("cluster", new JsonObject().put("secret", "of the configuration"))
          .put(
              "models",
              new JsonObject()
                  .put("preload", new JsonArray().add(new JsonObject().put("name", "a"))));

  @TempDir private Path folder;

  private static Cluster options() {
    JsonObject cluster =
        new JsonObject()
            .put("isolation", "process")
            .put("secret", "a-secret-of-letters")
            .put("worker_heap_megabytes", 300);
    return RagbusOptions.from(new JsonObject().put("cluster", cluster)).cluster();
  }

  private WorkerCommand of(WorkerCommand.Jvm jvm, Map<String, String> overrides) {
    return WorkerCommand.of(jvm, options(), CONFIG, overrides, folder, "w1.1-ab");
  }

  private WorkerCommand.Jvm jvm(List<String> arguments, Map<String, String> properties) {
    return new WorkerCommand.Jvm(Path.of("/java"), "a.jar:b.jar", "", false, arguments, properties);
  }

  @Test
  void aClassPathIsPassedOnAsItIs() {
    assertThat(of(jvm(List.of(), Map.of()), Map.of()).words())
        .containsExactly(
            Path.of("/java/bin/java").toString(),
            "-Xmx300m",
            "-XX:+ExitOnOutOfMemoryError",
            "-XX:-CreateCoredumpOnCrash",
            "-XX:ErrorFile=" + folder.resolve("hs_err_worker_pid%p.log"),
            "-Ddev.ragbus.worker=w1.1-ab",
            "-cp",
            "a.jar:b.jar",
            "dev.ragbus.app.Main");
  }

  @Test
  void theClassPathIsThatOfTheLoadersOfClasses() throws IOException {
    Path classes = folder.resolve("my classes");
    URL[] of = {classes.toUri().toURL(), folder.resolve("a+b.jar").toUri().toURL()};
    URL[] above = {
      URI.create("jar:file:/all.jar!/a.jar").toURL(), folder.resolve("c.jar").toUri().toURL()
    };
    Files.createDirectories(classes);
    try (URLClassLoader parent = new URLClassLoader(above, null);
        URLClassLoader loader = new URLClassLoader(of, parent)) {
      assertThat(WorkerCommand.Jvm.classPath(loader, "mvn.jar").split(File.pathSeparator))
          .containsExactly(
              classes.toString(),
              folder.resolve("a+b.jar").toString(),
              folder.resolve("c.jar").toString(),
              "mvn.jar");
    }
    assertThat(WorkerCommand.Jvm.classPath(getClass().getClassLoader(), "own.jar"))
        .isEqualTo("own.jar");
    assertThat(WorkerCommand.Jvm.classPath(null, "")).isEmpty();
  }

  @Test
  void amongModulesItIsTheModulesMainClass() {
    WorkerCommand.Jvm jvm =
        new WorkerCommand.Jvm(Path.of("/java"), "", "modules", true, List.of(), Map.of());

    assertThat(of(jvm, Map.of()).words())
        .endsWith("-p", "modules", "-m", "dev.ragbus/dev.ragbus.app.Main")
        .doesNotContain("-cp");
  }

  @Test
  void whatOpensModulesIsPassedOnAndWhatIsThisProcessesOwnIsNot() {
    List<String> arguments =
        List.of(
            "--add-opens=java.base/java.lang=ALL-UNNAMED",
            "--enable-native-access=ALL-UNNAMED",
            "-Xmx8g",
            "-agentlib:jdwp=transport=dt_socket,server=y,address=5005",
            "-Dcom.sun.management.jmxremote.port=9999",
            "-Djava.util.logging.config.file=log.properties",
            "-Djavax.net.ssl.trustStorePassword=changeit");
    Map<String, String> properties =
        Map.of(
            "com.sun.management.jmxremote.port", "9999",
            "java.util.logging.config.file", "log.properties",
            "javax.net.ssl.trustStorePassword", "changeit",
            "java.version", "17",
            "ragbus.config", "file",
            "ragbus.cluster.secret", "of a property",
            "ragbus.cluster.isolation", "process",
            "ragbus.cluster.bus_port", "7000",
            "ragbus.lanes.inference", "4");

    WorkerCommand command =
        of(jvm(arguments, properties), Map.of("ragbus.lanes.inference", "1", "ragbus.x", "y"));

    assertThat(command.words())
        .contains(
            "--add-opens=java.base/java.lang=ALL-UNNAMED", "--enable-native-access=ALL-UNNAMED")
        .noneMatch(word -> word.contains("8g") || word.contains("jdwp") || word.contains("9999"));
    assertThat(command.input().getJsonObject("properties").getMap())
        .isEqualTo(
            Map.of(
                "javax.net.ssl.trustStorePassword", "changeit",
                "ragbus.cluster.secret", "of a property",
                "ragbus.cluster.enabled", "true",
                "ragbus.cluster.role", "worker",
                "ragbus.cluster.isolation", "none",
                "ragbus.cluster.bus_port", "0",
                "ragbus.lanes.inference", "1",
                "ragbus.x", "y"));
  }

  @Test
  void noSecretIsOnTheCommandLine() {
    WorkerCommand command =
        of(
            jvm(List.of("-Da.password=x-secret"), Map.of("ragbus.security.keys", "use:x-secret")),
            Map.of("ragbus.cluster.secret", "x-secret"));

    assertThat(command.words()).noneMatch(word -> word.contains("secret"));
    assertThat(command.variables()).isEqualTo(Map.of("MALLOC_ARENA_MAX", "2"));
    assertThat(command.input().getJsonObject("config")).isEqualTo(CONFIG);
  }

  @Test
  void onlyTheNewestReportsOfCrashesAreKept() throws Exception {
    for (int i = 0; i < WorkerCommand.REPORTS_KEPT + 3; i++) {
      Path old = Files.writeString(folder.resolve("hs_err_worker_pid" + i + ".log"), "old");
      assertThat(old.toFile().setLastModified(1_000_000_000L + i * 1_000L)).isTrue();
    }
    Files.writeString(folder.resolve("hs_err_pid1.log"), "another's");
    WorkerCommand command =
        new WorkerCommand(
            List.of(Path.of(System.getProperty("java.home"), "bin", "java").toString(), "-version"),
            Map.of(),
            new JsonObject(),
            folder);

    Process process = command.start();

    assertThat(process.waitFor()).isZero();
    assertThat(names())
        .hasSize(WorkerCommand.REPORTS_KEPT + 1)
        .contains("hs_err_pid1.log", "hs_err_worker_pid3.log")
        .doesNotContain("hs_err_worker_pid2.log");
  }

  private List<String> names() throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.map(file -> file.getFileName().toString()).toList();
    }
  }
}
