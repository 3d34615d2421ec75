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
 * Makes one environment: what building needs is checked first, so that nothing is downloaded in
 * vain; then come the virtual environment, the locked wheels, jep from its source, and the extras.
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

  /** Makes it in a new folder and returns its Python. */
  Path into(Path folder) throws IOException {
    checkTools();
    progress.accept("Making a Python " + base.version() + " environment in " + folder);
    Path venv = folder.resolve("venv");
    makeVenv(venv);
    Path python = venv.resolve("bin").resolve("python");
    pip(python, folder, "runtime", List.of("--only-binary", ":all:", "--no-deps"));
    progress.accept("Building jep " + surroundings.locks().jepVersion() + "…");
    pip(
        python,
        folder,
        "jep",
        List.of("--no-build-isolation", "--no-deps", "--no-cache-dir", "--no-binary", "jep"));
    for (String extra : extras) {
      pip(python, folder, extra, List.of("--only-binary", ":all:", "--no-deps"));
    }
    return python;
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

  private void makeVenv(Path venv) throws IOException {
    List<String> words = List.of(base.executable().toString(), "-I", "-m", "venv", venv.toString());
    var outcome =
        new Command(words, surroundings.forPython(), venv.getParent(), STEP_LIMIT).run(line -> {});
    if (!outcome.succeeded()) {
      throw failure(
          outcome,
          base.executable()
              + " -m venv failed: install venv and ensurepip (Debian, Ubuntu: apt install python3-venv)");
    }
  }

  private void pip(Path python, Path folder, String lock, List<String> options) throws IOException {
    Path file = surroundings.locks().write(lock, folder);
    var words =
        new ArrayList<>(
            List.of(python.toString(), "-I", "-m", "pip", "install", "--require-hashes"));
    words.addAll(List.of("--disable-pip-version-check", "--no-input", "--progress-bar", "off"));
    words.addAll(options);
    words.addAll(List.of("-r", file.toString()));
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
      if (line.startsWith("Ignoring ")) {
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
