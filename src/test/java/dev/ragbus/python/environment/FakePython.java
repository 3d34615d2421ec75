// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.python.environment;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * A folder with shell scripts that behave as a Python, its virtual environments, pip and a JDK do,
 * as far as {@link PythonEnvironment} can see, and that fail, hang or wait on demand. Everything
 * that is run is noted in {@code log}.
 */
record FakePython(Path folder, Map<String, String> variables) {
  static final String JEP = "4.3.1";

  /** The scripts are in {@code folder/bin}, which is all of the PATH but the shell's own tools. */
  static FakePython in(Path folder) throws IOException {
    Path tools = Files.createDirectories(folder.resolve("tools"));
    for (String tool : List.of("sh", "mkdir", "cp", "dirname", "sleep", "cat", "ln", "touch")) {
      Files.createSymbolicLink(tools.resolve(tool), real(tool));
    }
    Files.createDirectories(folder.resolve("bin"));
    for (String file : List.of("libpython.so", "Python.h", "log")) {
      Files.createFile(folder.resolve(file));
    }
    script(folder.resolve("bin/cc"), "exit 0");
    script(
        folder.resolve("jdk/bin/java"),
        "echo \"$@\" >> " + folder + "/log",
        "echo '" + Preflight.PASSED + "'");
    script(folder.resolve("jdk/bin/javac"), "exit 0");
    Files.createFile(Files.createDirectories(folder.resolve("jdk/include")).resolve("jni.h"));
    Files.createDirectories(folder.resolve("locks"));
    Files.writeString(folder.resolve("locks/runtime.lock"), "one==1 --hash=x\ntwo==2 --hash=y\n");
    Files.writeString(folder.resolve("locks/jep.lock"), "jep==" + JEP + " --hash=z\n");
    for (String extra : List.of("more", "torch", "cuda")) {
      Files.writeString(folder.resolve("locks/" + extra + ".lock"), "three==3 --hash=z\n");
    }
    return new FakePython(folder, Map.of("PATH", folder.resolve("bin") + ":" + tools));
  }

  private static Path real(String tool) {
    return Surroundings.ofThisProcess().which(tool).orElseThrow();
  }

  static Path script(Path file, String... lines) throws IOException {
    Files.createDirectories(file.getParent());
    Files.writeString(file, "#!/bin/sh\n" + String.join("\n", lines) + "\n");
    return Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rwxr-xr-x"));
  }

  Path bin(String name) {
    return folder.resolve("bin").resolve(name);
  }

  /** One that works. */
  FakePython python(String name, String version) throws IOException {
    return python(name, version, Map.of());
  }

  /**
   * One that works but for what {@code facts} changes: an answer, or what is done ({@code onVenv},
   * {@code onPip}, {@code onImport}: lines of shell run first).
   */
  FakePython python(String name, String version, Map<String, String> facts) throws IOException {
    var answers = new HashMap<String, String>();
    answers.put("implementation", "cpython");
    answers.put("free_threaded", "False");
    answers.put("base", folder.toString());
    answers.put("base_executable", bin(name).toString());
    answers.put("machine", System.getProperty("os.arch"));
    answers.put("compiler", "");
    answers.put("headers", folder.resolve("Python.h").toString());
    answers.put("venv", "True");
    answers.put("libpython", folder.resolve("libpython.so").toString());
    answers.putAll(facts);
    var answering = new StringBuilder("echo ragbus:version=" + version + "\n");
    answers.forEach(
        (fact, value) -> {
          if (!fact.startsWith("on")) {
            answering.append("echo ragbus:").append(fact).append('=').append(value).append('\n');
          }
        });
    script(
        bin(name),
        "here=$(cd \"$(dirname \"$0\")\" && pwd)",
        "case \"$2 $3\" in",
        "'-m venv')",
        "  echo venv \"$4\" >> " + folder + "/log",
        facts.getOrDefault("onVenv", ""),
        "  mkdir -p \"$4/bin\" \"$4/lib\"",
        "  cp \"$0\" \"$4/bin/python\" ;;",
        "'-m pip')",
        "  echo \"$@\" >> " + folder + "/log",
        "  echo index \"$PIP_INDEX_URL\" retries \"$PIP_RETRIES\" user \"$PIP_USER\" target \"$PIP_TARGET\" >> "
            + folder
            + "/log",
        facts.getOrDefault("onPip", ""),
        "  case \"$*\" in",
        "  *jep.lock) mkdir -p \"$here/../lib/jep\"; touch \"$here/../lib/jep/libjep.so\"",
        "    echo \"__VERSION__ = '"
            + facts.getOrDefault("jep", JEP)
            + "'\" > \"$here/../lib/jep/version.py\" ;;",
        "  *) echo 'Ignoring colorama: markers'; echo 'Collecting one==1 (from x)';"
            + " echo 'Collecting two==2 (from x)'; echo 'Installing collected packages: one, two' ;;",
        "  esac ;;",
        "*answer*)",
        answering.toString(),
        "  echo ragbus:platlib=$here/../lib ;;",
        "*)",
        "  echo import >> " + folder + "/log",
        facts.getOrDefault("onImport", ":") + " ;;",
        "esac");
    return this;
  }

  Surroundings surroundings() throws IOException {
    return surroundings(Map.of());
  }

  Surroundings surroundings(Map<String, String> more) throws IOException {
    var all = new HashMap<>(variables);
    all.putAll(more);
    return new Surroundings(
        all,
        RequirementLocks.around(folder.resolve("locks/runtime.lock").toUri().toURL()),
        folder.resolve("jdk"),
        Duration.ofSeconds(10),
        any -> 1L << 40);
  }

  PythonEnvironment.Settings settings(String... extras) {
    return new PythonEnvironment.Settings(
        "python3", Optional.empty(), folder.resolve("cache"), List.of(extras));
  }

  List<String> log(String start) throws IOException {
    return Files.readAllLines(folder.resolve("log")).stream()
        .filter(line -> line.startsWith(start))
        .toList();
  }
}
