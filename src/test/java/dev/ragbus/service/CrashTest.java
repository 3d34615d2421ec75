// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.ragbus.Await;
import dev.ragbus.ChildProcess;
import dev.ragbus.RagbusException;
import dev.ragbus.RagbusException.Kind;
import dev.ragbus.python.environment.PythonEnvironment;
import io.vertx.core.Vertx;
import io.vertx.core.json.JsonObject;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What is left to be read when the process has crashed. */
class CrashTest {
  @TempDir private Path folder;

  private final AtomicLong nanos = new AtomicLong();

  private List<String> names() throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.map(file -> file.getFileName().toString()).sorted().toList();
    }
  }

  private Path only(String prefix) throws IOException {
    assertThat(names()).filteredOn(name -> name.startsWith(prefix)).hasSize(1);
    return folder.resolve(names().stream().filter(it -> it.startsWith(prefix)).findAny().get());
  }

  @Test
  void aCrashLeavesTheReportOfTheJvmAndTheLastRequestsById()
      throws IOException, InterruptedException {
    ProcessBuilder command =
        new ProcessBuilder(
            System.getProperty("java.home") + "/bin/java",
            "-Xmx256m",
            "-XX:-CreateCoredumpOnCrash",
            "-XX:ErrorFile=" + folder.resolve("hs_err_%p.log"),
            "-cp",
            System.getProperty("java.class.path"),
            CrashingFunctionMain.class.getName());

    assertThat(ChildProcess.run(command)).isNotZero();

    assertThat(Files.readAllLines(only("hs_err_"), StandardCharsets.ISO_8859_1).subList(0, 60))
        .anyMatch(line -> line.contains("SIGSEGV"))
        .anyMatch(line -> line.contains("JavaThread \"ragbus-lane-function-0-"))
        .anyMatch(line -> line.contains("Bridge.runFunction"));
    String requests = Files.readString(only("last_requests_pid"));
    assertThat(requests.replaceAll(" +", " "))
        .containsPattern("lane function-0 since \\S+Z runs the-last-one \n")
        .containsPattern("request \\S+Z functions.call the-last-one under way \n")
        .containsPattern("request \\S+Z embed one-that-went-well answered after \\d+ ms \n")
        .doesNotContain("private");
  }

  @Test
  void aServiceThatStopsLeavesNothing() throws IOException {
    Vertx vertx = Vertx.vertx();
    List<Path> before = ofThisProcess();
    TestService service = TestService.start(vertx, new JsonObject());
    assertThat(ofThisProcess()).hasSize(before.size() + 1);

    service.close();

    assertThat(ofThisProcess()).isEqualTo(before);
    Await.result(vertx.close());
  }

  private static List<Path> ofThisProcess() throws IOException {
    Path folder = CrashFile.folder(PythonEnvironment.Settings.defaultCacheFolder());
    if (!Files.isDirectory(folder)) {
      return List.of();
    }
    try (Stream<Path> files = Files.list(folder)) {
      String prefix = "last_requests_pid" + ProcessHandle.current().pid() + "_";
      return files.filter(it -> it.getFileName().toString().startsWith(prefix)).sorted().toList();
    }
  }

  @Test
  void theLastRequestsAreKeptAndWhatIsUnderWayTold() {
    LastRequests requests = new LastRequests(2, 1, nanos::get);
    List<Long> numbers = new ArrayList<>();
    for (int i = 0; i < LastRequests.REQUESTS + 10; i++) {
      numbers.add(requests.begun("embed", "id-" + i));
    }
    requests.runs(LastRequests.Role.INFERENCE, 1, List.of("id-264", "id-265"));
    requests.runs(LastRequests.Role.FUNCTION, 0, List.of("x".repeat(64), "y".repeat(200)));
    nanos.addAndGet(12_000_000);
    numbers.subList(0, 264).forEach(number -> requests.ended(number, null));
    requests.ended(numbers.get(264), Kind.TIMEOUT);

    assertThat(requests.underWay())
        .satisfiesExactly(
            line -> assertThat(line).startsWith("lane inference-1").endsWith("id-264 id-265"),
            line ->
                assertThat(line).startsWith("lane function-0").contains("runs xxx").endsWith("y"),
            line -> assertThat(line).contains("embed id-265").endsWith("under way"));

    requests.rests(LastRequests.Role.INFERENCE, 1, null);
    requests.rests(LastRequests.Role.FUNCTION, 0, RagbusException.of(Kind.LANE_LOST, "so"));
    requests.ended(numbers.get(265), null);
    assertThat(requests.underWay()).isEmpty();
  }

  @Test
  void onlyTheNewestFilesOfDeadProcessesAreKept() throws IOException {
    for (int i = 0; i < CrashFile.KEPT + 3; i++) {
      Path old = Files.writeString(folder.resolve("last_requests_pid1_" + i + ".txt"), "old");
      assertThat(old.toFile().setLastModified(1_000_000_000L + i * 1_000L)).isTrue();
    }
    try (CrashFile first = CrashFile.open(folder, 512);
        CrashFile second = CrashFile.open(folder, 512)) {
      first.buffer().put(0, (byte) '!');

      assertThat(Files.readAllBytes(first.path())).hasSize(512).startsWith((byte) '!');
      assertThat(second.path()).exists();
      assertThat(names())
          .hasSize(CrashFile.KEPT + 2 - 1)
          .doesNotContain("last_requests_pid1_0.txt", "last_requests_pid1_3.txt")
          .contains("last_requests_pid1_4.txt");
    }
    assertThat(names()).hasSize(CrashFile.KEPT - 1);
  }

  @Test
  void aFolderThatCannotBeWrittenIsAFailureToOpen() throws IOException {
    Path file = Files.writeString(folder.resolve("file"), "no folder");
    assertThatThrownBy(() -> CrashFile.open(file, 512)).isInstanceOf(IOException.class);
  }
}
