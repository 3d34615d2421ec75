// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.cluster;

import dev.ragbus.RagbusOptions;
import io.vertx.core.Context;
import io.vertx.core.Future;
import io.vertx.core.Promise;
import io.vertx.core.Vertx;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ThreadLocalRandom;
import java.util.function.Function;
import java.util.function.LongSupplier;

/**
 * The worker processes of a front: as many as {@code cluster.workers} are kept running. One that
 * dies is started again as {@link RestartPolicy} says; one whose {@link WorkerTerm} is over gets
 * its replacement first, and when that serves is asked to drain (SIGTERM) and killed if it has not
 * gone {@code lanes.drain_timeout} and 5 s later; only one at a time is replaced, and a replacement
 * that does not serve within 10 minutes is killed.
 *
 * <p>Each process has an id of its own, which no other has had, in whatever cluster. Belongs to the
 * context that it is made on, whose event loop alone may use it, and never blocks it.
 */
final class WorkerProcesses {
  /** What the front does about its workers. On the event loop. */
  interface Listener {
    /** A process is to get no more requests; it still answers those that it has. */
    void leaving(String workerId);

    /**
     * A process has gone otherwise than by draining to its end: what it had is not answered. What
     * follows is decided: {@link #failure} and {@link #workers} tell it.
     *
     * @param how what is known of it, for people
     */
    void lost(String workerId, String how);

    /** How many requests a process has had until now. */
    long requests(String workerId);
  }

  /** What a process does, or a place among the workers without one. */
  enum State {
    /** It has not served yet. */
    STARTING,
    SERVING,
    /** It answers what it has, and ends. */
    DRAINING,
    /** It has died, and is started again after a while. */
    WAITING,
    /** It has died too often and is not started again. */
    FAILED
  }

  /**
   * What is known of a process.
   *
   * @param id its own
   * @param pid the system's; 0 while there is none
   * @param restarts starts after deaths, of its place among the workers
   * @param age since it was started; zero where there is none
   * @param lastExit how the last process of its place ended; null where none has yet
   */
  record Worker(String id, long pid, State state, int restarts, Duration age, String lastExit) {}

  /**
   * How patient it is.
   *
   * @param look how often it is looked whether a term is over
   * @param grace how much longer than {@code lanes.drain_timeout} a process may take to end before
   *     it is killed
   * @param late how often it is told of a process that does not come to serve
   * @param replacement how long a replacement may take to serve before it is killed
   * @param restarts how fast restarts follow
   */
  record Pace(
      Duration look,
      Duration grace,
      Duration late,
      Duration replacement,
      RestartPolicy.Pace restarts) {
    static final Pace DEFAULT =
        new Pace(
            Duration.ofSeconds(1),
            Duration.ofSeconds(5),
            Duration.ofMinutes(1),
            Duration.ofMinutes(10),
            RestartPolicy.Pace.DEFAULT);
  }

  private static final Logger LOGGER = System.getLogger(WorkerProcesses.class.getName());

  private static final long NO_TIMER = -1;

  private final Vertx vertx;
  private final Context context;
  private final Function<String, WorkerCommand> commands;
  private final LongSupplier nanos;
  private final Listener listener;
  private final Pace pace;
  private final WorkerTerm term;
  private final Duration patience;
  private final String suffix = String.format("%08x", ThreadLocalRandom.current().nextInt());
  private final List<Place> places = new ArrayList<>();

  /** All that have been started and are not gone yet, by id. */
  private final Map<String, Child> children = new LinkedHashMap<>();

  private long lookTimer = NO_TIMER;
  private Promise<Void> stopped;

  /** One of as many as there are workers. */
  private static final class Place {
    final int number;
    final RestartPolicy policy;
    int processes;
    int restarts;
    Child current;
    Child replacement;
    String lastId;
    String lastExit;
    String failure;
    long restartTimer = NO_TIMER;

    /** From when on it may be replaced, where that is not at once. */
    Long replaceableNanos;

    boolean irreplaceable;

    Place(int number, RestartPolicy policy) {
      this.number = number;
      this.policy = policy;
    }
  }

  /** A process and its place. */
  private static final class Child {
    final WorkerProcess process;
    final Place place;
    final Promise<Void> gone = Promise.promise();
    State state = State.STARTING;
    boolean hasServed;
    long servingNanos;

    /** Runs until it serves, is to go or has gone. */
    long lateTimer = NO_TIMER;

    Child(WorkerProcess process, Place place) {
      this.process = process;
      this.place = place;
    }

    String id() {
      return process.id();
    }

