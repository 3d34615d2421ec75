// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.python.environment;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.function.Consumer;

/**
 * A Python environment that has been made, checked and can be loaded into this JVM: the shipped
 * requirements and jep's native library in a virtual environment of the user's cache folder, and
 * the {@code ragbus} Python package unpacked beside it. All paths are absolute.
 *
 * @param python the environment's own executable
 * @param folder the environment: {@code sys.prefix} of its Python
 * @param jepLibrary jep's native library, of the same version as jep's classes
 * @param pythonVersion such as {@code 3.11.7}
 * @param packageFolder the folder to put on {@code sys.path}, which holds {@code ragbus}
 */
public record PythonEnvironment(
    Path python, Path folder, Path jepLibrary, String pythonVersion, Path packageFolder) {
  static final String DISK_FULL =
      "The disk is full: make room for the Python environment (about 500 MB)";

  /**
   * What environment is wanted.
   *
   * @param pythonPath the Python to make it with, a path or a name on the PATH; one that does not
   *     fit is passed over for another on the PATH
   * @param environment an existing one to use instead, which is checked and never changed
   * @param cacheFolder where environments, the unpacked package and models are kept
   * @param extras further locks to install, by name
   */
  public record Settings(
      String pythonPath, Optional<Path> environment, Path cacheFolder, List<String> extras) {
    /** Makes the cache folder absolute. */
    public Settings {
      Objects.requireNonNull(pythonPath, "pythonPath");
      Objects.requireNonNull(environment, "environment");
      cacheFolder = cacheFolder.toAbsolutePath().normalize();
      extras = extras.stream().distinct().sorted().toList();
    }

    /**
     * The defaults: {@code python3}, an environment of our own in the user's cache folder, no
     * extras.
     */
    public static Settings defaults() {
      return new Settings("python3", Optional.empty(), defaultCacheFolder(), List.of());
    }

    /**
     * {@code $XDG_CACHE_HOME/ragbus}, or {@code ~/.cache/ragbus}; on macOS {@code
     * ~/Library/Caches/ragbus}.
     */
    public static Path defaultCacheFolder() {
      String chosen = System.getenv().getOrDefault("XDG_CACHE_HOME", "");
      Path home = Path.of(System.getProperty("user.home"));
      boolean mac = System.getProperty("os.name").startsWith("Mac");
      Path caches =
          !chosen.isEmpty() ? Path.of(chosen) : home.resolve(mac ? "Library/Caches" : ".cache");
      return caches.resolve("ragbus");
    }
  }

  /**
   * Finds the environment, or makes it, which takes a while and needs a network; then checks it
   * once in child processes. Blocks: call it on a worker thread. Safe in several threads and
   * processes at once: one makes it, the others wait. A ready environment costs only a few file
   * reads.
   *
   * @param progress told, line by line, what is going on when it takes long; on this thread or
   *     another
   * @throws PythonEnvironmentException if there is none to be had: its message says what to do
   */
  public static PythonEnvironment prepare(Settings settings, Consumer<String> progress) {
    return prepare(settings, progress, Surroundings.ofThisProcess());
  }

  static PythonEnvironment prepare(
      Settings settings, Consumer<String> progress, Surroundings surroundings) {
    try {
      return new Preparation(settings, surroundings, progress).environment();
    } catch (IOException e) {
      if (String.valueOf(e.getMessage()).contains("No space left on device")) {
        throw new PythonEnvironmentException(DISK_FULL, e);
      }
      throw new PythonEnvironmentException(
          "The Python environment in "
              + settings.cacheFolder()
              + " cannot be read or written: "
              + e,
          e);
    }
  }
}
