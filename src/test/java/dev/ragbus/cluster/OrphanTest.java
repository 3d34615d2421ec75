// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.cluster;

import static org.assertj.core.api.Assertions.assertThat;

import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What becomes of workers whose front is gone. */
class OrphanTest {
  private static final Pattern TOLD =
      Pattern.compile(".*w\\d\\.1-\\w+: (\\d+) is worker with (-?\\d+)");

  /** More than a pipe holds, with a list of tables and with what no shell would pass on. */
  private static final JsonObject CONFIG =
      new JsonObject()
          .put("cluster", new JsonObject().put("isolation", "process").put("workers", 2))
          .put(
              "models",
              new JsonObject()
                  .put("allow", new JsonArray().add("é\n\"😀'").add("x".repeat(100_000)))
                  .put(
                      "preload",
                      new JsonArray().add(new JsonObject().put("model_name", "a-model"))));

  @TempDir private Path folder;
  private final List<String> output = new CopyOnWriteArrayList<>();

  private void read(Process process) {
    try (BufferedReader lines = process.inputReader()) {
      lines.lines().forEach(output::add);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private List<Matcher> told() {
    return output.stream().map(TOLD::matcher).filter(Matcher::matches).toList();
  }

  @Test
  void theyKnowTheirConfigurationAndEndWithAFrontThatIsKilled() throws Exception {
    Process front =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx64m",
                "-XX:TieredStopAtLevel=1",
                "-cp",
                System.getProperty("java.class.path"),
                FrontMain.class.getName(),
                CONFIG.encode(),
                "dev.ragbus.app.SupervisedMain",
                folder.toString())
            .redirectErrorStream(true)
            .start();
    Thread reader = new Thread(() -> read(front), "front-output");
    reader.setDaemon(true);
    reader.start();
    List<ProcessHandle> workers;
    try {
      Awaitility.await()
          .atMost(Duration.ofSeconds(90))
          .untilAsserted(() -> assertThat(told()).as("%s", output).hasSize(2));
      workers = front.toHandle().children().toList();
      assertThat(workers)
          .extracting(ProcessHandle::pid)
          .containsExactlyInAnyOrderElementsOf(
              told().stream().map(it -> Long.valueOf(it.group(1))).toList());
      String config = String.valueOf(CONFIG.encode().hashCode());
      assertThat(told()).allMatch(it -> it.group(2).equals(config));
      assertThat(workers).allMatch(ProcessHandle::isAlive);
    } finally {
      front.destroyForcibly().waitFor();
    }

    Awaitility.await()
        .atMost(Duration.ofSeconds(30))
        .until(() -> workers.stream().noneMatch(ProcessHandle::isAlive));
  }
}
