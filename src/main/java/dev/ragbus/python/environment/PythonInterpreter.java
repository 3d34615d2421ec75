// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.python.environment;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Consumer;

/**
 * A Python that was asked, in a child process, what it is.
 *
 * @param executable what was started
 * @param facts its answers: see {@link #QUESTIONS}
 */
record PythonInterpreter(Path executable, Map<String, String> facts) {
  static final String INSTALL =
      "install Python 3.11, 3.12 or 3.13 with headers and venv (Debian, Ubuntu: apt install python3-dev python3-venv)";
  private static final List<String> CANDIDATES =
      List.of("python3", "python", "python3.13", "python3.12", "python3.11");
  private static final Set<String> VERSIONS = Set.of("3.11", "3.12", "3.13");
  private static final String ANSWER = "ragbus:";

  // The version comes first and in words that every Python 3 knows: an old one fails after it.
  private static final String QUESTIONS =
      """
      import sys
      def answer(name, value):
          print("ragbus:%s=%s" % (name, value))
          sys.stdout.flush()
      answer("version", "%d.%d.%d" % sys.version_info[:3])
      import importlib.util, os, platform, sysconfig
      var = lambda name: str(sysconfig.get_config_var(name) or "")
      there = lambda *files: next((f for f in files if os.path.isfile(f)), "")
      base = os.path.realpath(sys.base_prefix)
      answer("implementation", sys.implementation.name)
      answer("free_threaded", var("Py_GIL_DISABLED") == "1")
      answer("base", base)
      answer("base_executable", os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable))
      answer("machine", platform.machine())
      answer("compiler", (var("CC").split() or [""])[0])
      answer("headers", there(os.path.join(sysconfig.get_path("include"), "Python.h")))
      answer("venv", all(importlib.util.find_spec(name) for name in ("venv", "ensurepip")))
      answer("libpython", there(*[
          os.path.join(folder, name)
          for folder in (var("LIBDIR"), os.path.join(var("LIBDIR"), var("MULTIARCH")),
                         os.path.join(base, "lib"), var("PYTHONFRAMEWORKPREFIX"))
          for name in (var("INSTSONAME"), var("LDLIBRARY")) if name and not name.endswith(".a")]))
      answer("platlib", sysconfig.get_path("platlib"))
      """;

  String version() {
    return facts.get("version");
  }

  /** One of its answers as a file; empty where it has none. */
  Path file(String fact) {
    return Path.of(facts.getOrDefault(fact, ""));
  }

  boolean has(String fact) {
    return !facts.getOrDefault(fact, "").isEmpty() && !facts.get(fact).equals("False");
  }

  /**
   * The first of the candidates that runs and has a version that fits; the others are passed over.
   *
   * @throws PythonEnvironmentException if none is left: it lists what was tried
   */
  static PythonInterpreter find(
      String pythonPath, Surroundings surroundings, Consumer<String> progress) {
    List<String> tried = new ArrayList<>();
    for (String candidate : candidates(pythonPath)) {
      try {
        PythonInterpreter found = ask(candidate, surroundings);
        if (!tried.isEmpty()) {
          progress.accept(
              "Passing over " + String.join(", ", tried) + ": using " + found.executable());
        }
        return found;
      } catch (PythonEnvironmentException e) {
        tried.add(candidate + " (" + e.getMessage() + ")");
      }
    }
    throw new PythonEnvironmentException(
        "No Python that Ragbus can use: tried " + String.join(", ", tried) + "; " + INSTALL);
  }

  private static Set<String> candidates(String pythonPath) {
    var names = new LinkedHashSet<String>();
    names.add(pythonPath);
    names.addAll(CANDIDATES);
    return names;
  }

  /**
   * Names the files that the candidates are now, without starting one: what {@link #find} finds
   * depends on them.
   */
  static String fingerprint(String pythonPath, Surroundings surroundings) throws IOException {
    var text = new StringBuilder(surroundings.variables().getOrDefault("PYENV_VERSION", ""));
    for (String candidate : candidates(pythonPath)) {
      var file = surroundings.which(candidate);
      text.append('\n').append(candidate).append(' ').append(stamp(file.orElse(Path.of("/-"))));
    }
    return text.toString();
  }

  /** Changes when a file is replaced, comes or goes. */
  static String stamp(Path file) throws IOException {
    return Files.exists(file)
        ? file.toRealPath()
            + " "
            + Files.size(file)
            + " "
            + Files.getLastModifiedTime(file).toMillis()
        : "-";
  }

  /**
   * Asks one Python.
   *
   * @throws PythonEnvironmentException if it does not run or cannot be used: the message is the
   *     reason alone
   */
  static PythonInterpreter ask(String candidate, Surroundings surroundings) {
    Path executable =
        surroundings
            .which(candidate)
            .orElseThrow(() -> new PythonEnvironmentException("not found"));
    Map<String, String> facts = new ConcurrentHashMap<>();
    Command.Outcome outcome;
    try {
      outcome =
          new Command(
                  List.of(executable.toString(), "-I", "-c", QUESTIONS),
                  surroundings.forPython(),
                  Path.of("/"),
                  surroundings.probeLimit())
              .run(line -> note(line, facts));
    } catch (IOException e) {
      throw new PythonEnvironmentException("does not run: " + e.getMessage(), e);
    }
    check(outcome, facts, surroundings);
    return new PythonInterpreter(executable, new HashMap<>(facts));
  }

  private static void note(String line, Map<String, String> facts) {
    int equals = line.indexOf('=');
    if (line.startsWith(ANSWER) && equals > 0) {
      facts.put(line.substring(ANSWER.length(), equals), line.substring(equals + 1).strip());
    }
  }

  private static void check(
      Command.Outcome outcome, Map<String, String> facts, Surroundings surroundings) {
    String version = facts.getOrDefault("version", "");
    if (outcome.timedOut()) {
      throw new PythonEnvironmentException(
          "gave no answer in " + surroundings.probeLimit().toMillis() / 1000.0 + " s");
    }
    if (version.isEmpty()) {
      throw new PythonEnvironmentException(
          "does not run: exit code " + outcome.exitCode(), outcome.tail());
    }
    int lastDot = version.lastIndexOf('.');
    if (lastDot < 0 || !VERSIONS.contains(version.substring(0, lastDot))) {
      throw new PythonEnvironmentException("is " + version + ", not 3.11 to 3.13");
    }
    if (!outcome.succeeded()) {
      throw new PythonEnvironmentException(
          "is broken: exit code " + outcome.exitCode(), outcome.tail());
    }
    if (!"cpython".equals(facts.get("implementation"))) {
      throw new PythonEnvironmentException("is " + facts.get("implementation") + ", not CPython");
    }
    if ("True".equals(facts.get("free_threaded"))) {
      throw new PythonEnvironmentException("is a free-threaded build, which jep does not support");
    }
    checkMachine(facts.getOrDefault("machine", ""));
  }

  private static void checkMachine(String python) {
    String java = System.getProperty("os.arch");
    if (!machine(java).equals(machine(python))) {
      throw new PythonEnvironmentException("is for " + python + ", but this Java is for " + java);
    }
  }

  private static String machine(String name) {
    return name.equals("amd64") ? "x86_64" : name.equals("arm64") ? "aarch64" : name;
  }
}
