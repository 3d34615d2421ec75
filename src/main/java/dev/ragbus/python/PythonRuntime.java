// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.python;

import dev.ragbus.RagbusException;
import dev.ragbus.RagbusException.Kind;
import java.io.BufferedReader;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import jep.ClassEnquirer;
import jep.JepConfig;
import jep.MainInterpreter;
import jep.PyConfig;
import jep.SharedInterpreter;

/**
 * The process's one CPython: started once, never stopped, shared by every deployment of the JVM.
 *
 * <p>CPython can be started only once in a process, so a second deployment must use the same
 * environment and modules; {@link #start} refuses another. A start that failed cannot be repeated
 * in this JVM. Any thread may call {@link #start}; it blocks.
 */
final class PythonRuntime {
  private static final System.Logger LOG = System.getLogger(PythonRuntime.class.getName());
  private static final System.Logger PYTHON_LOG = System.getLogger("dev.ragbus.python.output");

  private static PythonRuntime running;

  private final Settings settings;
  private volatile RuntimeException failure;
  private InterpreterWatch watch;

  /**
   * What CPython is started with.
   *
   * @param python the environment's executable
   * @param jepLibrary jep's native library
   * @param modulePath folders put first on {@code sys.path}, in order
   * @param switchIntervalSeconds how long a thread keeps the interpreter lock
   * @param offline whether the hub is never asked
   * @param cacheFolder where engines keep what they make of models
   * @param enableGpu whether the log says which GPUs there are
   * @param enableGc whether Python's full collections are run by {@code COLLECT} alone
   */
  record Settings(
      Path python,
      Path jepLibrary,
      List<String> modulePath,
      double switchIntervalSeconds,
      boolean offline,
      Path cacheFolder,
      boolean enableGpu,
      boolean enableGc) {}

  private PythonRuntime(Settings settings) {
    this.settings = settings;
  }

  /** Starts CPython, or returns the one that runs. */
  static synchronized PythonRuntime start(Settings settings) {
    if (running == null) {
      running = new PythonRuntime(settings);
      running.initialize();
    }
    if (running.failure != null) {
      throw running.failure;
    }
    if (!running.settings.python.equals(settings.python)) {
      throw RagbusException.of(
          Kind.CONFLICT,
          "this JVM already runs Python from "
              + running.settings.python
              + "; one process has one Python, so "
              + settings.python
              + " cannot be started");
    }
    return running;
  }

  private void initialize() {
    try {
      MainInterpreter.setJepLibraryPath(settings.jepLibrary.toString());
      MainInterpreter.setInitParams(
          PyConfig.isolated().setProgramName(settings.python.toString()).setWriteBytecode(true));
      SharedInterpreter.setConfig(
          new JepConfig()
              .setClassLoader(PythonRuntime.class.getClassLoader())
              .setClassEnquirer(new NoJava()));
    } catch (RuntimeException | Error e) {
      failure =
          RagbusException.of(Kind.NOT_INITIALIZED, "Python cannot be started: " + e.getMessage());
      LOG.log(System.Logger.Level.ERROR, "Python cannot be started", e);
      throw failure;
    }
  }

  Settings settings() {
    return settings;
  }

  /** The watch over the interpreter lock, which starts when it is first asked for. */
  synchronized InterpreterWatch watch() {
    if (watch == null) {
      watch = new InterpreterWatch(this);
    }
    return watch;
  }

  /** Reads what Python prints, line by line, into the log, until the process ends. */
  static void logLines(int pipe) {
    Thread reader =
        new Thread(
            () -> {
              try (BufferedReader lines =
                  new BufferedReader(
                      new InputStreamReader(
                          new FileInputStream("/dev/fd/" + pipe), StandardCharsets.UTF_8))) {
                for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                  logLine(line);
                }
              } catch (IOException e) {
                LOG.log(System.Logger.Level.WARNING, "Python's output can no longer be read", e);
              }
            },
            "ragbus-python-output");
    reader.setDaemon(true);
    reader.start();
  }

  private static void logLine(String line) {
    String[] parts = line.split("\t", 3);
    if (parts.length < 3) {
      PYTHON_LOG.log(System.Logger.Level.INFO, line);
      return;
    }
    PYTHON_LOG.log(level(parts[0]), "[" + parts[1] + "] " + parts[2]);
  }

  private static System.Logger.Level level(String python) {
    return switch (python) {
      case "CRITICAL", "ERROR" -> System.Logger.Level.ERROR;
      case "WARNING" -> System.Logger.Level.WARNING;
      case "DEBUG" -> System.Logger.Level.DEBUG;
      default -> System.Logger.Level.INFO;
    };
  }

  /** Python code may not import Java classes. */
  private static final class NoJava implements ClassEnquirer {
    @Override
    public boolean isJavaPackage(String name) {
      return false;
    }

    @Override
    public String[] getClassNames(String packageName) {
      return new String[0];
    }

    @Override
    public String[] getSubPackages(String packageName) {
      return new String[0];
    }
  }
}
