package dev.ragbus.python;

import java.io.IOException;
import java.io.InputStream;
import java.net.URISyntaxException;
import java.net.URL;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.CodeSource;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Properties;
import java.util.Set;
import java.util.function.Consumer;
import java.util.stream.Stream;
import jep.SharedInterpreter;

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

  private static final System.Logger LOG = System.getLogger(PythonEnvironment.class.getName());
  private static final Duration PREFLIGHT_LIMIT = Duration.ofMinutes(2);
  private static final String[] MODULES = {"numpy", "openvino", "tokenizers", "huggingface_hub"};

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

  /** One call of {@link #prepare}. */
  private record Preparation(
      Settings settings, Surroundings surroundings, Consumer<String> progress) {

    PythonEnvironment environment() throws IOException {
      surroundings.locks().check(settings.extras());
      String wanted = surroundings.locks().jepVersion();
      String jar = jarVersion().orElse(wanted);
      ReadyMarker ready =
          settings.environment().isPresent()
              ? existing(settings.environment().get(), jar)
              : own(wanted, jar);
      return new PythonEnvironment(
          ready.python(),
          ready.folder(),
          ready.jepLibrary(),
          ready.pythonVersion(),
          unpackPackage());
    }

    private ReadyMarker own(String wanted, String jar) throws IOException {
      if (!wanted.equals(jar)) {
        throw new PythonEnvironmentException(
            "jep "
                + jar
                + " is on the class path, but Ragbus builds jep "
                + wanted
                + ": a jar and a native library that differ crash the JVM; take org.ninia:jep:"
                + wanted);
      }
      Path environments = settings.cacheFolder().resolve("env");
      Path known = environments.resolve("known").resolve(shortHash(quickFacts(wanted)));
      if (Files.isRegularFile(known)) {
        Path marker =
            environments.resolve(Files.readString(known).strip()).resolve("ready.properties");
        Optional<ReadyMarker> ready = ReadyMarker.read(marker);
        if (ready.isPresent() && ready.get().holds(wanted)) {
          return ready.get();
        }
      }
      PythonInterpreter base =
          PythonInterpreter.find(settings.pythonPath(), surroundings, progress);
      String key = key(base, wanted);
      ReadyMarker ready = makeOnce(base, environments.resolve(key), wanted);
      ReadyMarker.replace(known, key);
      return ready;
    }

    /**
     * Stands for all that decides which environment is ours, as far as that can be had without
     * starting a Python.
     */
    private String quickFacts(String jep) throws IOException {
      return PythonInterpreter.fingerprint(settings.pythonPath(), surroundings)
          + surroundings.locks().fingerprint(settings.extras())
          + jep;
    }

    private String key(PythonInterpreter base, String jep) {
      String facts =
          String.join(
                  "\n", base.version(), base.facts().get("base"), base.facts().get("machine"), jep)
              + surroundings.locks().fingerprint(settings.extras());
      return base.version() + "-" + shortHash(facts);
    }

    private ReadyMarker makeOnce(PythonInterpreter base, Path home, String jep) throws IOException {
      Path marker = home.resolve("ready.properties");
      Path lockFile = home.resolveSibling(home.getFileName() + ".lock");
      Runnable waiting =
          () ->
              progress.accept(
                  "Waiting for another process that makes the environment " + home + "…");
      return FolderLock.holding(
          lockFile,
          waiting,
          () -> {
            Optional<ReadyMarker> ready = ReadyMarker.read(marker);
            if (ready.isPresent() && ready.get().holds(jep)) {
              return ready.get();
            }
            Files.deleteIfExists(marker);
            ReadyMarker made = make(base, newAttempt(home), jep);
            made.write(marker);
            progress.accept("The Python environment is ready");
            return made;
          });
    }

    /**
     * An attempt has a folder of its own: what a killed one started may still write into the old
     * one for a while.
     */
    private static Path newAttempt(Path home) throws IOException {
      Files.createDirectories(home);
      List<Path> old;
      try (Stream<Path> all = Files.list(home)) {
        old = all.filter(Files::isDirectory).toList();
      }
      for (Path folder : old) {
        try {
          ResourceTree.delete(folder);
        } catch (IOException e) {
          LOG.log(System.Logger.Level.DEBUG, "left behind: " + folder, e);
        }
      }
      int number = 1;
      while (Files.exists(home.resolve(Integer.toString(number)))) {
        number++;
      }
      return Files.createDirectory(home.resolve(Integer.toString(number)));
    }

    private ReadyMarker make(PythonInterpreter base, Path attempt, String jep) throws IOException {
      Path python = new Installation(base, settings.extras(), surroundings, progress).into(attempt);
      progress.accept("Checking the Python environment…");
      return checked(attempt.resolve("venv"), python, jep);
    }

    private ReadyMarker existing(Path folder, String jar) throws IOException {
      Path python = folder.toAbsolutePath().normalize().resolve("bin").resolve("python");
      if (!Surroundings.isProgram(python)) {
        throw new PythonEnvironmentException("The environment " + folder + " has no " + python);
      }
      Path marker =
          settings.cacheFolder().resolve("env").resolve("checked").resolve(shortHash(folder + jar));
      Optional<ReadyMarker> ready = ReadyMarker.read(marker);
      if (ready.isPresent() && ready.get().holds(jar)) {
        return ready.get();
      }
      ReadyMarker checked = checked(folder.toAbsolutePath().normalize(), python, jar);
      checked.write(marker);
      return checked;
    }

    private ReadyMarker checked(Path folder, Path python, String jep) throws IOException {
      ReadyMarker ready = ReadyMarker.of(folder, ask(folder, python));
      String fix = "install it with " + python + " -m pip install --no-binary jep jep==" + jep;
      String installed =
          ready
              .installedJep()
              .orElseThrow(
                  () ->
                      new PythonEnvironmentException(
                          "The environment " + folder + " has no jep: " + fix));
      if (!installed.equals(jep)) {
        throw new PythonEnvironmentException(
            "The environment "
                + folder
                + " has jep "
                + installed
                + ", but jep "
                + jep
                + " is on the class path: they must be the same; "
                + fix);
      }
      if (!ready.holds(jep)) {
        Path lacking = Files.exists(ready.jepLibrary()) ? ready.libpython() : ready.jepLibrary();
        throw new PythonEnvironmentException(
            "The environment " + folder + " lacks its shared library " + lacking + ": " + fix);
      }
      preflight(ready);
      return ready;
    }

    private PythonInterpreter ask(Path folder, Path python) {
      try {
        return PythonInterpreter.ask(python.toString(), surroundings);
      } catch (PythonEnvironmentException e) {
        throw new PythonEnvironmentException(
            "The Python of the environment "
                + folder
                + " "
                + e.getMessage()
                + "; "
                + PythonInterpreter.INSTALL,
            e);
      }
    }

    /** Imports everything in a Python of its own, and then in a JVM of its own. */
    private void preflight(ReadyMarker ready) throws IOException {
      String imports = "import " + String.join(", ", MODULES);
      Command.Outcome alone = run(List.of(ready.python().toString(), "-I", "-c", imports));
      if (!alone.succeeded()) {
        throw new PythonEnvironmentException(
            "The environment "
                + ready.folder()
                + " cannot import what Ragbus needs ("
                + lastLine(alone)
                + "): install python/requirements/runtime.lock there",
            alone.tail());
      }
      Set<Path> classPath = classPath();
      if (classPath.isEmpty()) {
        LOG.log(System.Logger.Level.INFO, "the classes lie in a nested jar: no preflight in a JVM");
        return;
      }
      Command.Outcome embedded = run(preflightCommand(ready, classPath));
      if (!embedded.succeeded() || !embedded.printed(Preflight.PASSED::equals)) {
        throw new PythonEnvironmentException(
            "Python "
                + ready.pythonVersion()
                + " of "
                + ready.folder()
                + " does not work inside a JVM ("
                + (embedded.timedOut() ? "no answer" : "exit code " + embedded.exitCode())
                + "): try another Python 3.11 to 3.13 with python.python_path",
            embedded.tail());
      }
    }

    private List<String> preflightCommand(ReadyMarker ready, Set<Path> classPath) {
      var words = new ArrayList<>(List.of(surroundings.javaHome().resolve("bin/java").toString()));
      words.addAll(List.of("-Xmx64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"));
      words.add(
          "-XX:ErrorFile=" + settings.cacheFolder().resolve("env").resolve("preflight-crash.log"));
      words.add("-cp");
      words.add(
          String.join(java.io.File.pathSeparator, classPath.stream().map(Path::toString).toList()));
      words.add(Preflight.class.getName());
      words.addAll(List.of(ready.python().toString(), ready.jepLibrary().toString()));
      words.addAll(List.of(MODULES));
      return words;
    }

    private Command.Outcome run(List<String> words) throws IOException {
      Map<String, String> variables = new HashMap<>(surroundings.forPython());
      variables
          .keySet()
          .removeAll(
              List.of("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS", "CLASSPATH"));
      return new Command(words, variables, settings.cacheFolder(), PREFLIGHT_LIMIT).run(line -> {});
    }

    private static String lastLine(Command.Outcome outcome) {
      List<String> tail = outcome.tail();
      return tail.isEmpty() ? "exit code " + outcome.exitCode() : tail.get(tail.size() - 1);
    }

    private Path unpackPackage() throws IOException {
      URL start = PythonEnvironment.class.getResource("ragbus/__init__.py");
      if (start == null) {
        throw new PythonEnvironmentException(
            "Ragbus's jar lacks its Python package (dev/ragbus/python/ragbus): build it anew");
      }
      ResourceTree files =
          ResourceTree.around(start, name -> name.endsWith(".py") || name.equals("py.typed"));
      Path folder =
          settings.cacheFolder().resolve("package").resolve(files.fingerprint().substring(0, 16));
      files.unpack(folder.resolve("ragbus"));
      return folder;
    }
  }

  private static String shortHash(String text) {
    return ResourceTree.sha256(text.getBytes(StandardCharsets.UTF_8)).substring(0, 16);
  }

  /**
   * The version of jep's classes; empty where they were packed anew without their Maven properties.
   */
  private static Optional<String> jarVersion() throws IOException {
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

  /** Where jep's classes and ours lie; empty if that is not plain jars or folders. */
  private static Set<Path> classPath() {
    var result = new LinkedHashSet<Path>();
    for (Class<?> each : List.of(Preflight.class, SharedInterpreter.class)) {
      CodeSource source = each.getProtectionDomain().getCodeSource();
      try {
        result.add(Path.of(source.getLocation().toURI()));
      } catch (URISyntaxException | RuntimeException e) {
        return Set.of();
      }
    }
    return result;
  }
}
