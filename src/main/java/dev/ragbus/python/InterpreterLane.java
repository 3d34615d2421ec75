// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.python;

import dev.ragbus.RagbusException;
import dev.ragbus.RagbusException.Kind;
import dev.ragbus.Stats;
import io.vertx.core.Context;
import io.vertx.core.Future;
import io.vertx.core.Promise;
import io.vertx.core.json.JsonObject;
import io.vertx.core.spi.metrics.PoolMetrics;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.RejectedExecutionException;
import java.util.function.BooleanSupplier;
import java.util.function.Function;

/**
 * A lane: one daemon thread with one Python interpreter, which runs the calls handed to it one
 * after another.
 *
 * <p>All fields but the thread's own belong to the event loop of the context given; calls complete
 * there. The thread is never waited for: one that is stuck in Python is abandoned with what it
 * holds and replaced by a new one, and its calls fail with {@code LANE_LOST}.
 */
final class InterpreterLane {
  private static final System.Logger LOG = System.getLogger(InterpreterLane.class.getName());

  /** Native recursion in CPython needs more stack than a Java thread's usual one. */
  private static final long STACK_BYTES = 8L << 20;

  /**
   * How long an idle lane that serves requests stays awake; {@code docs/performance.md} has what it
   * gains.
   */
  private static final long PATIENCE_NANOS = 200_000;

  /** A lane that owes a sign of life for so long is {@code unresponsive}. */
  private static final long RESPONSE_NANOS = 1_000_000_000;

  /** What a lane is for. */
  enum Role {
    /** Runs batches. */
    INFERENCE(true),
    /** Tokenises and answers short questions. */
    CONTROL(false),
    /** Loads models. */
    LOADER(true),
    /** Fetches models. */
    FETCHER(true),
    /** Unloads models and collects garbage. */
    MEMORY(true),
    /** Runs registered functions, which keep the interpreter lock that all wait for. */
    FUNCTION(false);

    /**
     * Whether its thread, and those that engines start from it, give way to event loops: these must
     * not wait for a core until a batch has had its share of it.
     */
    private final boolean givesWay;

    Role(boolean givesWay) {
      this.givesWay = givesWay;
    }
  }

  private final String name;
  private final Role role;
  private final PythonRuntime runtime;
  private final int niceness;
  private final Context context;
  private final PoolMetrics<Object, Object> metrics;
  private final Runnable stuck;

  /** Whether the event loop may stay awake for a function, there being nothing that it holds up. */
  private final BooleanSupplier quiet;

  private final List<Interpreter> abandoned = new ArrayList<>();
  private Interpreter current;
  private boolean closed;
  private boolean awake;
  private long awakeUntilNanos;
  private long calls;
  private long replaced;

  /**
   * Made closed.
   *
   * @param niceness by how much its thread gives way to others, if its role is one that does
   * @param metrics told of its calls; null for none
   * @param stuck run when a thread was given up and replaced
   */
  InterpreterLane(
      String name,
      Role role,
      PythonRuntime runtime,
      int niceness,
      Context context,
      PoolMetrics<Object, Object> metrics,
      Runnable stuck,
      BooleanSupplier quiet) {
    this.name = name;
    this.role = role;
    this.runtime = runtime;
    this.niceness = niceness;
    this.context = context;
    this.metrics = metrics;
    this.stuck = stuck;
    this.quiet = quiet;
  }

  /** Starts the thread and opens its interpreter. */
  Future<Void> open() {
    current = new Interpreter();
    return current.opened();
  }

  /**
   * Runs a call on the lane's thread, after those before it.
   *
   * @param giveUpNanos when, by {@link System#nanoTime}, the lane is given up if the call is still
   *     running
   */
  <T> Future<T> call(Function<Bridge, T> work, long giveUpNanos) {
    if (closed) {
      return Future.failedFuture(RagbusException.of(Kind.UNAVAILABLE, name + " is closed"));
    }
    calls++;
    return current.submit(work, giveUpNanos);
  }

  /**
   * Gives up the thread if its running call should have ended before {@code nowNanos}; one that has
   * died gets a successor.
   */
  void check(long nowNanos) {
    if (closed) {
      return;
    }
    if (current.lost != null) {
      renew();
    } else if (current.overdue(nowNanos)) {
      replace();
    }
  }

  /** Gives up the thread and what it runs, and goes on with a new one. */
  void giveUp() {
    if (!closed) {
      replace();
    }
  }

  /** Asks for a sign of life, which a lane that is busy gives by its calls. */
  void probe() {
    if (!closed) {
      current.probe();
    }
  }

  /** How many threads were given up and are still stuck. */
  int abandoned() {
    abandoned.removeIf(Interpreter::hasEnded);
    return abandoned.size();
  }

