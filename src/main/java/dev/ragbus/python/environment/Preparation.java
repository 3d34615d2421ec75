// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.python.environment;

import java.io.IOException;
import java.net.URL;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.stream.Stream;

/**
 * One call of {@link PythonEnvironment#prepare}. In the cache folder it keeps
 *
 * <pre>
 * env/KEY/ready.properties   the marker, written last: where the environment is
 * env/KEY/N/venv             the environment, made by the N-th attempt; what another KEY's had too is linked from there
 * env/KEY.lock               held by the one who makes it
 * env/known/HASH             the KEY that these settings led to: spares starting a Python to learn its version
 * env/checked/HASH           the marker of an environment that the user gave
 * package/HASH/ragbus        the Python package
 * </pre>
 */
record Preparation(
    PythonEnvironment.Settings settings, Surroundings surroundings, Consumer<String> progress) {
  private static final System.Logger LOG = System.getLogger(Preparation.class.getName());

  PythonEnvironment environment() throws IOException {
    surroundings.locks().check(settings.extras());
    Path packageFolder = unpackPackage();
    ReadyMarker ready =
        settings.environment().isPresent() ? given(settings.environment().get()) : own();
    return new PythonEnvironment(
        ready.python(), ready.folder(), ready.jepLibrary(), ready.pythonVersion(), packageFolder);
  }

  private Path unpackPackage() throws IOException {
    URL start = PythonEnvironment.class.getResource("/dev/ragbus/python/ragbus/__init__.py");
    if (start == null) {
      throw new PythonEnvironmentException(
          "Ragbus's jar lacks its Python package (dev/ragbus/python/ragbus): build it anew");
    }
    ResourceTree files =
        ResourceTree.around(
            start,
            name -> name.endsWith(".py") || List.of("py.typed", "calibration.txt").contains(name));
    Path folder =
        settings.cacheFolder().resolve("package").resolve(files.fingerprint().substring(0, 16));
    files.unpack(folder.resolve("ragbus"));
    return folder;
  }

  private Path environments() {
    return settings.cacheFolder().resolve("env");
  }

  /** An environment that the user gave: checked once for as long as it does not change. */
  private ReadyMarker given(Path environment) throws IOException {
    Path folder = environment.toAbsolutePath().normalize();
    Path python = folder.resolve("bin").resolve("python");
    if (!Surroundings.isProgram(python)) {
      throw new PythonEnvironmentException(
          "The environment " + folder + " is none: it has no bin/python");
    }
    String jep = EnvironmentCheck.jarVersion().orElse(surroundings.locks().jepVersion());
    Path marker =
        environments()
            .resolve("checked")
            .resolve(shortHash(folder + " " + jep + " " + settings.extras()));
    Optional<ReadyMarker> ready = ReadyMarker.read(marker);
    if (ready.isPresent() && ready.get().holds(jep)) {
      return ready.get();
    }
    ReadyMarker checked = check(folder, python, jep);
    checked.write(marker);
    return checked;
  }

  private ReadyMarker own() throws IOException {
    String jep = surroundings.locks().jepVersion();
    Optional<String> jar = EnvironmentCheck.jarVersion();
    if (jar.isPresent() && !jar.get().equals(jep)) {
      throw new PythonEnvironmentException(
          "jep %s is on the class path, but Ragbus builds jep %s, and they crash the JVM when they differ: take org.ninia:jep:%s"
              .formatted(jar.get(), jep, jep));
    }
    Path known = environments().resolve("known").resolve(shortHash(quickFacts(jep)));
    if (Files.isRegularFile(known)) {
      Optional<ReadyMarker> ready =
          ReadyMarker.read(marker(environments().resolve(Files.readString(known).strip())));
      if (ready.isPresent() && ready.get().holds(jep)) {
        return ready.get();
      }
    }
    PythonInterpreter base = PythonInterpreter.find(settings.pythonPath(), surroundings, progress);
    String key = key(base, settings.extras(), jep);
    ReadyMarker ready = makeOnce(base, environments().resolve(key), jep);
    ReadyMarker.replace(known, key);
    return ready;
  }

  private static Path marker(Path home) {
    return home.resolve("ready.properties");
  }

  /**
   * All that decides which environment is ours, as far as it is known without starting a Python.
   */
  private String quickFacts(String jep) throws IOException {
    return String.join(
        "\n",
        PythonInterpreter.fingerprint(settings.pythonPath(), surroundings),
        surroundings.locks().fingerprint(settings.extras()),
        jep);
  }

  private String key(PythonInterpreter base, List<String> extras, String jep) {
    String facts =
        String.join(
            "\n",
            base.version(),
            base.facts().get("base"),
            base.facts().get("machine"),
            surroundings.locks().fingerprint(extras),
            jep);
    return base.version() + "-" + shortHash(facts);
  }

  private static String shortHash(String text) {
    return ResourceTree.sha256(text.getBytes(StandardCharsets.UTF_8)).substring(0, 16);
  }

  private static Path lockFile(Path home) {
    return home.resolveSibling(home.getFileName() + ".lock");
  }

  private ReadyMarker makeOnce(PythonInterpreter base, Path home, String jep) throws IOException {
    return FolderLock.holding(
        lockFile(home),
        () -> progress.accept("Waiting for another process that makes " + home + "…"),
        () -> {
          Optional<ReadyMarker> ready = ReadyMarker.read(marker(home));
          if (ready.isPresent() && ready.get().holds(jep)) {
            return ready.get();
          }
          Files.deleteIfExists(marker(home));
          ReadyMarker made = make(base, newAttempt(home), jep);
          made.write(marker(home));
          progress.accept("The Python environment is ready");
          return made;
        });
  }

  /** Every attempt has a new folder: what a killed one had started may still write into its own. */
  private static Path newAttempt(Path home) throws IOException {
    Files.createDirectories(home);
    List<Path> old;
    try (Stream<Path> all = Files.list(home)) {
      old = all.filter(each -> each.getFileName().toString().matches("\\d{1,9}")).toList();
    }
    int last = 0;
    for (Path folder : old) {
      last = Math.max(last, Integer.parseInt(folder.getFileName().toString()));
      discard(folder);
    }
    return Files.createDirectory(home.resolve(Integer.toString(last + 1)));
  }

  private ReadyMarker make(PythonInterpreter base, Path attempt, String jep) throws IOException {
    try {
      Path python = install(base, attempt, jep);
      progress.accept("Checking the Python environment…");
      return check(attempt.resolve("venv"), python, jep);
    } catch (IOException | RuntimeException e) {
      discard(attempt);
      throw e;
    }
  }

  /** From the ready environment that has the most of the extras, where there is one. */
  private Path install(PythonInterpreter base, Path attempt, String jep) throws IOException {
    var installation = new Installation(base, settings.extras(), surroundings, progress);
    for (List<String> some : fewer(settings.extras())) {
      Path home = environments().resolve(key(base, some, jep));
      if (!Files.isRegularFile(marker(home))) {
        continue;
      }
      // Nobody discards it meanwhile. Whoever holds a lock only ever waits for one of fewer extras.
      boolean copied =
          FolderLock.holding(
              lockFile(home),
              () -> {},
              () -> {
                Optional<ReadyMarker> ready = ReadyMarker.read(marker(home));
                boolean usable = ready.isPresent() && ready.get().holds(jep);
                if (usable) {
                  installation.copy(ready.get().folder(), attempt);
                }
                return usable;
              });
      if (copied) {
        return installation.complete(attempt, some);
      }
    }
    return installation.into(attempt);
  }

  /** All choices of some but not all of the extras, larger ones first. */
  private static List<List<String>> fewer(List<String> extras) {
    List<List<String>> choices = new ArrayList<>();
    for (int bits = 0; bits < (1 << extras.size()) - 1; bits++) {
      List<String> some = new ArrayList<>();
      for (int i = 0; i < extras.size(); i++) {
        if ((bits & 1 << i) != 0) {
          some.add(extras.get(i));
        }
      }
      choices.add(some);
    }
    choices.sort(Comparator.comparing(List::size, Comparator.reverseOrder()));
    return choices;
  }

  private ReadyMarker check(Path folder, Path python, String jep) throws IOException {
    return new EnvironmentCheck(folder, python, jep, settings.extras(), surroundings)
        .run(environments());
  }

  private static void discard(Path folder) {
    try {
      ResourceTree.delete(folder);
    } catch (IOException e) {
      LOG.log(System.Logger.Level.DEBUG, "left behind: " + folder, e);
    }
  }
}
