// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.python.environment;

import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;

/**
 * What lies around an environment: the variables that its tools are started with, the requirement
 * locks, the JDK that builds jep and runs the preflight. Tests give their own.
 *
 * @param probeLimit how long a Python may take to say what it is
 * @param freeBytes the room on the disk of a folder
 */
record Surroundings(
    Map<String, String> variables,
    RequirementLocks locks,
    Path javaHome,
    Duration probeLimit,
    Space freeBytes) {
  private static final Duration PROBE_LIMIT = Duration.ofSeconds(20);

  /** How much may be written into a folder that exists. */
  interface Space {
    long of(Path folder) throws IOException;
  }

  Surroundings {
    variables = Map.copyOf(variables);
  }

  static Surroundings ofThisProcess() {
    try {
      return new Surroundings(
          System.getenv(),
          RequirementLocks.shipped(),
          Path.of(System.getProperty("java.home")),
          PROBE_LIMIT,
          folder -> Files.getFileStore(folder).getUsableSpace());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** The file that a command's name means, as a shell would find it. */
  Optional<Path> which(String command) {
    if (command.isBlank()) {
      return Optional.empty();
    }
    if (command.contains(File.separator)) {
      return Optional.of(Path.of(command).toAbsolutePath()).filter(Surroundings::isProgram);
    }
    for (String folder : variables.getOrDefault("PATH", "").split(File.pathSeparator)) {
      Path file = Path.of(folder.isEmpty() ? "." : folder).resolve(command).toAbsolutePath();
      if (isProgram(file)) {
        return Optional.of(file);
      }
    }
    return Optional.empty();
  }

  static boolean isProgram(Path file) {
    return Files.isRegularFile(file) && Files.isExecutable(file);
  }

  /**
   * The variables for a Python: the user's own, without those that make Python or pip put things
   * elsewhere; {@code -I} alone would not reach the processes that pip starts.
   */
  Map<String, String> forPython() {
    var result = new HashMap<>(variables);
    result
        .keySet()
        .removeIf(name -> name.startsWith("PYTHON") || name.equals("__PYVENV_LAUNCHER__"));
    return result;
  }
}
