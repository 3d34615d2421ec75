// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.python.environment;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import jep.DirectNDArray;
import jep.MainInterpreter;
import jep.PyConfig;
import jep.SharedInterpreter;

/**
 * Tries an environment in a JVM of its own, since a Python that does not fit takes its JVM down:
 * opens an interpreter, imports what the engines need, and has a direct buffer arrive as a NumPy
 * array.
 *
 * <p>Arguments: the environment's Python, the path of jep's library, then the modules to import.
 * Prints {@value #PASSED}.
 */
final class Preflight {
  static final String PASSED = "ragbus: preflight passed";

  private Preflight() {}

  public static void main(String[] arguments) {
    MainInterpreter.setJepLibraryPath(arguments[1]);
    MainInterpreter.setInitParams(PyConfig.isolated().setProgramName(arguments[0]));
    FloatBuffer numbers =
        ByteBuffer.allocateDirect(8).order(ByteOrder.nativeOrder()).asFloatBuffer().put(0, 1.5f);
    try (var python = new SharedInterpreter()) {
      for (int i = 2; i < arguments.length; i++) {
        python.exec("import " + arguments[i]);
      }
      python.set("numbers", new DirectNDArray<>(numbers, 2));
      python.exec("import numpy");
      python.exec(
          "assert type(numbers) is numpy.ndarray and numbers.dtype == numpy.float32, type(numbers)");
      python.exec("numbers[1] = numbers[0] + 1");
    }
    if (Float.compare(numbers.get(1), 2.5f) != 0) {
      throw new IllegalStateException("Python did not write into the direct buffer");
    }
    System.out.println(PASSED);
    // Modules may have left threads behind that are no daemons.
    System.exit(0);
  }
}
