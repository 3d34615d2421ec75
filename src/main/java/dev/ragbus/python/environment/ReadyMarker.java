// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.python.environment;

import java.io.IOException;
import java.io.StringReader;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Optional;
import java.util.Properties;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The file that is written last, when an environment has been made or checked: where its parts are.
 * An environment without one is half-made.
 *
 * @param stamp of the interpreter that the environment was made from, and of jep's library
 */
record ReadyMarker(
    Path folder,
    Path python,
    String pythonVersion,
    Path jepLibrary,
    Path libpython,
    Path baseExecutable,
    String stamp) {
  private static final Pattern VERSION =
      Pattern.compile("(?m)^__VERSION__ *= *['\"]([^'\"]+)['\"]");

  /** The parts of an environment whose Python has answered. */
  static ReadyMarker of(Path folder, PythonInterpreter python) throws IOException {
    Path jep = python.file("platlib").resolve("jep");
    Path library = jep.resolve("libjep.jnilib");
    library = Files.exists(library) ? library : jep.resolve("libjep.so");
    Path base = python.file("base_executable");
    return new ReadyMarker(
        folder,
        python.executable(),
        python.version(),
        library,
        python.file("libpython"),
        base,
        stamp(base, library));
  }

  private static String stamp(Path base, Path library) throws IOException {
    return PythonInterpreter.stamp(base) + " " + PythonInterpreter.stamp(library);
  }

  /** The marker in a file; empty if there is none, or not a whole one. */
  static Optional<ReadyMarker> read(Path file) throws IOException {
    if (!Files.isRegularFile(file)) {
      return Optional.empty();
    }
    var lines = new Properties();
    try {
      lines.load(new StringReader(Files.readString(file)));
      return Optional.of(
          new ReadyMarker(
              Path.of(lines.getProperty("folder")),
              Path.of(lines.getProperty("python")),
              lines.getProperty("pythonVersion"),
              Path.of(lines.getProperty("jepLibrary")),
              Path.of(lines.getProperty("libpython")),
              Path.of(lines.getProperty("baseExecutable")),
              lines.getProperty("stamp")));
    } catch (NullPointerException | IllegalArgumentException e) {
      return Optional.empty();
    }
  }

  void write(Path file) throws IOException {
    var lines = new Properties();
    lines.setProperty("folder", folder.toString());
    lines.setProperty("python", python.toString());
    lines.setProperty("pythonVersion", pythonVersion);
    lines.setProperty("jepLibrary", jepLibrary.toString());
    lines.setProperty("libpython", libpython.toString());
    lines.setProperty("baseExecutable", baseExecutable.toString());
    lines.setProperty("stamp", stamp);
    var text = new StringWriter();
    lines.store(text, null);
    replace(file, text.toString());
  }

  /** Writes a small file so that it is never seen half-written. */
  static void replace(Path file, String text) throws IOException {
    Files.createDirectories(file.getParent());
    Path temporary = Files.createTempFile(file.getParent(), ".", ".tmp");
    Files.writeString(temporary, text);
    Files.move(
        temporary, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
  }

  /** Whether all of it is still there, the base interpreter the same, and jep of this version. */
  boolean holds(String jepVersion) throws IOException {
    return Surroundings.isProgram(python)
        && Files.isRegularFile(jepLibrary)
        && Files.isRegularFile(libpython)
        && Files.isRegularFile(baseExecutable)
        && stamp.equals(stamp(baseExecutable, jepLibrary))
        && installedJep().equals(Optional.of(jepVersion));
  }

  /** The version of jep that is installed, as its own file says. */
  Optional<String> installedJep() throws IOException {
    Path file = jepLibrary.resolveSibling("version.py");
    if (!Files.isRegularFile(file)) {
      return Optional.empty();
    }
    Matcher version = VERSION.matcher(Files.readString(file));
    return version.find() ? Optional.of(version.group(1)) : Optional.empty();
  }
}
