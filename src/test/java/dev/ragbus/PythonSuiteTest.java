// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import static org.assertj.core.api.Assertions.assertThat;

import dev.ragbus.python.environment.PackagedModels;
import dev.ragbus.python.environment.PythonEnvironment;
import dev.ragbus.python.environment.TestPython;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** The Python half's own checks, without a JVM, in the environment that Ragbus makes. */
@Tag("side-by-side")
class PythonSuiteTest {
  private static PythonEnvironment environment;
  private static Path model;

  @BeforeAll
  static void prepare() {
    environment = TestPython.environment();
    model =
        PackagedModels.of(
                PythonEnvironment.Settings.defaultCacheFolder(),
                PythonSuiteTest.class.getClassLoader())
            .folder("all-MiniLM-L6-v2")
            .orElseThrow();
  }

  @Test
  void testsPassAndCoverTheCode() throws Exception {
    run("-m", "pytest", "-q", "--cov=ragbus", "--cov-report=term");
  }

  @Test
  @Tag("slow")
  void longFormsPass() throws Exception {
    run("-m", "pytest", "-q", "-m", "slow");
  }

  @Test
  void codeIsFormatted() throws Exception {
    run("-m", "ruff", "format", "--check", ".");
  }

  @Test
  void codeIsClean() throws Exception {
    run("-m", "ruff", "check", ".");
  }

  @Test
  void typesHold() throws Exception {
    run("-m", "mypy", "--strict", "ragbus");
  }

  private static void run(String... arguments) throws IOException, InterruptedException {
    List<String> command = new ArrayList<>(List.of(environment.python().toString()));
    command.addAll(List.of(arguments));
    ProcessBuilder process = new ProcessBuilder(command).directory(Path.of("python").toFile());
    process.environment().put("RAGBUS_TEST_MODEL", model.toString());
    process.environment().put("PYTHONDONTWRITEBYTECODE", "1");
    assertThat(ChildProcess.run(process)).as(String.join(" ", arguments)).isZero();
  }
}
