// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.cluster;

import static org.assertj.core.api.Assertions.assertThat;

import dev.ragbus.Await;
import dev.ragbus.RagbusOptions;
import dev.ragbus.cluster.WorkerProcesses.State;
import dev.ragbus.cluster.WorkerProcesses.Worker;
import io.vertx.core.Context;
import io.vertx.core.Future;
import io.vertx.core.Promise;
import io.vertx.core.Vertx;
import io.vertx.core.json.JsonObject;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.logging.Handler;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/** With real processes. */
class WorkerProcessesTest {
  private static final JsonObject INPUT =
      new JsonObject().put("config", new JsonObject().put("text", "é\n😀"));

  /** Enough for a JVM to start on a machine that does other work. */
  private static final Duration LONG = Duration.ofSeconds(90);

  @TempDir private Path folder;

  /** What happened, in order: {@code serving ID}, {@code leaving ID}, {@code lost ID how}. */
  private final List<String> events = new CopyOnWriteArrayList<>();

  private final List<String> printed = new CopyOnWriteArrayList<>();
  private final List<String> reports = new CopyOnWriteArrayList<>();
  private final Map<String, Long> requests = new ConcurrentHashMap<>();
  private final Logger output = Logger.getLogger("dev.ragbus.worker");
  private final Logger log = Logger.getLogger(WorkerProcesses.class.getName());
  private final Handler outputs = handler(this::printed);
  private final Handler logs = handler(reports::add);
  private Vertx vertx;
  private Context context;
  private WorkerProcesses workers;

  /** How long one may take to serve. */
  private Duration late = LONG;

  private static Handler handler(Consumer<String> consumer) {
    return new Handler() {
      @Override
      public void publish(LogRecord entry) {
        consumer.accept(entry.getMessage());
      }

      @Override
      public void flush() {}

      @Override
      public void close() {}
    };
  }

  @BeforeEach
  void begin() {
    vertx = Vertx.vertx();
    context = vertx.getOrCreateContext();
    output.addHandler(outputs);
    output.setUseParentHandlers(false);
    log.addHandler(logs);
  }

  @AfterEach
  void end() {
    if (workers != null) {
      List<Long> pids = pids();
      Await.result(on(() -> workers.stop()).compose(stopped -> stopped));
      assertThat(pids).noneMatch(WorkerProcessesTest::alive);
      eventually(() -> outputThreads().isEmpty());
    }
    Await.result(vertx.close());
    output.removeHandler(outputs);
    output.setUseParentHandlers(true);
    log.removeHandler(logs);
  }

  private static List<String> outputThreads() {
    return Thread.getAllStackTraces().keySet().stream()
        .map(Thread::getName)
        .filter(name -> name.startsWith("ragbus-output-"))
        .toList();
  }

  private void printed(String line) {
    printed.add(line);
    String[] parts = line.split(": ", 2);
    if (parts[1].equals(ChildMain.SERVING)) {
      context.runOnContext(
          v -> {
            events.add("serving " + place(parts[0]));
            workers.serving(parts[0]);
          });
    }
  }

  /** An id without what makes it the only one of its kind. */
  private static String place(String id) {
    return id.substring(0, id.indexOf('-'));
  }

  private WorkerCommand command(String how) {
    return new WorkerCommand(
        List.of(
            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "-Xmx300m",
            "-Xms8m",
            "-XX:TieredStopAtLevel=1",
            "-XX:+UseSerialGC",
            "-XX:-CreateCoredumpOnCrash",
            "-XX:ErrorFile=" + folder.resolve("hs_err_worker_pid%p.log"),
            "-cp",
            System.getProperty("java.class.path"),
            ChildMain.class.getName(),
            how),
        Map.of(),
        INPUT,
        folder);
  }

  /** Starts them; {@code how} tells what the worker of a place and number does. */
  private void start(JsonObject cluster, String drainTimeout, Function<String, String> how) {
    startCommands(cluster, drainTimeout, id -> command(how.apply(place(id))));
  }

