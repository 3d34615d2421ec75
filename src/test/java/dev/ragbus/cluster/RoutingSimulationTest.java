// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.cluster;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.File;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What {@code docs/scaling.md} says of routing is still so, on a small part of the requests. */
class RoutingSimulationTest {
  private static final String CLASS_PATH = System.getProperty("java.class.path");

  /** Of the requests of benchmarks/scaling.sh. */
  private static final String SHARE = "0.1";

  @TempDir static Path classes;
  private static List<Map<String, String>> alike;
  private static List<Map<String, String>> speeds;

  @BeforeAll
  static void simulate() throws Exception {
    try (Stream<Path> sources = Files.list(Path.of("benchmarks/dev/ragbus/cluster"))) {
      List<String> options =
          List.of(
              "-Xlint:all", "-Werror", "-proc:none", "-cp", CLASS_PATH, "-d", classes.toString());
      String[] arguments =
          Stream.concat(options.stream(), sources.map(Path::toString)).toArray(String[]::new);
      assertThat(ToolProvider.getSystemJavaCompiler().run(null, null, null, arguments)).isZero();
    }
    alike = simulate("load", 16);
    speeds = simulate("speeds", 10);
  }

  /**
   * In a process of its own: a class loader of its own would keep it from the product's classes.
   */
  private static List<Map<String, String>> simulate(String part, int workers) throws Exception {
    Process process =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-XX:TieredStopAtLevel=1",
                "-cp",
                classes + File.pathSeparator + CLASS_PATH,
                "dev.ragbus.cluster.RoutingSimulation",
                SHARE,
                part,
                Integer.toString(workers))
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    try (InputStream printed = process.getInputStream()) {
      String lines = new String(printed.readAllBytes(), StandardCharsets.UTF_8);
      assertThat(process.waitFor()).isZero();
      return read(lines.lines().map(line -> line.split(",", -1)).toList());
    }
  }

  private static List<Map<String, String>> read(List<String[]> lines) {
    List<Map<String, String>> read = new ArrayList<>();
    for (String[] line : lines.subList(1, lines.size())) {
      Map<String, String> values = new LinkedHashMap<>();
      for (int column = 0; column < line.length; column++) {
        values.put(lines.get(0)[column], line[column]);
      }
      read.add(values);
    }
    return read;
  }

  private static double figure(List<Map<String, String>> lines, String policy, String column) {
    List<Map<String, String>> found =
        lines.stream()
            .filter(line -> line.get("policy").equals(policy) && line.get("load").equals("0.9"))
            .toList();
    assertThat(found).hasSize(1);
    return Double.parseDouble(found.get(0).get(column));
  }

  @Test
  void theSameSeedGivesTheSameFigures() throws Exception {
    assertThat(simulate("speeds", 10)).isNotEmpty().isEqualTo(speeds);
  }

  @Test
  void byTwoChoicesFewWaitAsLongAsByTurns() {
    double ragbus = figure(alike, "ragbus", "answer_p99_ms");
    assertThat(ragbus).isLessThan(0.7 * figure(alike, "round_robin", "answer_p99_ms"));
    assertThat(ragbus).isGreaterThan(figure(alike, "one_queue", "answer_p99_ms"));
    assertThat(figure(alike, "ragbus", "query_p99_ms"))
        .isLessThan(figure(alike, "round_robin", "query_p99_ms"))
        .isLessThan(figure(alike, "least_told", "query_p99_ms"));
  }

  @Test
  void fastWorkersAreUsed() {
    assertThat(figure(speeds, "ragbus", "utilisation"))
        .isGreaterThan(1.3 * figure(speeds, "two_drawn_alike", "utilisation"))
        .isGreaterThan(0.95 * figure(speeds, "one_queue", "utilisation"));
  }
}
