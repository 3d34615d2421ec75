// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.python.environment;

import static org.assertj.core.api.Assertions.assertThat;

import dev.ragbus.ChildProcess;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * The Python environment of other systems' clients and of schemathesis, made once in the user's
 * cache folder from {@code clients.lock}: they want packages that Ragbus's own environment has in
 * other versions.
 */
public final class TestClients {
  private static final Path LOCK = Path.of("python/requirements/clients.lock");

  private TestClients() {}

  /** Its Python. */
  public static Path python() throws IOException {
    String key = ResourceTree.sha256(Files.readAllBytes(LOCK)).substring(0, 16);
    Path home =
        PythonEnvironment.Settings.defaultCacheFolder().resolve("test-clients").resolve(key);
    Path python = home.resolve("bin").resolve("python");
    return FolderLock.holding(
        home.resolveSibling(key + ".lock"),
        () -> {},
        () -> {
          Path ready = home.resolve("ready");
          if (!Files.exists(ready)) {
            ResourceTree.delete(home);
            run(TestPython.environment().python(), "-m", "venv", home.toString());
            run(
                python,
                "-m",
                "pip",
                "install",
                "-q",
                "--disable-pip-version-check",
                "--require-hashes",
                "--only-binary",
                ":all:",
                "--no-deps",
                "-r",
                LOCK.toString());
            Files.createFile(ready);
          }
          return python;
        });
  }

  private static void run(Path python, String... arguments) throws IOException {
    String[] command = new String[arguments.length + 2];
    command[0] = python.toString();
    command[1] = "-I";
    System.arraycopy(arguments, 0, command, 2, arguments.length);
    try {
      assertThat(ChildProcess.run(new ProcessBuilder(command))).as(arguments[1]).isZero();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException(e);
    }
  }
}