  private void startCommands(
      JsonObject cluster, String drainTimeout, Function<String, WorkerCommand> commands) {
    RagbusOptions options =
        RagbusOptions.from(
            new JsonObject()
                .put(
                    "cluster",
                    new JsonObject().put("isolation", "process").put("workers", 1).mergeIn(cluster))
                .put("lanes", new JsonObject().put("drain_timeout", drainTimeout)));
    WorkerProcesses.Listener listener =
        new WorkerProcesses.Listener() {
          @Override
          public void leaving(String id) {
            events.add("leaving " + place(id));
          }

          @Override
          public void lost(String id, String how) {
            events.add("lost " + place(id) + " " + how);
            workers.failure().ifPresent(reason -> events.add("given up"));
          }

          @Override
          public long requests(String id) {
            return requests.getOrDefault(place(id), 0L);
          }
        };
    WorkerProcesses.Pace pace =
        new WorkerProcesses.Pace(
            Duration.ofMillis(50),
            Duration.ofMillis(200),
            late,
            late,
            new RestartPolicy.Pace(
                Duration.ofMillis(10), Duration.ofMillis(40), Duration.ofMinutes(1), 5));
    Await.result(
        on(
            () -> {
              workers =
                  new WorkerProcesses(vertx, options, commands, System::nanoTime, listener, pace);
              workers.start();
              return null;
            }));
  }

  private <T> Future<T> on(Callable<T> action) {
    Promise<T> done = Promise.promise();
    context.runOnContext(
        v -> {
          try {
            done.complete(action.call());
          } catch (Exception e) {
            done.fail(e);
          }
        });
    return done.future();
  }

  private List<Worker> seen() {
    return Await.result(on(() -> workers.workers()));
  }

  private List<Long> pids() {
    return seen().stream().map(Worker::pid).filter(pid -> pid > 0).toList();
  }

  private static boolean alive(long pid) {
    return ProcessHandle.of(pid).map(ProcessHandle::isAlive).orElse(false);
  }

  private static void signal(String name, long pid) throws IOException, InterruptedException {
    new ProcessBuilder("kill", "-" + name, Long.toString(pid)).start().waitFor();
  }

  private static void eventually(Callable<Boolean> condition) {
    Awaitility.await().atMost(LONG).pollInterval(Duration.ofMillis(20)).until(condition);
  }

  private void awaitServing(int count) {
    eventually(
        () -> seen().stream().filter(worker -> worker.state() == State.SERVING).count() == count);
  }

  @Test
  void theyServeAreToldWhatTheyNeedAndDrainTogether() {
    start(new JsonObject().put("workers", 2), "30s", place -> "lives");
    assertThat(seen()).extracting(Worker::state).containsOnly(State.STARTING);
    awaitServing(2);

    assertThat(seen()).extracting(worker -> place(worker.id())).containsExactly("w1.1", "w2.1");
    assertThat(seen())
        .allSatisfy(
            worker -> {
              assertThat(alive(worker.pid())).isTrue();
              assertThat(worker.age()).isPositive();
              assertThat(worker.restarts()).isZero();
              assertThat(worker.lastExit()).isNull();
            });
    assertThat(printed).filteredOn(line -> line.endsWith("input " + INPUT.encode())).hasSize(2);
    Await.result(on(() -> workers.stop()).compose(stopped -> stopped));
    assertThat(events)
        .containsExactlyInAnyOrder("serving w1.1", "serving w2.1", "leaving w1.1", "leaving w2.1");
    assertThat(Await.result(on(() -> workers.failure()))).isEmpty();
  }

  @Test
  void oneThatIsKilledIsToldAtOnceAndComesBack() throws Exception {
    start(new JsonObject().put("workers", 2), "30s", place -> "lives");
    awaitServing(2);
    Worker first = seen().get(0);
    signal("KILL", first.pid());
    eventually(() -> events.contains("lost w1.1 exit code 137 (signal 9)"));
    eventually(() -> events.contains("serving w1.2"));

    Worker again = seen().get(0);
    assertThat(again.id()).isNotEqualTo(first.id());
    assertThat(again.state()).isEqualTo(State.SERVING);
    assertThat(again.restarts()).isEqualTo(1);
    assertThat(again.lastExit()).isEqualTo("exit code 137 (signal 9)");
    assertThat(seen().get(1).restarts()).isZero();
  }