    Duration served(long nowNanos) {
      return state == State.SERVING ? Duration.ofNanos(nowNanos - servingNanos) : Duration.ZERO;
    }
  }

  /**
   * Starts nothing yet.
   *
   * @param vertx whose current context it belongs to
   * @param commands what starts the process of an id
   * @param nanos the clock
   */
  WorkerProcesses(
      Vertx vertx,
      RagbusOptions options,
      Function<String, WorkerCommand> commands,
      LongSupplier nanos,
      Listener listener) {
    this(vertx, options, commands, nanos, listener, Pace.DEFAULT);
  }

  WorkerProcesses(
      Vertx vertx,
      RagbusOptions options,
      Function<String, WorkerCommand> commands,
      LongSupplier nanos,
      Listener listener,
      Pace pace) {
    this.vertx = vertx;
    this.context = vertx.getOrCreateContext();
    this.commands = commands;
    this.nanos = nanos;
    this.listener = listener;
    this.pace = pace;
    this.term = WorkerTerm.of(options.cluster());
    this.patience = options.lanes().drainTimeout().plus(pace.grace);
    for (int i = 1; i <= options.cluster().workers(); i++) {
      places.add(new Place(i, new RestartPolicy(pace.restarts)));
    }
  }

  /** Starts all of them; returns at once. Once. */
  void start() {
    for (Place place : places) {
      place.current = launch(place);
    }
    if (!term.endless()) {
      lookTimer = vertx.setPeriodic(pace.look.toMillis(), timer -> look());
    }
  }

  /**
   * A process serves: its first announcement has come. Without effect for one that is not of this
   * front, or did so before.
   */
  void serving(String workerId) {
    Child child = children.get(workerId);
    if (child == null || child.state != State.STARTING) {
      return;
    }
    vertx.cancelTimer(child.lateTimer);
    child.state = State.SERVING;
    child.hasServed = true;
    child.servingNanos = nanos.getAsLong();
    Place place = child.place;
    if (place.replacement == child) {
      Child old = place.current;
      place.current = child;
      place.replacement = null;
      place.replaceableNanos = child.servingNanos + pace.restarts.minute().toNanos();
      drain(old);
    }
  }

  /**
   * Kills a process that does not do its work, such as one that no longer tells how it is; what
   * follows is the same as when it dies.
   *
   * @param reason for people
   */
  void kill(String workerId, String reason) {
    Child child = children.get(workerId);
    if (child != null) {
      child.process.kill(reason);
    }
  }

  /** What they do, place by place; those that drain at the end. */
  List<Worker> workers() {
    List<Worker> workers = new ArrayList<>();
    for (Place place : places) {
      if (place.current != null && place.current.state != State.DRAINING) {
        workers.add(told(place.current));
      } else if (place.restartTimer != NO_TIMER || place.failure != null) {
        State state = place.failure == null ? State.WAITING : State.FAILED;
        workers.add(
            new Worker(place.lastId, 0, state, place.restarts, Duration.ZERO, place.lastExit));
      }
      if (place.replacement != null && place.replacement.state != State.DRAINING) {
        workers.add(told(place.replacement));
      }
    }
    children.values().stream()
        .filter(child -> child.state == State.DRAINING)
        .forEach(child -> workers.add(told(child)));
    return workers;
  }

  private Worker told(Child child) {
    Place place = child.place;
    return new Worker(
        child.id(),
        child.process.pid(),
        child.state,
        place.restarts,
        child.process.age(),
        place.lastExit);
  }

  /** Why a worker is not started any more; empty while all are. */
  Optional<String> failure() {
    return places.stream()
        .filter(place -> place.failure != null)
        .map(place -> "worker " + place.number + " " + place.failure)
        .findFirst();
  }

  /**
   * Drains all of them, and kills those that are not gone in time; no more are started.
   *
   * @return completes when all are gone, {@code lanes.drain_timeout} and 10 s later at the latest
   */
  Future<Void> stop() {
    if (stopped != null) {
      return stopped.future();
    }
    stopped = Promise.promise();
    vertx.cancelTimer(lookTimer);
    for (Place place : places) {
      vertx.cancelTimer(place.restartTimer);
      place.restartTimer = NO_TIMER;
    }
    List<Child> all = List.copyOf(children.values());
    all.forEach(this::drain);
    long limit =
        vertx.setTimer(patience.plus(pace.grace).toMillis(), timer -> stopped.tryComplete());
    Future.join(all.stream().map(child -> child.gone.future()).toList())
        .onComplete(
            gone -> {
              vertx.cancelTimer(limit);
              stopped.tryComplete();
            });
    return stopped.future();
  }

