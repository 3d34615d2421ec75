package dev.ragbus.benchmarks;

import dev.ragbus.EmbedRequest;
import dev.ragbus.ModelSpec;
import dev.ragbus.ModelType;
import dev.ragbus.Ragbus;
import dev.ragbus.Stats;
import dev.ragbus.service.RagbusVerticle;
import io.vertx.core.Future;
import io.vertx.core.Promise;
import io.vertx.core.VerticleBase;
import io.vertx.core.Vertx;
import io.vertx.core.json.JsonObject;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.function.Supplier;

/**
 * Ragbus on the event bus, as an application uses it: the service and a client verticle in one JVM.
 *
 * <p>Reads commands from standard input, one a line, and answers each with a line of JSON:
 *
 * <ul>
 *   <li>{@code query CALLS}: so many single queries, one after another
 *   <li>{@code bus CALLS}: so many requests that no lane has a part in (the list of models)
 *   <li>{@code lane CALLS}: so many requests that take one empty call on a lane (health)
 *   <li>{@code texts SIZE CALLERS}: all texts once, in requests of so many texts, so many requests
 *       under way at once
 *   <li>{@code load REQUESTS}: the slowest of so many requests of 8 texts, two callers at a time,
 *       by themselves and while another model is loaded again and again; named by the second
 *       argument
 *   <li>{@code memory}: resident memory of this process
 * </ul>
 */
final class BusBenchmark extends VerticleBase {
  private static final EmbedRequest QUERY = EmbedRequest.of("How tall is Mont Blanc?");

  private final List<String> texts;
  private final String otherModel;
  private Ragbus ragbus;

  private BusBenchmark(List<String> texts, String otherModel) {
    this.texts = texts;
    this.otherModel = otherModel;
  }

  public static void main(String[] arguments) throws Exception {
    int exit = 1;
    try {
      serve(new BusBenchmark(Files.readAllLines(Path.of(arguments[0])), arguments[1]));
      exit = 0;
    } catch (ExecutionException failure) {
      failure.getCause().printStackTrace();
    } finally {
      Runtime.getRuntime().halt(exit);
    }
  }

