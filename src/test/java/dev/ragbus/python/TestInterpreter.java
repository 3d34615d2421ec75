// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.python;

import java.util.concurrent.CompletableFuture;
import jep.SharedInterpreter;

/**
 * Runs Python on a thread of its own in the CPython that the lanes use, to provoke faults in the
 * modules they share. A runtime must have been started.
 */
public final class TestInterpreter {
  private TestInterpreter() {}

  /** Runs statements. */
  public static void exec(String code) {
    value(code, "None");
  }

  /** Runs statements, then evaluates an expression. */
  public static Object value(String code, String expression) {
    CompletableFuture<Object> result = new CompletableFuture<>();
    new Thread(
            () -> {
              try (SharedInterpreter interpreter = new SharedInterpreter()) {
                interpreter.exec(code);
                result.complete(interpreter.getValue(expression));
              } catch (Throwable e) {
                result.completeExceptionally(e);
              }
            },
            "test-interpreter")
        .start();
    return result.join();
  }
}
