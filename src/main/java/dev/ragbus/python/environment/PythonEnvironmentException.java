// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.python.environment;

import java.util.List;

/**
 * The Python environment cannot be made or used. The message is one line that says what is wrong
 * and what to do about it; where a tool failed, the cause's message holds the last lines of its
 * output.
 */
public final class PythonEnvironmentException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  PythonEnvironmentException(String message) {
    super(message);
  }

  PythonEnvironmentException(String message, Throwable cause) {
    super(message, cause);
  }

  PythonEnvironmentException(String message, List<String> output) {
    super(message, new ToolOutput(String.join(System.lineSeparator(), output)));
  }

  /** What a failed tool printed last; it has no stack trace of its own. */
  static final class ToolOutput extends Exception {
    private static final long serialVersionUID = 1L;

    ToolOutput(String output) {
      super(output, null, false, false);
    }
  }
}
