// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.python.environment;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * Makes one environment: what building needs and the room for the extras are checked first, so that
 * nothing is downloaded in vain; then come the virtual environment, the locked wheels, jep from its
 * source, and the extras. Where there is an environment with some of that, it is taken from there.
 */
record Installation(
    PythonInterpreter base,
    List<String> extras,
    Surroundings surroundings,
    Consumer<String> progress) {
  private static final Duration STEP_LIMIT = Duration.ofMinutes(5);
  private static final Duration PIP_LIMIT = Duration.ofMinutes(60);
  private static final Pattern COLLECTING =
      Pattern.compile("Collecting ([A-Za-z0-9._-]+)==([^\\s;]+).*");
  private static final Pattern NO_NETWORK =
      Pattern.compile(
          "connection broken by|NewConnectionError|ConnectTimeoutError|ReadTimeoutError|Temporary failure in name"
              + " resolution|Failed to establish a new connection|Connection timed out|Network is unreachable");

  private static final List<String> WHEELS = List.of("--only-binary", ":all:", "--no-deps");

  // Where pip installs and what it takes is ours to say, whatever the user's own settings are.
  private static final List<String> PIP_TARGETS =
      List.of(
          "PIP_TARGET",
          "PIP_PREFIX",
          "PIP_ROOT",
          "PIP_PYTHON",
          "PIP_CONSTRAINT",
          "PIP_REQUIREMENT",
          "PIP_NO_BINARY",
          "PIP_ONLY_BINARY",
          "PIP_DRY_RUN",
          "PIP_QUIET",
          "PIP_VERBOSE");

  /** Makes it in a new folder, from nothing, and returns its Python. */
  Path into(Path folder) throws IOException {
    checkTools();
    checkSpace(folder, extras);
    progress.accept("Making a Python " + base.version() + " environment in " + folder);
    Path python = makeVenv(folder, List.of());
    install(python, folder, "runtime", WHEELS);
    progress.accept("Building jep " + surroundings.locks().jepVersion() + "…");
    install(
        python,
        folder,
        "jep",
        List.of("--no-build-isolation", "--no-deps", "--no-cache-dir", "--no-binary", "jep"));
    install(python, folder, extras);
    return python;
  }

  /** Begins it in a new folder with all that another environment has, which must stay meanwhile. */
  void copy(Path venv, Path folder) throws IOException {
    makeVenv(folder, List.of("--without-pip"));
    LinkedCopy.fill(venv, folder.resolve("venv"));
  }

  /**
   * Completes what {@link #copy} began and returns its Python.
   *
   * @param there the extras that the other environment has
   */
  Path complete(Path folder, List<String> there) throws IOException {
    List<String> missing = extras.stream().filter(extra -> !there.contains(extra)).toList();
    checkSpace(folder, missing);
    progress.accept("Adding " + String.join(", ", missing) + " to the Python environment");
    Path python = folder.resolve("venv").resolve("bin").resolve("python");
    install(python, folder, missing);
    return python;
  }

  private void install(Path python, Path folder, List<String> names) throws IOException {
    for (Extra extra : Extra.of(names)) {
      progress.accept(
          "The extra %s takes about %,d MB, %,d MB of them downloaded: this may take minutes"
              .formatted(extra.name(), extra.installedMegabytes(), extra.downloadMegabytes()));
      if (extra.replaces().isPresent()) {
        pip(python, folder, extra.name(), List.of("uninstall", "--yes", extra.replaces().get()));
      }
    }
    for (String name : names) {
      install(python, folder, name, WHEELS);
    }
  }

  private void checkSpace(Path folder, List<String> names) throws IOException {
    List<Extra> large = Extra.of(names);
    long needed = large.stream().mapToLong(Extra::neededMegabytes).sum();
    long free = surroundings.freeBytes().of(folder) >> 20;
    if (!large.isEmpty() && free < needed) {
      throw new PythonEnvironmentException(
          "python.extras %s needs about %,d MB of disk while it is installed, and %s has %,d MB left: make room, or leave it out"
              .formatted(large.stream().map(Extra::name).toList(), needed, folder, free));
    }
  }

  private void checkTools() {
    if (!base.has("venv")) {
      throw new PythonEnvironmentException(
          base.executable()
              + " has no venv and ensurepip: install them (Debian, Ubuntu: apt install python3-venv)");
    }
    if (!base.has("headers")) {
      throw new PythonEnvironmentException(
          base.executable()
              + " has no headers (Python.h): install them (Debian, Ubuntu: apt install python3-dev)");
    }
    if (!base.has("libpython")) {
      throw new PythonEnvironmentException(
          base.executable()
              + " has no shared libpython: install it (Debian, Ubuntu: apt install python3-dev; pyenv: build with"
              + " PYTHON_CONFIGURE_OPTS=--enable-shared)");
    }
    compiler();
    for (String file : List.of("bin/javac", "include/jni.h")) {
      if (!Files.exists(surroundings.javaHome().resolve(file))) {
        throw new PythonEnvironmentException(
            "Building jep needs a JDK, but "
                + surroundings.javaHome()
                + " has no "
                + file
                + ": install a JDK 17 or newer, not only a JRE, and run with it");
      }
    }
  }

  /** The C compiler: the user's choice, else the one that Python was built with, else any. */
  private String compiler() {
    String chosen = surroundings.variables().getOrDefault("CC", "").strip();
    if (!chosen.isEmpty()) {
      if (surroundings.which(chosen.split("\\s+")[0]).isEmpty()) {
        throw new PythonEnvironmentException(
            "Building jep needs a C compiler, but CC is '" + chosen + "': not found");
      }
      return chosen;
    }
    return Stream.of(base.facts().getOrDefault("compiler", ""), "cc", "gcc", "clang")
        .filter(command -> surroundings.which(command).isPresent())
        .findFirst()
        .orElseThrow(
            () ->
                new PythonEnvironmentException(
                    "Building jep needs a C compiler, and there is no cc, gcc or clang: install one (Debian, Ubuntu:"
                        + " apt install build-essential; macOS: xcode-select --install)"));
  }

  private Path makeVenv(Path folder, List<String> options) throws IOException {
    Path venv = folder.resolve("venv");
    List<String> words =
        new ArrayList<>(List.of(base.executable().toString(), "-I", "-m", "venv", venv.toString()));
    words.addAll(options);
    var outcome = new Command(words, surroundings.forPython(), folder, STEP_LIMIT).run(line -> {});
    if (!outcome.succeeded()) {
      throw failure(
          outcome,
          base.executable()
              + " -m venv failed: install venv and ensurepip (Debian, Ubuntu: apt install python3-venv)");
    }
    return venv.resolve("bin").resolve("python");
  }

  private void install(Path python, Path folder, String lock, List<String> options)
      throws IOException {
    var words = new ArrayList<>(List.of("install", "--require-hashes", "--progress-bar", "off"));
    words.addAll(options);
    words.addAll(List.of("-r", surroundings.locks().write(lock, folder).toString()));
    pip(python, folder, lock, words);
  }

  private void pip(Path python, Path folder, String lock, List<String> arguments)
      throws IOException {
    var words = new ArrayList<>(List.of(python.toString(), "-I", "-m", "pip"));
    words.addAll(List.of("--disable-pip-version-check", "--no-input"));
    words.addAll(arguments);
    var outcome =
        new Command(words, forPip(), folder, PIP_LIMIT)
            .run(new PipProgress(surroundings.locks().pins(lock), progress));
    if (outcome.succeeded()) {
      return;
    }
    if (outcome.printed(line -> NO_NETWORK.matcher(line).find())) {
      throw failure(
          outcome,
          "pip cannot reach the package index: connect to the network, or set PIP_INDEX_URL,"
              + " PIP_CERT or HTTPS_PROXY as your network needs");
    }
    throw failure(
        outcome,
        lock.equals("jep")
            ? "Building jep failed; the end of its output is in the cause"
            : "pip could not install " + lock + ".lock; the end of its output is in the cause");
  }

  private static PythonEnvironmentException failure(Command.Outcome outcome, String message) {
    if (outcome.printed(line -> line.contains("No space left on device"))) {
      return new PythonEnvironmentException(PythonEnvironment.DISK_FULL, outcome.tail());
    }
    String end = outcome.timedOut() ? " (ended: it took too long)" : "";
    return new PythonEnvironmentException(message + end, outcome.tail());
  }

  private Map<String, String> forPip() {
    Map<String, String> result = new HashMap<>(surroundings.forPython());
    PIP_TARGETS.forEach(result::remove);
    result.put("PIP_USER", "0");
    // Without a network, pip's own defaults would take minutes to say so.
    result.putIfAbsent("PIP_RETRIES", "1");
    if (!result.containsKey("PIP_TIMEOUT")) {
      result.putIfAbsent("PIP_DEFAULT_TIMEOUT", "15");
    }
    result.put("JAVA_HOME", surroundings.javaHome().toString());
    result.put("CC", compiler());
    return result;
  }

  /** Turns pip's output into one line of progress a package. */
  private static final class PipProgress implements Consumer<String> {
    private final AtomicInteger total;
    private final AtomicInteger done = new AtomicInteger();
    private final Consumer<String> progress;

    PipProgress(int pins, Consumer<String> progress) {
      this.total = new AtomicInteger(pins);
      this.progress = progress;
    }

    @Override
    public void accept(String line) {
      if (line.startsWith("Ignoring ") || line.startsWith("Requirement already satisfied")) {
        total.decrementAndGet();
      }
      Matcher collecting = COLLECTING.matcher(line);
      if (line.startsWith("Installing collected packages") && done.get() > 1) {
        progress.accept("Unpacking " + done.get() + " packages…");
      } else if (collecting.matches() && total.get() > 1) {
        progress.accept(
            "Installing %s %s (%d of %d)…"
                .formatted(
                    collecting.group(1), collecting.group(2), done.incrementAndGet(), total.get()));
      }
    }
  }
}
