// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Each test that docs/security.md names beside a promise is there. */
class SecurityDocumentTest {
  private static final Pattern NAMED =
      Pattern.compile("`(?<file>[A-Z]\\w+Test|test_\\w+)(\\.(?<test>\\w+))?`");

  static List<MatchResult> named() throws IOException {
    List<MatchResult> named =
        Files.readAllLines(Path.of("docs/security.md")).stream()
            .filter(line -> line.startsWith("| "))
            .flatMap(line -> NAMED.matcher(line).results())
            .toList();
    assertThat(named).hasSizeGreaterThan(20);
    return named;
  }

  static Stream<String> tests() throws IOException {
    return named().stream().map(it -> it.group(1) + "." + it.group(3));
  }

  @ParameterizedTest
  @MethodSource("tests")
  void theTestIsThere(String named) throws IOException {
    String[] parts = named.split("\\.");
    boolean python = parts[0].startsWith("test_");
    Path folder = Path.of(python ? "python/tests" : "src/test/java");
    String name = parts[0] + (python ? ".py" : ".java");
    try (Stream<Path> files = Files.walk(folder)) {
      Path file = files.filter(it -> it.endsWith(name)).findFirst().orElseThrow();
      if (!parts[1].equals("null")) {
        assertThat(Files.readString(file))
            .containsPattern((python ? "def " : "(void|ArchRule) ") + parts[1] + "\\b");
      }
    }
  }
}