  @Test
  void oneThatCrashesLeavesAReportThatIsToldWithWhatItPrintedLast() throws Exception {
    start(new JsonObject(), "30s", place -> "lives");
    awaitServing(1);
    long pid = seen().get(0).pid();
    signal("SEGV", pid);
    eventually(() -> events.contains("serving w1.2"));

    Path report = folder.resolve("hs_err_worker_pid" + pid + ".log");
    assertThat(report).exists();
    eventually(() -> reports.stream().anyMatch(line -> line.contains("has ended with")));
    assertThat(reports)
        .anySatisfy(
            line ->
                assertThat(line)
                    .contains("exit code 1;", "Java's report is " + report)
                    .contains("it printed last:", ChildMain.SERVING, "SIGSEGV"));
  }

  @Test
  void oneThatDiesFiveTimesIsGivenUp() {
    start(new JsonObject(), "30s", place -> "ends");
    eventually(() -> seen().get(0).state() == State.FAILED);

    assertThat(events).hasSize(6).endsWith("lost w1.5 exit code 3", "given up");
    assertThat(Await.result(on(() -> workers.failure())))
        .hasValue("worker 1 died 5 times within 60 s, the last time with exit code 3");
    assertThat(seen()).singleElement().extracting(Worker::pid).isEqualTo(0L);
  }

  @Test
  void whatCannotBeStartedIsGivenUpToo() {
    startCommands(
        new JsonObject(),
        "30s",
        id -> new WorkerCommand(List.of("/no/such/java"), Map.of(), INPUT, folder));
    eventually(() -> seen().get(0).state() == State.FAILED);

    assertThat(Await.result(on(() -> workers.failure()))).get().asString().contains("/no/such");
  }

  @Test
  void oneThatDoesNotGoIsKilled() {
    start(new JsonObject(), "300ms", place -> "stubborn");
    awaitServing(1);
    Await.result(on(() -> workers.stop()).compose(stopped -> stopped));

    assertThat(events)
        .containsExactly(
            "serving w1.1",
            "leaving w1.1",
            "lost w1.1 exit code 137 (signal 9), killed: not gone after 500 ms");
  }

  @Test
  void oneThatIsStillStartingIsStoppedToo() {
    start(new JsonObject().put("workers", 2), "1s", place -> "lives");
    Await.result(on(() -> workers.stop()).compose(stopped -> stopped));

    assertThat(seen()).isEmpty();
    assertThat(events).containsExactlyInAnyOrder("leaving w1.1", "leaving w2.1");
  }

  @Test
  void muchThatIsPrintedIsReadAndNotAllLogged() {
    start(new JsonObject(), "30s", place -> place.equals("w1.1") ? "chatty" : "lives");
    awaitServing(1);
    String last = "chatter of number " + ChildMain.CHATTER_LINES;
    eventually(
        () -> reports.stream().anyMatch(line -> line.contains(last) && line.contains("code 7;")));

    assertThat(reports).allSatisfy(line -> assertThat(line.length()).isLessThan(70_000));
    assertThat(printed).anyMatch(line -> line.matches(".*: … and \\d+ lines more"));
    assertThat(printed.size()).isLessThan(ChildMain.CHATTER_LINES / 2);
  }

  @Test
  @EnabledOnOs(OS.LINUX)
  void oneThatLeaksIsReplacedByOneThatServesFirst() {
    start(
        new JsonObject().put("worker_memory_megabytes", ChildMain.LEAK_MEGABYTES),
        "30s",
        place -> place.equals("w1.1") ? "leaks" : "lives");
    eventually(() -> events.contains("leaving w1.1"));
    eventually(() -> seen().size() == 1);

    assertThat(events).containsExactly("serving w1.1", "serving w1.2", "leaving w1.1");
    Worker worker = seen().get(0);
    assertThat(worker.state()).isEqualTo(State.SERVING);
    assertThat(worker.lastExit()).isEqualTo("exit code 0");
    assertThat(worker.restarts()).isZero();
    assertThat(reports).anyMatch(line -> line.contains("over cluster.worker_memory_megabytes"));
  }

