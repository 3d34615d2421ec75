// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.python.environment;

import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import jep.SharedInterpreter;

/**
 * Checks that an environment can be loaded into a JVM: what its Python is, that jep's library is of
 * the same version as jep's classes, that what the engines need can be imported, in a Python of its
 * own and in a JVM of its own.
 *
 * @param jep the version of jep's classes
 * @param extras what else must be importable
 */
record EnvironmentCheck(
    Path folder, Path python, String jep, List<String> extras, Surroundings surroundings) {
  private static final System.Logger LOG = System.getLogger(EnvironmentCheck.class.getName());
  private static final Duration LIMIT = Duration.ofMinutes(2);
  private static final List<String> MODULES =
      List.of("numpy", "openvino", "tokenizers", "huggingface_hub");
  private static final Set<String> JVM_OPTIONS =
      Set.of("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS", "CLASSPATH");

  /**
   * Returns where the environment's parts are.
   *
   * @param workFolder where a crash leaves its report
   * @throws PythonEnvironmentException if it cannot be used
   */
  ReadyMarker run(Path workFolder) throws IOException {
    Files.createDirectories(workFolder);
    ReadyMarker parts = ReadyMarker.of(folder, ask());
    checkJep(parts);
    checkImports(workFolder);
    checkInsideJvm(parts, workFolder);
    return parts;
  }

  private PythonInterpreter ask() {
    try {
      return PythonInterpreter.ask(python.toString(), surroundings);
    } catch (PythonEnvironmentException e) {
      throw new PythonEnvironmentException(
          "The Python of the environment %s %s; %s"
              .formatted(folder, e.getMessage(), PythonInterpreter.INSTALL),
          e);
    }
  }

  private void checkJep(ReadyMarker parts) throws IOException {
    String fix =
        "install it with JAVA_HOME=%s %s -m pip install --no-cache-dir --no-binary jep jep==%s"
            .formatted(surroundings.javaHome(), python, jep);
    String installed = parts.installedJep().orElse("");
    if (installed.isEmpty()) {
      throw new PythonEnvironmentException("The environment " + folder + " has no jep: " + fix);
    }
    if (!installed.equals(jep)) {
      throw new PythonEnvironmentException(
          "The environment %s has jep %s, but jep %s is on the class path, and they crash the JVM when they differ: %s"
              .formatted(folder, installed, jep, fix));
    }
    if (!Files.isRegularFile(parts.jepLibrary())) {
      throw new PythonEnvironmentException(
          "The environment %s lacks %s: %s".formatted(folder, parts.jepLibrary(), fix));
    }
    if (!Files.isRegularFile(parts.libpython())) {
      throw new PythonEnvironmentException(
          "The Python of the environment %s has no shared libpython; %s"
              .formatted(folder, PythonInterpreter.INSTALL));
    }
  }

  private List<String> modules() {
    return Stream.concat(MODULES.stream(), Extra.of(extras).stream().map(Extra::module)).toList();
  }

  private void checkImports(Path workFolder) throws IOException {
    String imports = "import " + String.join(", ", modules());
    Command.Outcome outcome = run(List.of(python.toString(), "-I", "-c", imports), workFolder);
    if (!outcome.succeeded()) {
      List<String> tail = outcome.tail();
      String reason = tail.isEmpty() ? how(outcome) : tail.get(tail.size() - 1);
      throw new PythonEnvironmentException(
          "The environment %s cannot import %s (%s): install what %s of python/requirements pin"
              .formatted(folder, String.join(", ", modules()), reason, locks()),
          tail);
    }
  }

  private String locks() {
    return Stream.concat(Stream.of("runtime"), extras.stream())
        .map(name -> name + ".lock")
        .collect(Collectors.joining(", "));
  }

  /** In a child, since a Python that does not fit takes its JVM down. */
  private void checkInsideJvm(ReadyMarker parts, Path workFolder) throws IOException {
    Set<Path> classPath = classPath();
    if (classPath.isEmpty()) {
      LOG.log(System.Logger.Level.INFO, "The classes are in a nested jar: not tried in a JVM");
      return;
    }
    Command.Outcome outcome = run(preflight(parts, classPath, workFolder), workFolder);
    if (!outcome.succeeded() || !outcome.printed(Preflight.PASSED::equals)) {
      throw new PythonEnvironmentException(
          "Python %s of %s does not work inside a JVM (%s): set python.python_path to another Python 3.11 to 3.13"
              .formatted(parts.pythonVersion(), folder, how(outcome)),
          outcome.tail());
    }
  }

  private List<String> preflight(ReadyMarker parts, Set<Path> classPath, Path workFolder) {
    var words = new ArrayList<String>();
    words.add(surroundings.javaHome().resolve("bin").resolve("java").toString());
    words.addAll(List.of("-Xmx64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"));
    words.add("-XX:ErrorFile=" + workFolder.resolve("preflight-crash.log"));
    words.add("-cp");
    words.add(
        classPath.stream().map(Path::toString).collect(Collectors.joining(File.pathSeparator)));
    words.add(Preflight.class.getName());
    words.add(parts.python().toString());
    words.add(parts.jepLibrary().toString());
    words.addAll(modules());
    return words;
  }

  private Command.Outcome run(List<String> words, Path workFolder) throws IOException {
    Map<String, String> variables = new HashMap<>(surroundings.forPython());
    variables.keySet().removeAll(JVM_OPTIONS);
    return new Command(words, variables, workFolder, LIMIT).run(line -> {});
  }

  private static String how(Command.Outcome outcome) {
    return outcome.timedOut()
        ? "no answer in " + LIMIT.toSeconds() + " s"
        : "exit code " + outcome.exitCode();
  }

  /** The version of jep's classes; empty where they were packed anew without Maven's properties. */
  static Optional<String> jarVersion() throws IOException {
    try (InputStream in =
        SharedInterpreter.class.getResourceAsStream(
            "/META-INF/maven/org.ninia/jep/pom.properties")) {
      if (in == null) {
        return Optional.empty();
      }
      var properties = new Properties();
      properties.load(in);
      return Optional.ofNullable(properties.getProperty("version"));
    }
  }

  /** Where jep's classes and ours lie; empty if not in plain jars or folders. */
  private static Set<Path> classPath() {
    var result = new LinkedHashSet<Path>();
    for (Class<?> each : List.of(Preflight.class, SharedInterpreter.class)) {
      try {
        result.add(Path.of(each.getProtectionDomain().getCodeSource().getLocation().toURI()));
      } catch (URISyntaxException | RuntimeException e) {
        return Set.of();
      }
    }
    return result;
  }
}