  private void replace() {
    LOG.log(
        System.Logger.Level.ERROR,
        "{0} is stuck in Python; its thread is abandoned and replaced",
        name);
    Interpreter given = current;
    abandoned.add(given);
    renew();
    given.abandon(RagbusException.of(Kind.LANE_LOST, name + " was stuck and has been replaced"));
    stuck.run();
  }

  private void renew() {
    replaced++;
    current = new Interpreter();
  }

  /**
   * Closes the interpreter on its own thread after the calls before it. A thread that does not get
   * there by {@code giveUpNanos} is abandoned by {@link #abandonIfOpen}.
   */
  Future<Void> close() {
    closed = true;
    return current == null ? Future.succeededFuture() : current.closeAfterCalls();
  }

  /** Fails what is still running and lets the thread go. */
  void abandonIfOpen() {
    closed = true;
    if (current != null) {
      current.abandon(RagbusException.of(Kind.LANE_LOST, name + " was closed while it was busy"));
    }
  }

  /** Calls that run or wait. */
  int pending() {
    return current.pending.size();
  }

  Stats.Lane stats() {
    String state = closed ? "closed" : current == null ? "starting" : current.state();
    return new Stats.Lane(
        name, role.name().toLowerCase(java.util.Locale.ROOT), state, calls, replaced, abandoned());
  }

  /**
   * Keeps the event loop awake a moment for a function's result, and then for its caller's next
   * call, as the lane's own thread stays: waking either up takes longer than a short function.
   */
  private void stayAwake() {
    if (role == Role.FUNCTION && quiet.getAsBoolean()) {
      awakeUntilNanos = System.nanoTime() + PATIENCE_NANOS;
      if (!awake) {
        awake = true;
        onEventLoop(this::awake);
      }
    }
  }

  @SuppressWarnings("ThreadPriorityCheck") // nothing relies on it: it is for who wants the core
  private void awake() {
    awake = System.nanoTime() - awakeUntilNanos < 0 && quiet.getAsBoolean();
    if (awake) {
      Thread.yield();
      onEventLoop(this::awake);
    }
  }

  /** Hands a result over, from the lane's thread. */
  private void onEventLoop(Runnable action) {
    try {
      context.runOnContext(v -> action.run());
    } catch (RejectedExecutionException vertxIsClosed) {
      // Everybody who waited was answered when this thread was abandoned.
    }
  }

  /** One call: made and ended on the event loop, run on the thread. */
  private final class Call<T> {
    private final Promise<T> promise = Promise.promise();
    private final Function<Bridge, T> work;
    private final long giveUpNanos;
    private final PoolMetrics<Object, Object> metrics;
    private final Object queued;

    Call(Function<Bridge, T> work, long giveUpNanos, PoolMetrics<Object, Object> metrics) {
      this.work = work;
      this.giveUpNanos = giveUpNanos;
      this.metrics = metrics;
      this.queued = metrics == null ? null : metrics.enqueue();
    }

    /** On the lane's thread. */
    void run(Bridge bridge, Interpreter owner) {
      Object usage = null;
      if (metrics != null) {
        metrics.dequeue(queued);
        usage = metrics.begin();
      }
      T result = null;
      Throwable failure = null;
      try {
        result = work.apply(bridge);
      } catch (Throwable e) {
        // Errors too: a StackOverflowError or OutOfMemoryError in a conversion fails its call
        // alone.
        failure = typed(e);
      }
      if (metrics != null) {
        metrics.end(usage);
      }
      T value = result;
      Throwable cause = failure;
      onEventLoop(() -> owner.ended(this, value, cause));
    }

    private RagbusException typed(Throwable e) {
      if (e instanceof RagbusException already) {
        return already;
      }
      LOG.log(System.Logger.Level.ERROR, "a call on " + name + " failed", e);
      return RagbusException.of(Kind.RUNTIME, e.getClass().getSimpleName() + ": " + e.getMessage());
    }
  }

  /** A thread and its interpreter; a lane has one after another. */
  private final class Interpreter {
    private final BlockingQueue<Call<?>> queue = new LinkedBlockingQueue<>();
    private final Set<Call<?>> pending = new LinkedHashSet<>();
    private final Promise<Void> opened = Promise.promise();
    private final Promise<Void> ended = Promise.promise();
    private final Call<Void> closing = new Call<>(bridge -> null, Long.MAX_VALUE, null);
    private final Thread thread = new Thread(null, this::run, name, STACK_BYTES);
    private boolean open;
    private Call<?> probe;

    /** Why the thread runs no calls any more, though nobody closed it; null while it does. */
    private RagbusException lost;

    /** When there was a sign of life last, or none began to be owed. */
    private long aliveNanos;

