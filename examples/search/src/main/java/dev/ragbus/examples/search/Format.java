package dev.ragbus.examples.search;

import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.stream.Stream;

/** The kinds of documents that can be indexed, told by the ending of the file's name. */
enum Format {
  MARKDOWN("md", "markdown"),
  TEXT("txt", "text"),
  HTML("html", "htm", "xhtml");

  private final List<String> endings;

  Format(String... endings) {
    this.endings = List.of(endings);
  }

  /** The format of a file; empty for one that is not indexed. */
  static Optional<Format> of(String fileName) {
    String ending = fileName.substring(fileName.lastIndexOf('.') + 1).toLowerCase(Locale.ROOT);
    return Stream.of(values()).filter(format -> format.endings.contains(ending)).findFirst();
  }
}