  private Child launch(Place place) {
    place.processes++;
    String id = "w" + place.number + "." + place.processes + "-" + suffix;
    Child child = new Child(new WorkerProcess(vertx, id, commands.apply(id), nanos), place);
    place.lastId = id;
    children.put(id, child);
    child.lateTimer = vertx.setPeriodic(pace.late.toMillis(), timer -> late(child));
    child.process.start(end -> ended(child, end));
    return child;
  }

  /** A first process may be making the Python environment, which takes as long as it takes. */
  private void late(Child child) {
    Duration age = child.process.age();
    String serves = "it has not come to serve within " + age.toSeconds() + " s";
    LOGGER.log(
        Level.WARNING,
        "worker " + child.id() + " (process " + child.process.pid() + "): " + serves);
    if (child.place.replacement == child && age.compareTo(pace.replacement) >= 0) {
      child.process.kill(serves);
    }
  }

  private void ended(Child child, WorkerProcess.End end) {
    Place place = child.place;
    children.remove(child.id());
    vertx.cancelTimer(child.lateTimer);
    place.lastExit = end.how();
    boolean asked = child.state == State.DRAINING;
    if (asked && place.current == child) {
      place.current = null;
    }
    if (asked && place.replacement == child) {
      place.replacement = null;
    }
    // One that has not come to serve has nothing to answer.
    boolean inOrder = end.cleanly() || (end.terminated() && !child.hasServed);
    if (asked && inOrder) {
      LOGGER.log(Level.INFO, "worker " + child.id() + " has drained");
    } else {
      String next = asked ? "it was draining" : next(child, end.how());
      listener.lost(child.id(), end.how());
      child.process.report(end, next);
    }
    child.gone.complete();
  }

  /** What follows the death of a process that was not asked to go. */
  private String next(Child child, String how) {
    Place place = child.place;
    long now = nanos.getAsLong();
    RestartPolicy.Decision decision = place.policy.died(now, child.served(now), how);
    if (child == place.replacement) {
      place.replacement = null;
      if (decision instanceof RestartPolicy.Restart restart) {
        place.replaceableNanos = now + restart.after().toNanos();
      } else {
        place.irreplaceable = true;
      }
      return "the worker that it was to replace serves on";
    }
    place.current = place.replacement;
    place.replacement = null;
    if (place.current != null) {
      return "its replacement is under way";
    }
    if (decision instanceof RestartPolicy.Restart restart) {
      place.restartTimer = vertx.setTimer(restart.after().toMillis(), timer -> restart(place));
      return "started again in " + restart.after().toMillis() + " ms";
    }
    place.failure = ((RestartPolicy.GiveUp) decision).reason();
    return "not started again: " + place.failure;
  }

  private void restart(Place place) {
    place.restartTimer = NO_TIMER;
    place.restarts++;
    place.current = launch(place);
  }

  private boolean replacing() {
    return children.values().stream()
        .anyMatch(child -> child.state == State.DRAINING || child.place.replacement == child);
  }

  private void look() {
    Map<Child, Long> pids = new HashMap<>();
    for (Place place : places) {
      if (place.current != null && place.current.state == State.SERVING) {
        pids.put(place.current, place.current.process.pid());
      }
    }
    context
        .executeBlocking(() -> residentBytes(pids), false)
        .onSuccess(this::replaceOne)
        .onFailure(failure -> LOGGER.log(Level.WARNING, "workers were not looked at", failure));
  }

  private static Map<Child, Long> residentBytes(Map<Child, Long> pids) {
    Map<Child, Long> bytes = new HashMap<>();
    pids.forEach((child, pid) -> bytes.put(child, WorkerProcess.residentBytes(pid)));
    return bytes;
  }

  private void replaceOne(Map<Child, Long> residentBytes) {
    long now = nanos.getAsLong();
    for (Place place : places) {
      Child child = place.current;
      if (stopped != null || replacing()) {
        return;
      }
      if (child == null || child.state != State.SERVING || place.irreplaceable) {
        continue;
      }
      if (place.replaceableNanos != null && now - place.replaceableNanos < 0) {
        continue;
      }
      String reason =
          term.over(
              child.process.age(),
              listener.requests(child.id()),
              residentBytes.getOrDefault(child, 0L));
      if (reason != null) {
        LOGGER.log(Level.INFO, "worker " + child.id() + " is replaced: " + reason);
        place.replacement = launch(place);
      }
    }
  }

  private void drain(Child child) {
    if (child.state == State.DRAINING) {
      return;
    }
    vertx.cancelTimer(child.lateTimer);
    child.state = State.DRAINING;
    listener.leaving(child.id());
    child.process.terminate(patience);
  }
}
