// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.cluster;

import dev.ragbus.RagbusOptions.Cluster;
import io.vertx.core.json.JsonObject;
import java.io.File;
import java.io.IOException;
import java.io.OutputStream;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.lang.management.ManagementFactory;
import java.net.URLClassLoader;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Stream;

/**
 * What starts a worker process: this JVM's own Java and class path. What may be secret, the
 * configuration and the system properties, is on no command line, which every user of the machine
 * can read: it is the first line of the process's standard input. That stays open after it; its end
 * tells the process that this one is gone.
 *
 * @param words the command
 * @param variables of its environment, beside this process's own
 * @param input the first line: {@code config}, the configuration of the deployment, and {@code
 *     properties}, system properties to set before anything else
 * @param crashFolder where it leaves its report when it crashes; made if need be
 */
record WorkerCommand(
    List<String> words, Map<String, String> variables, JsonObject input, Path crashFolder) {
  private static final Logger LOGGER = System.getLogger(WorkerCommand.class.getName());

  static final String MAIN_CLASS = "dev.ragbus.app.Main";

  /** The system property with the worker's id, which makes Main a worker that is supervised. */
  static final String ID_PROPERTY = "dev.ragbus.worker";

  private static final String REPORT = "hs_err_worker_pid";

  /** The newest so many reports of crashes are kept. */
  static final int REPORTS_KEPT = 8;

  /**
   * What is this process's alone: its file is read, its ports are taken, and what a worker logs
   * goes into its log.
   */
  private static final List<String> NOT_PASSED_ON =
      List.of(
          "ragbus.config", "com.sun.management.", "java.rmi.", "java.util.logging.", ID_PROPERTY);

  /** What opens modules, without which code runs otherwise or not at all. */
  private static final List<String> PASSED_ON =
      List.of(
          "--add-opens",
          "--add-exports",
          "--add-modules",
          "--add-reads",
          "--enable-native-access",
          "--enable-preview",
          "--sun-misc-unsafe-memory-access");

  /**
   * What a JVM was started with.
   *
   * @param home the folder of its Java
   * @param classPath where it has classes from; empty for none
   * @param modulePath where it has modules from; empty for none
   * @param modular whether Ragbus is a module there
   * @param arguments its options
   * @param properties its system properties
   */
  record Jvm(
      Path home,
      String classPath,
      String modulePath,
      boolean modular,
      List<String> arguments,
      Map<String, String> properties) {
    /** This process's own. */
    static Jvm current() {
      Map<String, String> properties = new TreeMap<>();
      for (String name : System.getProperties().stringPropertyNames()) {
        properties.put(name, System.getProperty(name));
      }
      return new Jvm(
          Path.of(System.getProperty("java.home")),
          classPath(
              WorkerCommand.class.getClassLoader(), System.getProperty("java.class.path", "")),
          System.getProperty("jdk.module.path", ""),
          WorkerCommand.class.getModule().isNamed(),
          ManagementFactory.getRuntimeMXBean().getInputArguments(),
          properties);
    }

    /**
     * What a loader of classes and those above it find classes in: the files of those that were
     * made from a list, as Maven's {@code exec:java} does, then the JVM's own class path.
     */
    static String classPath(ClassLoader loader, String own) {
      Set<String> entries = new LinkedHashSet<>();
      for (ClassLoader at = loader; at != null; at = at.getParent()) {
        if (at instanceof URLClassLoader listed) {
          Arrays.stream(listed.getURLs())
              .filter(url -> url.getProtocol().equals("file"))
              .map(url -> url.getPath().replace("+", "%2B"))
              .map(path -> Path.of(URLDecoder.decode(path, StandardCharsets.UTF_8)).toString())
              .forEach(entries::add);
        }
      }
      if (!own.isEmpty()) {
        entries.add(own);
      }
      return String.join(File.pathSeparator, entries);
    }

    /** The properties that Ragbus's options are, and those that the command line gave. */
    private Map<String, String> given() {
      Map<String, String> given = new TreeMap<>();
      properties.forEach(
          (name, value) -> {
            boolean ours = name.startsWith("ragbus.");
            boolean said =
                arguments.stream()
                    .anyMatch(it -> it.equals("-D" + name) || it.startsWith("-D" + name + "="));
            if ((ours || said) && NOT_PASSED_ON.stream().noneMatch(name::startsWith)) {
              given.put(name, value);
            }
          });
      return given;
    }
  }

  WorkerCommand {
    words = List.copyOf(words);
    variables = Map.copyOf(variables);
  }

  /**
   * The command of the worker of an id.
   *
   * @param jvm what this process was started with
   * @param options those of this deployment
   * @param config the configuration of this deployment
   * @param overrides further options of the worker, by their system properties, which go before
   *     everything else: such as {@code ragbus.cluster.members}
   * @param crashFolder where it leaves its report when it crashes
   */
  static WorkerCommand of(
      Jvm jvm,
      Cluster options,
      JsonObject config,
      Map<String, String> overrides,
      Path crashFolder,
      String id) {
    List<String> words = new ArrayList<>();
    words.add(jvm.home.resolve("bin").resolve("java").toString());
    words.add("-Xmx" + options.workerHeapMegabytes() + "m");
    words.add("-XX:+ExitOnOutOfMemoryError");
    words.add("-XX:-CreateCoredumpOnCrash");
    words.add("-XX:ErrorFile=" + crashFolder.toAbsolutePath().resolve(REPORT + "%p.log"));
    jvm.arguments.stream()
        .filter(argument -> PASSED_ON.stream().anyMatch(argument::startsWith))
        .forEach(words::add);
    words.add("-D" + ID_PROPERTY + "=" + id);
    if (!jvm.classPath.isEmpty()) {
      words.addAll(List.of("-cp", jvm.classPath));
    }
    if (jvm.modular) {
      words.addAll(List.of("-p", jvm.modulePath, "-m", "dev.ragbus/" + MAIN_CLASS));
    } else {
      words.add(MAIN_CLASS);
    }
    Map<String, String> properties = jvm.given();
    properties.putAll(overrides);
    properties.put("ragbus.cluster.enabled", "true");
    properties.put("ragbus.cluster.role", "worker");
    properties.put("ragbus.cluster.isolation", "none");
    // The port that the options may name is the front's.
    properties.put("ragbus.cluster.bus_port", "0");
    ClusterSecret.ofProcesses(options)
        .ifPresent(secret -> properties.put("ragbus.cluster.secret", secret));
    JsonObject input =
        new JsonObject()
            .put("config", config)
            .put("properties", new JsonObject(Map.copyOf(properties)));
    // glibc's heap a thread would keep what Python and the engine have freed.
    return new WorkerCommand(words, Map.of("MALLOC_ARENA_MAX", "2"), input, crashFolder);
  }

  /** Starts the process; blocks on the disk. */
  Process start() throws IOException {
    try {
      Files.createDirectories(crashFolder);
      removeOldReports();
    } catch (IOException e) {
      // It runs without; Java then leaves its report in the folder for temporary files.
      LOGGER.log(Level.WARNING, "no folder for reports of crashes: " + e);
    }
    ProcessBuilder builder = new ProcessBuilder(words).redirectErrorStream(true);
    variables.forEach(builder.environment()::putIfAbsent);
    return builder.start();
  }

  /** Hands it the first line; blocks until it has read that. */
  void handOver(Process process) throws IOException {
    OutputStream in = process.getOutputStream();
    in.write((input.encode() + "\n").getBytes(StandardCharsets.UTF_8));
    in.flush();
  }

  /** The report of the JVM that crashed, should there be one. */
  File report(long pid) {
    return crashFolder.resolve(REPORT + pid + ".log").toFile();
  }

  private void removeOldReports() throws IOException {
    List<Path> reports;
    try (Stream<Path> all = Files.list(crashFolder)) {
      reports =
          all.filter(file -> file.getFileName().toString().startsWith(REPORT))
              .sorted(Comparator.comparingLong((Path file) -> file.toFile().lastModified()))
              .toList();
    }
    for (Path old : reports.subList(0, Math.max(0, reports.size() - REPORTS_KEPT))) {
      Files.deleteIfExists(old);
    }
  }
}
