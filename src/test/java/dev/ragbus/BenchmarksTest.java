// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import static org.assertj.core.api.Assertions.assertThat;

import dev.ragbus.python.environment.PackagedModels;
import dev.ragbus.python.environment.PythonEnvironment;
import dev.ragbus.python.environment.TestPython;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import java.io.IOException;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import javax.tools.JavaCompiler;
import javax.tools.StandardJavaFileManager;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The benchmarks still run, on so little work that their figures mean nothing. */
@Tag("side-by-side")
class BenchmarksTest {
  private static final String CLASS_PATH = System.getProperty("java.class.path");
  private static final List<String> SCRIPTS = scripts();

  @TempDir Path out;

  @Test
  void scriptsAreClean() throws Exception {
    onScripts("-m", "ruff", "format", "--check", "--config", "pyproject.toml");
    onScripts("-m", "ruff", "check", "--config", "pyproject.toml");
    onScripts("-m", "mypy", "--strict");
  }

  @Test
  void programsCompile() throws Exception {
    JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
    StringWriter said = new StringWriter();
    try (StandardJavaFileManager files = compiler.getStandardFileManager(null, null, null);
        Stream<Path> sources = Files.list(Path.of("benchmarks/dev/ragbus/benchmarks"))) {
      List<String> options =
          List.of("-Xlint:all", "-Werror", "-proc:none", "-cp", CLASS_PATH, "-d", out.toString());
      var units =
          files.getJavaFileObjectsFromPaths(
              sources.filter(source -> source.toString().endsWith(".java")).toList());
      assertThat(compiler.getTask(said, files, null, options, null, units).call())
          .as(said.toString())
          .isTrue();
    }
  }

  @Test
  void enginesAreMeasuredAndFiguresWritten() throws Exception {
    Path page =
        Files.writeString(
            out.resolve("page.md"), "a\n" + marks("benchmarks/run.sh", "old") + "b\n");
    List<String> command = new ArrayList<>(List.of("../benchmarks/compare.py"));
    PythonEnvironment environment = TestPython.environment();
    Path model =
        PackagedModels.of(
                PythonEnvironment.Settings.defaultCacheFolder(), getClass().getClassLoader())
            .folder("all-MiniLM-L6-v2")
            .orElseThrow();
    Path texts = Files.writeString(out.resolve("texts.txt"), "Cats purr.\n".repeat(40));
    command.addAll(List.of("--python", environment.python().toString()));
    command.addAll(List.of("--package", Path.of("python").toAbsolutePath().toString()));
    command.addAll(List.of("--model", model.toString(), "--texts", texts.toString()));
    command.addAll(List.of("--classpath", "none", "--beside", "none", "--jmh", "none"));
    command.addAll(List.of("--out", out.toString(), "--document", page.toString()));
    command.addAll(List.of("--only", "raw,onnx,limit", "--rounds", "2", "--count", "33"));

    run(command);

    JsonObject result = new JsonObject(Files.readString(out.resolve("result.json")));
    JsonArray rounds = result.getJsonArray("every_round");
    assertThat(rounds).hasSize(2);
    assertThat(rounds.getJsonObject(0).fieldNames())
        .containsExactlyInAnyOrder(
            "raw", "onnx", "onnx_by_length", "limit_f32", "limit_bf16", "limit_int8");
    assertThat(rounds.getJsonObject(1).getJsonObject("raw").getInteger("real_tokens"))
        .isEqualTo(33 * 6);
    assertThat(Files.readString(page))
        .startsWith("a\n")
        .endsWith("b\n")
        .contains("| raw engine (OpenVINO), all texts known at once |")
        .doesNotContain("old");
    assertThat(Files.readString(out.resolve("figures.svg"))).contains("raw OpenVINO");
  }

  @Test
  @Tag("slow")
  void everyPartRuns() throws Exception {
    ProcessBuilder command =
        new ProcessBuilder(
            "benchmarks/run.sh",
            "--rounds=1",
            "--starts=1",
            "--count=64",
            "--queries=5",
            "--documents=10",
            "--layer-seconds=0.02",
            "--java-flag=-XX:TieredStopAtLevel=1");

    assertThat(ChildProcess.run(command)).isZero();

    String written = Files.readString(Path.of("target/benchmarks/result.md"));
    assertThat(written.lines().filter(line -> line.contains("not measured")))
        .allMatch(line -> line.contains("--url"));
    assertThat(written).contains("RoundTripBenchmark.http", "CrossingBenchmark.call");
  }

  @Test
  @Tag("slow")
  void scalingIsSimulatedAndMeasured() throws Exception {
    Path page =
        Files.writeString(
            out.resolve("scaling.md"),
            marks("benchmarks/scaling.sh: bus", "old")
                + marks("benchmarks/scaling.sh: routing", "old"));
    ProcessBuilder command =
        new ProcessBuilder("benchmarks/scaling.sh", "--document", page.toString());
    command.environment().putAll(Map.of("SHARE", "0.02", "ROUNDS", "1", "REQUESTS", "800"));

    assertThat(ChildProcess.run(command)).isZero();

    assertThat(Files.readString(page))
        .contains(
            "| 1000 |", "| two JVMs | 32 |", "| the same over HTTP, its client included | 1 |")
        .doesNotContain("old\n");
    assertThat(out.resolve("scaling.svg")).isNotEmptyFile();
  }

  private static String marks(String of, String between) {
    return "<!-- figures of " + of + " -->\n" + between + "\n<!-- end of figures -->\n";
  }

  private static List<String> scripts() {
    try (Stream<Path> files = Files.list(Path.of("benchmarks"))) {
      return files
          .filter(file -> file.toString().endsWith(".py"))
          .map(file -> Path.of("..").resolve(file).toString())
          .toList();
    } catch (IOException e) {
      throw new IllegalStateException(e);
    }
  }

  private static void onScripts(String... tool) throws Exception {
    List<String> command = new ArrayList<>(List.of(tool));
    command.addAll(SCRIPTS);
    run(command);
  }

  /** Runs Python in its folder, whose settings the tools read. */
  private static void run(List<String> arguments) throws Exception {
    List<String> command = new ArrayList<>(arguments);
    command.add(0, TestPython.environment().python().toString());
    ProcessBuilder process = new ProcessBuilder(command).directory(Path.of("python").toFile());
    process.environment().put("PYTHONDONTWRITEBYTECODE", "1");
    assertThat(ChildProcess.run(process)).as(String.join(" ", command)).isZero();
  }
}
