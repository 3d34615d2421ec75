// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.python.environment;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.stream.Stream;

/**
 * Fills a new virtual environment with what another one has, as hard links: gigabytes take no time
 * and no space. pip replaces files rather than writing into them, so each stays as it was made.
 */
final class LinkedCopy {
  private LinkedCopy() {}

  /** Links what {@code to} does not have; scripts, which name their Python, are written anew. */
  static void fill(Path from, Path to) throws IOException {
    try (Stream<Path> all = Files.walk(from)) {
      all.forEach(source -> link(source, to.resolve(from.relativize(source)), from, to));
    } catch (UncheckedIOException e) {
      throw e.getCause();
    }
  }

  private static void link(Path source, Path target, Path from, Path to) {
    try {
      if (Files.exists(target, LinkOption.NOFOLLOW_LINKS)) {
        return;
      }
      if (Files.isDirectory(source)) {
        Files.createDirectory(target);
      } else if (isScript(source, from)) {
        Files.copy(source, target, StandardCopyOption.COPY_ATTRIBUTES);
        String text = Files.readString(source, StandardCharsets.ISO_8859_1);
        Files.writeString(
            target, text.replace(from.toString(), to.toString()), StandardCharsets.ISO_8859_1);
      } else {
        hardLink(source, target);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static boolean isScript(Path file, Path environment) throws IOException {
    if (!file.getParent().equals(environment.resolve("bin"))) {
      return false;
    }
    try (var in = Files.newInputStream(file)) {
      return in.read() == '#' && in.read() == '!';
    }
  }

  private static void hardLink(Path source, Path target) throws IOException {
    try {
      Files.createLink(target, source);
    } catch (UnsupportedOperationException | FileSystemException e) {
      // A file system without hard links, or one whose limit of links is reached.
      Files.copy(source, target, StandardCopyOption.COPY_ATTRIBUTES);
    }
  }
}
