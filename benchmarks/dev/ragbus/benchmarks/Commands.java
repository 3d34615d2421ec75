// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.benchmarks;

import io.vertx.core.Context;
import io.vertx.core.Future;
import io.vertx.core.Promise;
import io.vertx.core.json.JsonObject;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.function.Function;

/**
 * Reads commands from standard input, one a line, and answers each with a line of JSON, until the
 * input ends. Blocks the calling thread.
 */
final class Commands {
  private Commands() {}

  /** Runs each command, split at its blanks, on a context. */
  static void serve(Context context, Function<String[], Future<JsonObject>> run) throws Exception {
    try (BufferedReader commands =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8))) {
      for (String line = commands.readLine(); line != null; line = commands.readLine()) {
        String[] command = line.split(" ");
        Promise<JsonObject> answer = Promise.promise();
        context.runOnContext(v -> attempt(run, command).onComplete(answer));
        JsonObject answered = answer.future().toCompletionStage().toCompletableFuture().get();
        System.out.println(answered.encode());
        System.out.flush();
      }
    } catch (IOException ended) {
      System.err.println("no more commands: " + ended.getMessage());
    }
  }

  private static Future<JsonObject> attempt(
      Function<String[], Future<JsonObject>> run, String[] command) {
    try {
      return run.apply(command);
    } catch (RuntimeException failure) {
      return Future.failedFuture(failure);
    }
  }
}
