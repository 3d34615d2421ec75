// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.python.environment;

import java.util.List;
import java.util.Optional;

/**
 * The real environment of the tests: in the user's own cache folder, so that it is made once, and
 * with the {@code dev} extra, so that the Python tests run in the same one.
 */
public final class TestPython {
  private TestPython() {}

  public static PythonEnvironment.Settings settings() {
    return new PythonEnvironment.Settings(
        "python3",
        Optional.empty(),
        PythonEnvironment.Settings.defaultCacheFolder(),
        List.of("dev"));
  }

  public static PythonEnvironment environment() {
    return PythonEnvironment.prepare(settings(), System.out::println);
  }
}
