// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** The guards and the tests that the page about reliability names exist. */
class ReliabilityDocumentTest {
  private static final Pattern MEMBER = Pattern.compile("`(\\w+)\\.(\\w+)`");

  private static List<List<String>> table(String heading) throws IOException {
    String page = Files.readString(Path.of("docs/reliability.md"));
    String section = page.substring(page.indexOf("## " + heading + "\n"));
    return section
        .substring(0, section.indexOf("\n## ", 1))
        .lines()
        .filter(line -> line.startsWith("| "))
        .skip(1)
        .map(line -> List.of(line.split("\\|")).stream().skip(1).map(String::strip).toList())
        .toList();
  }

  @Test
  void eachTrapHasItsGuardAndItsTest() throws IOException {
    List<List<String>> traps = table("Traps");
    assertThat(traps).hasSize(20);
    for (int i = 0; i < traps.size(); i++) {
      List<String> trap = traps.get(i);
      assertThat(trap.get(0)).isEqualTo(String.valueOf(i + 1));
      assertThat(trap.get(4)).as("what was seen without %s", trap.get(2)).isNotBlank();
      assertExist(trap.get(2), Path.of("src/main/java"), Path.of("python/ragbus"));
      assertExist(trap.get(3), Path.of("src/test/java"), Path.of("python/tests"));
    }
  }

  @Test
  void eachFaultHasItsTest() throws IOException {
    List<List<String>> faults = table("Faults");
    assertThat(faults).hasSizeGreaterThan(10);
    for (List<String> fault : faults) {
      assertExist(fault.get(3), Path.of("src/test/java"), Path.of("python/tests"));
    }
  }

  /** A class's file of Java, or a module's of Python, has what it is said to have. */
  private static void assertExist(String cell, Path java, Path python) throws IOException {
    List<String> members = new ArrayList<>();
    var found = MEMBER.matcher(cell);
    while (found.find()) {
      String file = found.group(1);
      String name = Pattern.quote(found.group(2));
      members.add(file);
      boolean ofPython = Character.isLowerCase(file.charAt(0));
      String source = source(ofPython ? python : java, file + (ofPython ? ".py" : ".java"));
      String declared =
          ofPython ? "def " + name + "\\(" : "(?m)^ +[\\w@<>., ]+ " + name + "( =|\\()";
      assertThat(Pattern.compile(declared).matcher(source).find())
          .as("%s.%s", file, found.group(2))
          .isTrue();
    }
    assertThat(members).as(cell).isNotEmpty();
  }

  private static String source(Path folder, String file) throws IOException {
    try (Stream<Path> files = Files.walk(folder)) {
      return Files.readString(
          files
              .filter(it -> it.getFileName().toString().equals(file))
              .findFirst()
              .orElseThrow(() -> new AssertionError("there is no " + file)));
    }
  }
}
