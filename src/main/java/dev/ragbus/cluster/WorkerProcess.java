// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.cluster;

import io.vertx.core.Context;
import io.vertx.core.Future;
import io.vertx.core.Vertx;
import java.io.File;
import java.io.IOException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.function.Consumer;
import java.util.function.LongSupplier;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * One process of the system's: starts it, hands it its configuration, logs what it prints, ends it,
 * and tells how it has ended. Belongs to the context that it is made on, and never blocks it.
 */
final class WorkerProcess {
  private static final Logger LOGGER = System.getLogger(WorkerProcesses.class.getName());

  /** Of what the processes print. */
  private static final Logger OUTPUT = System.getLogger("dev.ragbus.worker");

  private static final Pattern RESIDENT = Pattern.compile("VmRSS:\\s+(\\d+) kB");
  private static final int SIGTERM = 15;
  private static final int LAST_SIGNAL = 64;
  private static final long NO_TIMER = -1;

  /**
   * How a process ended.
   *
   * @param cleanly with exit code 0
   * @param terminated by SIGTERM, which it had not learnt to answer yet
   * @param how for people
   */
  record End(boolean cleanly, boolean terminated, String how) {}

  private final Vertx vertx;
  private final Context context;
  private final String id;
  private final WorkerCommand command;
  private final LongSupplier nanos;
  private final long startedNanos;
  private Process process;
  private Future<String> output = Future.succeededFuture("");

  /** How long it may take to end; null until it is asked to. */
  private Duration patience;

  private String killedFor;
  private long killTimer = NO_TIMER;

  WorkerProcess(Vertx vertx, String id, WorkerCommand command, LongSupplier nanos) {
    this.vertx = vertx;
    this.context = vertx.getOrCreateContext();
    this.id = id;
    this.command = command;
    this.nanos = nanos;
    this.startedNanos = nanos.getAsLong();
  }

  String id() {
    return id;
  }

  /** The system's number of it; 0 while there is none. */
  long pid() {
    return process == null ? 0 : process.pid();
  }

  /** Since it was to start. */
  Duration age() {
    return Duration.ofNanos(nanos.getAsLong() - startedNanos);
  }

  /**
   * Starts it. Once.
   *
   * @param ended gets how it ended, once, also where it could not be started
   */
  void start(Consumer<End> ended) {
    context
        .executeBlocking(command::start, false)
        .onSuccess(started -> started(started, ended))
        .onFailure(failure -> ended.accept(new End(false, false, "no process: " + failure)));
  }

  private void started(Process started, Consumer<End> ended) {
    process = started;
    output =
        Future.fromCompletionStage(
            WorkerOutput.read(
                started,
                "ragbus-output-" + id,
                line -> OUTPUT.log(Level.INFO, id + ": " + line),
                nanos),
            context);
    Future.fromCompletionStage(started.onExit(), context)
        .onSuccess(
            gone -> {
              vertx.cancelTimer(killTimer);
              ended.accept(end(gone.exitValue()));
            });
    if (patience != null) {
      terminate();
      return;
    }
    LOGGER.log(Level.INFO, "worker " + id + " is process " + started.pid());
    context
        .executeBlocking(
            () -> {
              command.handOver(started);
              return null;
            },
            false)
        // It has ended, which is told otherwise.
        .onFailure(failure -> LOGGER.log(Level.DEBUG, id + " took no input", failure));
  }

  private End end(int exitCode) {
    // What the shell says too: 128 and the number of the signal that ended it.
    int number = exitCode - 128;
    String signal = number > 0 && number <= LAST_SIGNAL ? " (signal " + number + ")" : "";
    String killed = killedFor == null ? "" : ", killed: " + killedFor;
    return new End(exitCode == 0, number == SIGTERM, "exit code " + exitCode + signal + killed);
  }

  /** Asks it to end, as soon as there is one, and kills it where it takes longer. Once. */
  void terminate(Duration patience) {
    this.patience = patience;
    if (process != null) {
      terminate();
    }
  }

  private void terminate() {
    // Process.destroy would close the pipes as well, whose end tells a worker to end at once.
    process.toHandle().destroy();
    killTimer =
        vertx.setTimer(
            patience.toMillis(), timer -> kill("not gone after " + patience.toMillis() + " ms"));
  }

  /**
   * Kills it, with what it has started; looking for that takes a while.
   *
   * @param reason for people
   */
  void kill(String reason) {
    killedFor = reason;
    if (process == null) {
      return;
    }
    context
        .executeBlocking(
            () -> {
              process.descendants().forEach(ProcessHandle::destroyForcibly);
              process.toHandle().destroyForcibly();
              return null;
            },
            false)
        .onFailure(failure -> LOGGER.log(Level.WARNING, id + " was not killed", failure));
  }

  /**
   * Logs what there is to know of its end, as soon as all that it printed has been read.
   *
   * @param next what follows, for people
   */
  void report(End end, String next) {
    File report = command.report(pid());
    output.onComplete(
        tail ->
            context
                .executeBlocking(report::exists, false)
                .onSuccess(
                    crashed ->
                        LOGGER.log(
                            Level.ERROR,
                            "worker "
                                + id
                                + " (process "
                                + pid()
                                + ") has ended with "
                                + end.how()
                                + "; "
                                + next
                                + (crashed ? "; Java's report is " + report : "")
                                + "; it printed last:\n"
                                + tail.result())));
  }

  /**
   * The resident memory of a process, as Linux tells it; 0 elsewhere, and for one that has gone.
   * Blocks on the disk; any thread.
   */
  static long residentBytes(long pid) {
    try {
      Matcher found =
          RESIDENT.matcher(Files.readString(Path.of("/proc", Long.toString(pid), "status")));
      return found.find() ? Long.parseLong(found.group(1)) * 1024 : 0;
    } catch (IOException e) {
      return 0;
    }
  }
}
