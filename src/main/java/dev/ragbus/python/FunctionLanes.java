// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.python;

import io.vertx.core.Future;
import io.vertx.core.json.JsonObject;
import java.util.List;
import java.util.Map;

/**
 * The lanes that run registered functions, one thing at a time each, and what can be done about one
 * that does not end.
 *
 * <p>Belongs to one event loop: every method is called there and every future completes there.
 * Failures are {@link dev.ragbus.RagbusException}s. {@code call} is a number that no other call of
 * the process has.
 */
public interface FunctionLanes {
  /**
   * The operations on functions that answer in JSON. They may run code of the function's module.
   */
  enum Definition {
    /** Compiles a function and describes it. */
    REGISTER("function_register"),
    /** Compiles the functions of a folder and describes them. */
    SCAN("function_scan");

    private final String operation;

    Definition(String operation) {
      this.operation = operation;
    }

    String operation() {
      return operation;
    }
  }

  /**
   * A call.
   *
   * @param function the function's number in Python
   * @param call the call's number
   * @param deadlineNanos when its time is over, by {@link System#nanoTime}
   * @param requestId for the log
   * @param payload {@code args} and {@code kwargs}
   */
  record Run(
      int function, long call, long deadlineNanos, String requestId, Map<String, Object> payload) {}

  /**
   * What a generator gave.
   *
   * @param items its next items
   * @param done whether there are no more
   */
  record Items(List<Object> items, boolean done) {}

  /** How many there are; they are numbered from 0. */
  int count();

  /** Runs an operation on a lane that is idle. */
  Future<JsonObject> define(int lane, Definition operation, JsonObject body);

  /** Forgets a function; calls under way go on. */
  void forget(int function);

  /** A function's source; null where it has none that can be read. */
  Future<String> source(int function);

  /** Calls a function on a lane that is idle; the result has JSON shapes and tensors. */
  Future<Object> run(int lane, Run run);

  /** Starts a generator on a lane that is idle. */
  Future<Void> open(int lane, Run run);

  /**
   * The next items of a generator, on the lane that it was started on, idle: as many as asked for,
   * or fewer where the time ends first, but at least one. They have JSON shapes alone.
   */
  Future<Items> next(int lane, Run run, int maxItems, long maxMillis);

  /** Ends a generator, on a lane that is idle. */
  Future<Void> close(int lane, Run run);

  /**
   * Tells a call to end; returns at once.
   *
   * @param hard whether an exception is thrown into it wherever it is
   */
  void cancel(long call, boolean hard);

  /** Gives up a lane's thread, with the call that it runs, for a new one. */
  void giveUp(int lane);

  /** Threads of all lanes, of whatever role, that were given up and still live. */
  int abandoned();

  /** Calls that had an exception thrown into them: each may have left a lock locked. */
  long hardCancelled();

  /** The cache of compiled sources: {@code cache_hits}, {@code cache_misses}, {@code cached}. */
  Future<JsonObject> cache();
}
