// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.benchmarks;

import dev.ragbus.python.environment.PackagedModels;
import dev.ragbus.python.environment.PythonEnvironment;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/**
 * Makes the Python environment ready and prints what the raw engine needs: the environment's
 * Python, the folder for {@code PYTHONPATH}, the folder of the default model, one a line.
 */
final class Environment {
  private static final String MODEL = "all-MiniLM-L6-v2";

  private Environment() {}

  public static void main(String[] arguments) {
    Path cacheFolder = PythonEnvironment.Settings.defaultCacheFolder();
    PythonEnvironment environment =
        PythonEnvironment.prepare(
            new PythonEnvironment.Settings("python3", Optional.empty(), cacheFolder, List.of()),
            System.err::println);
    Path model =
        PackagedModels.of(cacheFolder, Environment.class.getClassLoader())
            .folder(MODEL)
            .orElseThrow(() -> new IllegalStateException(MODEL + " is not on the class path"));
    System.out.println(environment.python());
    System.out.println(environment.packageFolder());
    System.out.println(model);
  }
}
