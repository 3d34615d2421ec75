// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.python;

import io.vertx.core.json.JsonObject;
import java.util.concurrent.TimeUnit;

/**
 * Watches whether the interpreter lock can be had: a thread of its own takes it every now and then.
 * How long it has been waiting is told without Python, so also when some call of C keeps the lock.
 *
 * <p>One for the process, as the lock is; its thread is a daemon and never ends. Whenever it has
 * the lock it sets Python's own alarm anew, which writes the stacks of all threads to the log once
 * the lock has been out of reach for {@link #LOCKED_NANOS}.
 */
final class InterpreterWatch {
  /** A wait this long is no ordinary one: threads give the lock up every few milliseconds. */
  static final long LOCKED_NANOS = TimeUnit.SECONDS.toNanos(1);

  private static final System.Logger LOG = System.getLogger(InterpreterWatch.class.getName());
  private static final long PAUSE_MILLIS = 250;

  private final PythonRuntime runtime;

  /** Since when the thread has been waiting, by {@link System#nanoTime}; null while it is not. */
  private volatile Long askedNanos;

  InterpreterWatch(PythonRuntime runtime) {
    this.runtime = runtime;
    Thread thread = new Thread(this::run, "ragbus-interpreter-watch");
    thread.setDaemon(true);
    thread.setContextClassLoader(InterpreterWatch.class.getClassLoader());
    thread.start();
  }

  /** For how long the lock has been asked for in vain; any thread may ask. */
  long waitedNanos() {
    Long asked = askedNanos;
    return asked == null ? 0 : System.nanoTime() - asked;
  }

  private void run() {
    double alarmSeconds = LOCKED_NANOS / 1e9 + PAUSE_MILLIS / 1e3;
    JsonObject body = new JsonObject().put("alarm_seconds", alarmSeconds);
    try (Bridge bridge = new Bridge(runtime, 0)) {
      while (true) {
        askedNanos = System.nanoTime();
        bridge.call("watch", body);
        askedNanos = null;
        Thread.sleep(PAUSE_MILLIS);
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    } catch (RuntimeException | Error e) {
      LOG.log(System.Logger.Level.ERROR, "nothing watches the interpreter lock any more", e);
    } finally {
      askedNanos = null;
    }
  }
}
