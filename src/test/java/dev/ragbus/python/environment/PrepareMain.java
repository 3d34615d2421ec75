// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.python.environment;

import java.nio.file.Path;

/**
 * Prepares a fake environment in a JVM of its own; prints the progress, then the environment's
 * folder.
 */
final class PrepareMain {
  private PrepareMain() {}

  public static void main(String[] arguments) throws Exception {
    Path folder = Path.of(arguments[0]);
    var fake =
        new FakePython(
            folder,
            java.util.Map.of("PATH", folder.resolve("bin") + ":" + folder.resolve("tools")));
    PythonEnvironment made =
        PythonEnvironment.prepare(
            fake.settings(),
            line -> {
              System.out.println(line);
              System.out.flush();
            },
            fake.surroundings());
    System.out.println("made " + made.folder());
  }
}