  @Test
  void oneAtATimeIsReplaced() {
    requests.putAll(Map.of("w1.1", 10L, "w2.1", 11L));
    start(
        new JsonObject().put("workers", 2).put("worker_max_requests", 10), "30s", place -> "lives");
    eventually(() -> events.contains("leaving w1.1") && events.contains("leaving w2.1"));
    eventually(() -> seen().size() == 2);

    List<String> later = events.stream().filter(event -> !event.matches("serving w.\\.1")).toList();
    assertThat(later)
        .isIn(
            List.of("serving w1.2", "leaving w1.1", "serving w2.2", "leaving w2.1"),
            List.of("serving w2.2", "leaving w2.1", "serving w1.2", "leaving w1.1"));
  }

  @Test
  void aReplacementThatCannotServeLeavesTheOldOneServing() {
    start(
        new JsonObject().put("worker_max_age", "1ms"),
        "30s",
        place -> place.equals("w1.1") ? "lives" : "ends");
    eventually(() -> events.stream().filter(event -> event.startsWith("lost")).count() == 5);

    assertThat(seen())
        .singleElement()
        .satisfies(
            worker -> {
              assertThat(place(worker.id())).isEqualTo("w1.1");
              assertThat(worker.state()).isEqualTo(State.SERVING);
            });
    assertThat(Await.result(on(() -> workers.failure()))).isEmpty();
  }

  @Test
  void aReplacementThatNeverServesIsToldOfAndKilled() {
    late = Duration.ofMillis(300);
    requests.put("w1.1", 1L);
    start(
        new JsonObject().put("worker_max_requests", 1),
        "30s",
        place -> place.equals("w1.1") ? "lives" : "mute");
    eventually(() -> events.stream().anyMatch(event -> event.startsWith("lost w1.2")));

    assertThat(events)
        .anyMatch(event -> event.matches("lost w1.2 exit code 137 \\(signal 9\\), killed: .*"));
    assertThat(reports)
        .anyMatch(line -> line.matches("worker w1.2-.* it has not come to serve within \\d+ s"));
    assertThat(seen().get(0).state()).isEqualTo(State.SERVING);
  }

  @Test
  void oneThatIsNoReplacementIsToldOfAndLeftToStart() {
    late = Duration.ofMillis(50);
    start(new JsonObject(), "30s", place -> "mute");
    eventually(
        () -> reports.stream().filter(line -> line.contains("has not come to serve")).count() > 20);

    assertThat(seen().get(0).state()).isEqualTo(State.STARTING);
    assertThat(events).isEmpty();
  }

  @Test
  void aReplacementUnderWayTakesThePlaceOfOneThatDies() throws Exception {
    requests.put("w1.1", 1L);
    start(new JsonObject().put("worker_max_requests", 1), "30s", place -> "lives");
    eventually(() -> events.contains("serving w1.1") && seen().size() == 2);
    signal("KILL", seen().get(0).pid());
    eventually(() -> events.contains("serving w1.2"));
    eventually(() -> seen().size() == 1);

    assertThat(place(seen().get(0).id())).isEqualTo("w1.2");
  }

  @Test
  void aProcessLeftBehindHoldsNothingUp() throws Exception {
    start(new JsonObject(), "30s", place -> place.equals("w1.1") ? "leaves" : "lives");
    eventually(() -> events.stream().anyMatch(event -> event.startsWith("lost w1.1")));
    awaitServing(1);
    eventually(() -> outputThreads().size() == 1);
    String left = printed.stream().filter(line -> line.contains(": left ")).findFirst().get();
    long pid = Long.parseLong(left.substring(left.lastIndexOf(' ') + 1));

    assertThat(alive(pid)).isTrue();
    signal("KILL", pid);
  }

  @Test
  void oneThatIsSilentCanBeKilled() {
    start(new JsonObject(), "30s", place -> "lives");
    awaitServing(1);
    String id = seen().get(0).id();
    Await.result(
        on(
            () -> {
              workers.kill(id, "silent");
              workers.kill("another's", "silent");
              return null;
            }));
    eventually(() -> events.contains("serving w1.2"));

    assertThat(events)
        .containsExactly(
            "serving w1.1", "lost w1.1 exit code 137 (signal 9), killed: silent", "serving w1.2");
  }
}
