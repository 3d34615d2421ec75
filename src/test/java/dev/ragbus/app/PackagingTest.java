// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.app;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

import dev.ragbus.ChildProcess;
import dev.ragbus.OptionsReader;
import dev.ragbus.RagbusOptions;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import javax.tools.JavaCompiler;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The unit and the container file name what there is, and hold to what docs/security.md says. */
class PackagingTest {
  private static final Path UNIT = Path.of("packaging/ragbus.service");
  private static final Path CONTAINER = Path.of("packaging/Containerfile");
  private static final Path PREPARE = Path.of("packaging/PrepareEnvironment.java");

  @TempDir Path folder;

  /** A unit's directives; one that is given twice has a line for each. */
  private static Map<String, List<String>> unit() throws IOException {
    return Files.readAllLines(UNIT).stream()
        .filter(line -> line.contains("=") && !line.startsWith("#"))
        .map(line -> line.split("=", 2))
        .collect(
            Collectors.groupingBy(
                parts -> parts[0], Collectors.mapping(parts -> parts[1], Collectors.toList())));
  }

  private static String only(String directive) throws IOException {
    List<String> values = unit().getOrDefault(directive, List.of());
    assertThat(values).as(directive).hasSize(1);
    return values.get(0);
  }

  /** The last stage's instructions, continued lines joined. */
  private static List<String> instructions() throws IOException {
    List<String> all =
        Stream.of(Files.readString(CONTAINER).replaceAll("\\\\\\n\\s*", "").split("\n"))
            .filter(line -> !line.isBlank() && !line.startsWith("#"))
            .toList();
    int stage = -1;
    for (int i = 0; i < all.size(); i++) {
      stage = all.get(i).startsWith("FROM ") ? i : stage;
    }
    return all.subList(stage, all.size());
  }

  private static String instruction(String name) throws IOException {
    return instructions().stream()
        .filter(line -> line.startsWith(name + " "))
        .map(line -> line.substring(name.length() + 1))
        .reduce((first, second) -> second)
        .orElseThrow();
  }

  private static Map<String, String> variables(Stream<String> assignments) {
    Map<String, String> variables = new HashMap<>();
    assignments.map(it -> it.split("=", 2)).forEach(it -> variables.put(it[0], it[1]));
    return variables;
  }

  private static void optionsAreKnown(Map<String, String> variables) {
    Map<String, String> withKeys = new HashMap<>(variables);
    withKeys.put("RAGBUS_SECURITY_KEYS", "use:0123456789abcdef");
    RagbusOptions options = OptionsReader.read(new JsonObject(), withKeys, Map.of());
    assertThat(options.python().environment()).isEqualTo("/opt/ragbus/environment");
    assertThat(variables).containsEntry("MALLOC_ARENA_MAX", "2");
  }

  private static void commandFits(List<String> command, String logs) throws Exception {
    assertThat(command).contains("-XX:+ExitOnOutOfMemoryError", "dev.ragbus.app.Main");
    assertThat(Class.forName(command.get(command.size() - 1)).getMethod("main", String[].class))
        .isNotNull();
    Pattern share = Pattern.compile("-XX:MaxRAMPercentage=(\\d+)");
    Matcher heap =
        command.stream().map(share::matcher).filter(Matcher::matches).findFirst().orElseThrow();
    assertThat(Integer.parseInt(heap.group(1))).isLessThanOrEqualTo(40);
    assertThat(command).anyMatch(it -> it.startsWith("-XX:ErrorFile=" + logs + "/hs_err_pid"));
  }

  @Test
  void theUnitRunsTheApplicationAsNobodyInParticular() throws Exception {
    assertThat(only("User")).isNotEqualTo("root");
    assertThat(only("DynamicUser")).isEqualTo("yes");
    String command = only("ExecStart");
    commandFits(List.of(command.split(" ")), "/var/log/" + only("LogsDirectory"));
    assertThat(command)
        .doesNotContain("$")
        .contains("-cp /opt/ragbus/ragbus.jar:/opt/ragbus/lib/*");
    optionsAreKnown(variables(unit().get("Environment").stream()));
  }

  @Test
  void theUnitStopsIt() throws Exception {
    assertThat(only("KillSignal")).isEqualTo("SIGTERM");
    Duration drain = RagbusOptions.defaults().lanes().drainTimeout();
    // The drain, then Vert.x, with some grace each: see Main.
    Duration longest = drain.plusSeconds(4);
    assertThat(Duration.parse("PT" + only("TimeoutStopSec"))).isGreaterThan(longest);
    assertThat(only("SuccessExitStatus").split(" ")).contains("143");
  }

  @Test
  void theUnitTakesAwayWhatIsNotNeeded() throws Exception {
    Map<String, List<String>> unit = unit();
    for (String on :
        List.of(
            "NoNewPrivileges",
            "ProtectHome",
            "PrivateTmp",
            "PrivateDevices",
            "ProtectKernelTunables",
            "ProtectKernelModules",
            "ProtectControlGroups",
            "RestrictNamespaces",
            "RestrictSUIDSGID",
            "LockPersonality")) {
      assertThat(unit.get(on)).as(on).containsExactly("yes");
    }
    assertThat(unit.get("ProtectSystem")).containsExactly("strict");
    assertThat(unit.get("CapabilityBoundingSet")).containsExactly("");
    assertThat(unit).containsKeys("MemoryMax", "TasksMax", "SystemCallFilter");
    // Compiled code has to be written and run.
    assertThat(unit).doesNotContainKey("MemoryDenyWriteExecute");
  }

  @Test
  void systemdTakesTheUnit() throws Exception {
    Path systemd = Path.of("/usr/bin/systemd-analyze");
    assumeThat(Files.isExecutable(systemd)).as("systemd-analyze is there").isTrue();
    assertThat(ChildProcess.run(new ProcessBuilder(systemd.toString(), "verify", UNIT.toString())))
        .isZero();
  }

  @Test
  void theImageRunsTheApplicationAsNobodyInParticular() throws Exception {
    assertThat(instruction("USER")).matches("[1-9]\\d+:[1-9]\\d+");
    assertThat(instruction("STOPSIGNAL")).isEqualTo("SIGTERM");
    List<String> command = new ArrayList<>();
    new JsonArray(instruction("ENTRYPOINT")).forEach(part -> command.add((String) part));
    commandFits(command, "/var/log/ragbus");
    assertThat(instruction("VOLUME").split(" ")).contains("/var/log/ragbus", "/var/cache/ragbus");
    optionsAreKnown(variables(Stream.of(instruction("ENV").split(" +"))));
  }

  @Test
  void theImageCopiesWhatThereIs() throws Exception {
    String file = Files.readString(CONTAINER);
    for (String source : List.of("conf", "LICENSE", "THIRD-PARTY.md")) {
      assertThat(Path.of(source)).exists();
      assertThat(file).contains(source);
    }
    String pom = Files.readString(Path.of("pom.xml"));
    assertThat(file).contains("-Prelease package");
    assertThat(pom)
        .contains("<id>release</id>", "${project.build.directory}/lib", "bom-python.json");
    assertThat(file).contains("target/ragbus-*.jar", PREPARE.toString());
  }

  @Test
  void whatPreparesTheEnvironmentCompiles() {
    JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
    assertThat(compiler.run(null, null, null, "-d", folder.toString(), PREPARE.toString()))
        .isZero();
  }
}