  private static void serve(BusBenchmark client) throws Exception {
    Vertx vertx = Vertx.vertx();
    vertx
        .deployVerticle(new RagbusVerticle())
        .compose(id -> vertx.deployVerticle(client))
        .toCompletionStage()
        .toCompletableFuture()
        .get();
    try (BufferedReader commands =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8))) {
      for (String line = commands.readLine(); line != null; line = commands.readLine()) {
        System.out.println(client.answer(line.split(" ")).encode());
        System.out.flush();
      }
    }
  }

  @Override
  public Future<?> start() {
    ragbus = Ragbus.create(vertx);
    return Future.succeededFuture();
  }

  /** Runs a command on this verticle's event loop and waits for it, on the main thread. */
  private JsonObject answer(String[] command) throws Exception {
    Promise<JsonObject> answer = Promise.promise();
    context.runOnContext(v -> run(command).onComplete(answer));
    return answer.future().toCompletionStage().toCompletableFuture().get();
  }

  private Future<JsonObject> run(String[] command) {
    return switch (command[0]) {
      case "query" -> inTurn(Integer.parseInt(command[1]), () -> ragbus.embed(QUERY));
      case "bus" -> inTurn(Integer.parseInt(command[1]), ragbus::listModels);
      case "lane" -> inTurn(Integer.parseInt(command[1]), ragbus::health);
      case "texts" -> texts(Integer.parseInt(command[1]), Integer.parseInt(command[2]));
      case "load" -> load(Integer.parseInt(command[1]));
      case "memory" -> Future.succeededFuture(memory());
      default -> Future.failedFuture("unknown command " + command[0]);
    };
  }

  private static Future<JsonObject> inTurn(int calls, Supplier<Future<?>> request) {
    Promise<JsonObject> done = Promise.promise();
    next(request, new long[calls], 0, done);
    return done.future();
  }

  private static void next(
      Supplier<Future<?>> request, long[] nanos, int call, Promise<JsonObject> done) {
    if (call == nanos.length) {
      Arrays.sort(nanos);
      done.complete(
          new JsonObject()
              .put("p50_ms", nanos[nanos.length / 2] / 1e6)
              .put("p99_ms", nanos[(int) (nanos.length * 0.99)] / 1e6)
              .put("calls", nanos.length));
      return;
    }
    long started = System.nanoTime();
    request
        .get()
        .onSuccess(
            answer -> {
              nanos[call] = System.nanoTime() - started;
              next(request, nanos, call + 1, done);
            })
        .onFailure(done::fail);
  }

  private Future<JsonObject> load(int count) {
    List<EmbedRequest> requests = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      int first = i * 8 % (texts.size() - 8);
      requests.add(EmbedRequest.of(texts.subList(first, first + 8)));
    }
    JsonObject slowest = new JsonObject();
    return new Load(requests)
        .run(2)
        .compose(
            alone -> {
              slowest.put("alone_slowest_ms", Arrays.stream(alone.nanos).max().orElse(0) / 1e6);
              boolean[] over = new boolean[1];
              Future<Integer> loads = loadAgain(over, 0);
              return new Load(requests)
                  .run(2)
                  .compose(
                      beside -> {
                        over[0] = true;
                        long most = Arrays.stream(beside.nanos).max().orElse(0);
                        slowest.put("beside_slowest_ms", most / 1e6);
                        return loads.map(done -> slowest.put("loads", done));
                      });
            });
  }

  private Future<Integer> loadAgain(boolean[] over, int done) {
    ModelSpec again = ModelSpec.of(otherModel, ModelType.EMBEDDING).withForceReload(true);
    return over[0]
        ? Future.succeededFuture(done)
        : ragbus.loadModel(again).compose(load -> loadAgain(over, done + 1));
  }

  private Future<JsonObject> texts(int size, int callers) {
    List<EmbedRequest> requests = new ArrayList<>();
    for (int first = 0; first < texts.size(); first += size) {
      requests.add(EmbedRequest.of(texts.subList(first, Math.min(first + size, texts.size()))));
    }
    return ragbus
        .stats()
        .compose(before -> new Load(requests).run(callers).compose(load -> after(before, load)));
  }

  private Future<JsonObject> after(Stats before, Load load) {
    return ragbus.stats().map(after -> load.report(before.queue(), after.queue()));
  }

  /** Requests that callers take one after another until none is left. */
  private final class Load {
    private final List<EmbedRequest> requests;
    private final long[] nanos;
    private final Promise<Load> done = Promise.promise();
    private int next;
    private int answered;
    private long startedNanos;
    private long startedCpuNanos;
    private double seconds;
    private double cpuSeconds;

    Load(List<EmbedRequest> requests) {
      this.requests = requests;
      this.nanos = new long[requests.size()];
    }

    Future<Load> run(int callers) {
      startedCpuNanos = cpuNanos();
      startedNanos = System.nanoTime();
      for (int caller = 0; caller < callers; caller++) {
        sendNext();
      }
      return done.future();
    }

    private void sendNext() {
      if (next == requests.size()) {
        return;
      }
      int request = next++;
      long sentNanos = System.nanoTime();
      ragbus
          .embed(requests.get(request))
          .onSuccess(
              vectors -> {
                nanos[request] = System.nanoTime() - sentNanos;
                if (++answered == requests.size()) {
                  seconds = (System.nanoTime() - startedNanos) / 1e9;
                  cpuSeconds = (cpuNanos() - startedCpuNanos) / 1e9;
                  done.complete(this);
                }
                sendNext();
              })
          .onFailure(done::tryFail);
    }

    JsonObject report(Stats.Queue before, Stats.Queue after) {
      Arrays.sort(nanos);
      long real = after.realTokens() - before.realTokens();
      return new JsonObject()
          .put("texts_s", texts.size() / seconds)
          .put("tokens_s", real / seconds)
          .put("seconds", seconds)
          .put("cpu_seconds", cpuSeconds)
          .put("p50_ms", nanos[nanos.length / 2] / 1e6)
          .put("p99_ms", nanos[(int) (nanos.length * 0.99)] / 1e6)
          .put("batches", after.batches() - before.batches())
          .put("real_tokens", real)
          .put("padded_tokens", after.paddedTokens() - before.paddedTokens());
    }
  }

  /** What all threads of this process have run. */
  private static long cpuNanos() {
    return ProcessHandle.current().info().totalCpuDuration().orElseThrow().toNanos();
  }

  /** Resident memory now and at its highest, in MB (2^20 bytes). */
  private static JsonObject memory() {
    JsonObject memory = new JsonObject();
    try {
      for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
        String[] words = line.split("\\s+");
        if (words[0].equals("VmRSS:")) {
          memory.put("vmrss_mb", Long.parseLong(words[1]) / 1024.0);
        } else if (words[0].equals("VmHWM:")) {
          memory.put("vmhwm_mb", Long.parseLong(words[1]) / 1024.0);
        }
      }
    } catch (IOException e) {
      memory.put("error", e.getMessage());
    }
    return memory;
  }
}
