// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.cluster;

import dev.ragbus.RagbusOptions;
import io.vertx.core.Vertx;
import io.vertx.core.json.JsonObject;
import java.nio.file.Path;
import java.util.Map;

/** A front that has workers and nothing else. */
public final class FrontMain {
  private FrontMain() {}

  /**
   * Runs until it is killed.
   *
   * @param args the configuration, the main class of the workers, the folder for crashes
   */
  public static void main(String[] args) {
    JsonObject config = new JsonObject(args[0]);
    RagbusOptions options = RagbusOptions.from(config);
    WorkerCommand.Jvm jvm = WorkerCommand.Jvm.current();
    WorkerProcesses.Listener nobody =
        new WorkerProcesses.Listener() {
          @Override
          public void leaving(String id) {}

          @Override
          public void lost(String id, String how) {}

          @Override
          public long requests(String id) {
            return 0;
          }
        };
    Vertx vertx = Vertx.vertx();
    vertx
        .getOrCreateContext()
        .runOnContext(
            v ->
                new WorkerProcesses(
                        vertx,
                        options,
                        id -> command(jvm, options, config, args, id),
                        System::nanoTime,
                        nobody)
                    .start());
  }

  private static WorkerCommand command(
      WorkerCommand.Jvm jvm, RagbusOptions options, JsonObject config, String[] args, String id) {
    WorkerCommand command =
        WorkerCommand.of(jvm, options.cluster(), config, Map.of(), Path.of(args[2]), id);
    return new WorkerCommand(
        command.words().stream()
            .map(word -> word.equals(WorkerCommand.MAIN_CLASS) ? args[1] : word)
            .toList(),
        command.variables(),
        command.input(),
        command.crashFolder());
  }
}
