// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.regex.MatchResult;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The pages' links lead somewhere, and the Java they show is compiled. */
class DocumentationTest {
  private static final Pattern LINK = Pattern.compile("(?<!`)]\\(([^)\\s]+)\\)");
  private static final Pattern HEADING = Pattern.compile("(?m)^#+ (.*)$");
  private static final Pattern JAVA = Pattern.compile("(?s)```java\\n(.*?)```");

  static List<Path> pages() throws IOException {
    try (Stream<Path> docs = Files.list(Path.of("docs"))) {
      List<Path> pages = new ArrayList<>(docs.filter(it -> it.toString().endsWith(".md")).toList());
      pages.add(Path.of("README.md"));
      return pages;
    }
  }

  @ParameterizedTest
  @MethodSource("pages")
  void linksLeadSomewhere(Path page) throws IOException {
    for (MatchResult link : matches(LINK, Files.readString(page))) {
      String target = link.group(1);
      if (target.contains("://")) {
        continue;
      }
      String[] parts = target.split("#", 2);
      Path file = parts[0].isEmpty() ? page : page.resolveSibling(parts[0]);
      assertThat(file).exists();
      if (parts.length == 2) {
        assertThat(anchors(file)).as(page + " -> " + target).contains(parts[1]);
      }
    }
  }

  /** As GitHub makes them. */
  private static List<String> anchors(Path page) throws IOException {
    return matches(HEADING, Files.readString(page)).stream()
        .map(heading -> heading.group(1).toLowerCase(Locale.ROOT))
        .map(heading -> heading.replaceAll("[^\\p{L}\\p{N} _-]", "").replace(' ', '-'))
        .toList();
  }

  @ParameterizedTest
  @MethodSource("pages")
  void theJavaIsCompiled(Path page) throws IOException {
    String compiled = compiled();
    for (MatchResult block : matches(JAVA, Files.readString(page))) {
      assertThat(compiled).as(page.toString()).contains(withoutSpace(block.group(1)));
    }
  }

  private static String compiled() throws IOException {
    try (Stream<Path> sources = Files.walk(Path.of("src/test/java"))) {
      return sources
          .filter(it -> it.toString().endsWith(".java"))
          .map(DocumentationTest::read)
          .map(DocumentationTest::withoutSpace)
          .collect(Collectors.joining());
    }
  }

  private static String read(Path file) {
    try {
      return Files.readString(file);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Indentation and breaks of lines differ from place to place. */
  private static String withoutSpace(String code) {
    return code.replaceAll("\\s+", "");
  }

  private static List<MatchResult> matches(Pattern pattern, String text) {
    Matcher matcher = pattern.matcher(text);
    return matcher.results().toList();
  }

  @Test
  void thereAreBlocksAndLinksToCheck() throws IOException {
    String all = pages().stream().map(DocumentationTest::read).collect(Collectors.joining());

    assertThat(matches(JAVA, all)).hasSizeGreaterThan(3);
    assertThat(matches(LINK, all)).hasSizeGreaterThan(10);
  }
}