    Interpreter() {
      thread.setDaemon(true);
      thread.setContextClassLoader(InterpreterLane.class.getClassLoader());
      thread.start();
    }

    Future<Void> opened() {
      return opened.future();
    }

    boolean hasEnded() {
      return !thread.isAlive();
    }

    <T> Future<T> submit(Function<Bridge, T> work, long giveUpNanos) {
      if (lost != null) {
        return Future.failedFuture(lost);
      }
      Call<T> call = new Call<>(work, giveUpNanos, metrics);
      if (pending.isEmpty() && probe == null) {
        aliveNanos = System.nanoTime();
      }
      pending.add(call);
      queue.add(call);
      stayAwake();
      return call.promise.future();
    }

    /** Not among the pending calls: it makes no lane busy, and hides no call that is overdue. */
    void probe() {
      if (open && lost == null && probe == null && pending.isEmpty()) {
        aliveNanos = System.nanoTime();
        probe = new Call<>(bridge -> bridge.call("ping", new JsonObject()), Long.MAX_VALUE, null);
        queue.add(probe);
      }
    }

    /** A call of the control lane is short; others may take as long as their requests may. */
    private boolean owesSign() {
      return probe != null || (role == Role.CONTROL && !pending.isEmpty());
    }

    boolean overdue(long nowNanos) {
      if (pending.isEmpty()) {
        return false;
      }
      long giveUpNanos = pending.iterator().next().giveUpNanos;
      return giveUpNanos != Long.MAX_VALUE && nowNanos - giveUpNanos > 0;
    }

    void abandon(RagbusException reason) {
      for (Call<?> call : Set.copyOf(pending)) {
        pending.remove(call);
        call.promise.fail(reason);
      }
      queue.clear();
      queue.add(closing);
      opened.tryFail(reason);
      ended.tryComplete();
    }

    Future<Void> closeAfterCalls() {
      queue.add(closing);
      return ended.future();
    }

    String state() {
      if (lost != null) {
        return "lost";
      }
      if (!open) {
        return "starting";
      }
      if (owesSign() && System.nanoTime() - aliveNanos > RESPONSE_NANOS) {
        return "unresponsive";
      }
      return pending.isEmpty() ? "idle" : "busy";
    }

    <T> void ended(Call<T> call, T value, Throwable failure) {
      aliveNanos = System.nanoTime();
      if (call == probe) {
        probe = null;
      }
      if (!pending.remove(call)) {
        return;
      }
      stayAwake();
      if (failure == null) {
        call.promise.complete(value);
      } else {
        call.promise.fail(failure);
      }
    }

    /** The thread. */
    private void run() {
      Bridge bridge;
      try {
        bridge = new Bridge(runtime, role.givesWay ? niceness : 0);
      } catch (Throwable e) {
        LOG.log(System.Logger.Level.ERROR, name + " cannot open its interpreter", e);
        onEventLoop(() -> openFailed(e));
        return;
      }
      onEventLoop(this::isOpen);
      try (bridge) {
        for (Call<?> call = next(); call != closing; call = next()) {
          call.run(bridge, this);
        }
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      } catch (RuntimeException e) {
        LOG.log(System.Logger.Level.WARNING, name + " did not close cleanly", e);
      } catch (Error e) {
        LOG.log(System.Logger.Level.ERROR, name + " has died", e);
        onEventLoop(() -> died(RagbusException.of(Kind.LANE_LOST, name + " has died: " + e)));
      }
      onEventLoop(ended::tryComplete);
    }

    /** The next call; the thread stays awake a moment for it, since waking it up takes longer. */
    @SuppressWarnings("ThreadPriorityCheck") // the yield spares power; nothing relies on it
    private Call<?> next() throws InterruptedException {
      boolean patient = role == Role.INFERENCE || role == Role.FUNCTION;
      long patientUntil = System.nanoTime() + (patient ? PATIENCE_NANOS : 0);
      Call<?> call = queue.poll();
      while (call == null && System.nanoTime() - patientUntil < 0) {
        Thread.yield();
        call = queue.poll();
      }
      return call == null ? queue.take() : call;
    }

    private void isOpen() {
      open = true;
      opened.tryComplete();
    }

    private void openFailed(Throwable e) {
      lose(
          RagbusException.of(
              Kind.NOT_INITIALIZED, name + " cannot open its interpreter: " + e.getMessage()));
    }

    /** Its successor is there before its calls fail: what follows a failure is done by that one. */
    private void died(RagbusException reason) {
      try {
        if (current == this && !closed) {
          renew();
        }
      } finally {
        lose(reason);
      }
    }

    private void lose(RagbusException reason) {
      lost = reason;
      abandon(reason);
    }
  }
}
