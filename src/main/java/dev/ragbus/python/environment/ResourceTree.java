// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.python.environment;

import java.io.IOException;
import java.io.InputStream;
import java.net.JarURLConnection;
import java.net.URISyntaxException;
import java.net.URL;
import java.net.URLConnection;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Comparator;
import java.util.HexFormat;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.function.Predicate;
import java.util.jar.JarFile;
import java.util.stream.Stream;

/**
 * Files that lie on the class path, in a jar or a folder, by the relative path that each gets when
 * they are unpacked. Immutable; its methods block on files.
 */
record ResourceTree(SortedMap<String, Resource> files) {
  private static final long SMALL_BYTES = 256 * 1024;

  /** One file: where its bytes are, how many, and a text that changes when they do. */
  record Resource(URL url, long size, String fingerprint) {

    /**
     * A large file is known by what its jar's directory says of it: hashing 90 MB would cost more
     * than a start may.
     */
    static Resource at(URL url) throws IOException {
      URLConnection connection = url.openConnection();
      connection.setUseCaches(false);
      try (InputStream in = connection.getInputStream()) {
        long size = connection.getContentLengthLong();
        if (size <= SMALL_BYTES) {
          byte[] bytes = in.readAllBytes();
          return new Resource(url, bytes.length, sha256(bytes));
        }
        String state =
            connection instanceof JarURLConnection jar
                ? "crc " + jar.getJarEntry().getCrc()
                : url + " " + connection.getLastModified();
        return new Resource(url, size, size + " " + state);
      }
    }

    byte[] bytes() throws IOException {
      try (InputStream in = open()) {
        return in.readAllBytes();
      }
    }

    InputStream open() throws IOException {
      URLConnection connection = url.openConnection();
      connection.setUseCaches(false);
      return connection.getInputStream();
    }
  }

  /**
   * The files of the class path's folder that holds {@code marker}, and of the folders below it.
   *
   * @param marker a file in that folder
   * @param wanted which of them to take, by their path relative to it
   */
  static ResourceTree around(URL marker, Predicate<String> wanted) throws IOException {
    var files = new TreeMap<String, Resource>();
    for (String name : names(marker)) {
      if (wanted.test(name)) {
        files.put(name, Resource.at(new URL(marker, name)));
      }
    }
    return new ResourceTree(files);
  }

  private static Iterable<String> names(URL marker) throws IOException {
    URLConnection connection = marker.openConnection();
    if (connection instanceof JarURLConnection jar) {
      connection.setUseCaches(false);
      try (JarFile file = jar.getJarFile()) {
        String entry = jar.getEntryName();
        String prefix = entry.substring(0, entry.lastIndexOf('/') + 1);
        return file.stream()
            .filter(each -> !each.isDirectory() && each.getName().startsWith(prefix))
            .map(each -> each.getName().substring(prefix.length()))
            .toList();
      }
    }
    Path folder = path(marker).getParent();
    try (Stream<Path> all = Files.walk(folder)) {
      return all.filter(Files::isRegularFile)
          .map(each -> folder.relativize(each).toString().replace('\\', '/'))
          .toList();
    }
  }

  private static Path path(URL url) throws IOException {
    try {
      return Path.of(url.toURI());
    } catch (URISyntaxException
        | IllegalArgumentException
        | java.nio.file.FileSystemNotFoundException e) {
      throw new IOException("cannot list the class path at " + url, e);
    }
  }

  /** Changes when a name or the contents of a file do. */
  String fingerprint() {
    var text = new StringBuilder();
    files.forEach(
        (name, file) -> text.append(name).append('\n').append(file.fingerprint()).append('\n'));
    return sha256(text.toString().getBytes(StandardCharsets.UTF_8));
  }

  /**
   * Unpacks the files unless they are there already. The folder appears whole or not at all; one
   * with a file missing or cut short is made again.
   */
  void unpack(Path target) throws IOException {
    if (complete(target)) {
      return;
    }
    FolderLock.holding(
        sibling(target, ".lock"),
        () -> {},
        () -> {
          if (!complete(target)) {
            copy(sibling(target, ".tmp"), target);
          }
          return target;
        });
  }

  private void copy(Path temporary, Path target) throws IOException {
    delete(temporary);
    for (Map.Entry<String, Resource> file : files.entrySet()) {
      Path to = temporary.resolve(file.getKey());
      Files.createDirectories(to.getParent());
      try (InputStream in = file.getValue().open()) {
        Files.copy(in, to);
      }
    }
    delete(target);
    Files.move(temporary, target, StandardCopyOption.ATOMIC_MOVE);
  }

  private boolean complete(Path target) throws IOException {
    for (Map.Entry<String, Resource> file : files.entrySet()) {
      Path path = target.resolve(file.getKey());
      if (!Files.isRegularFile(path) || Files.size(path) != file.getValue().size()) {
        return false;
      }
    }
    return true;
  }

  private static Path sibling(Path path, String suffix) {
    return path.resolveSibling(path.getFileName() + suffix);
  }

  /** Deletes a folder with all that is in it, if it is there. */
  static void delete(Path folder) throws IOException {
    if (!Files.exists(folder)) {
      return;
    }
    try (Stream<Path> all = Files.walk(folder)) {
      for (Path path : all.sorted(Comparator.reverseOrder()).toList()) {
        Files.deleteIfExists(path);
      }
    }
  }

  static String sha256(byte[] bytes) {
    try {
      return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError("every Java has SHA-256", e);
    }
  }
}
