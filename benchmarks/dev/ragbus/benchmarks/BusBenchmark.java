// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.benchmarks;

import dev.ragbus.EmbedRequest;
import dev.ragbus.FunctionResult;
import dev.ragbus.FunctionSpec;
import dev.ragbus.ModelSpec;
import dev.ragbus.ModelType;
import dev.ragbus.Ragbus;
import dev.ragbus.RagbusOptions;
import dev.ragbus.Stats;
import dev.ragbus.app.ClusterNode;
import dev.ragbus.http.HttpVerticle;
import dev.ragbus.service.RagbusVerticle;
import io.vertx.core.DeploymentOptions;
import io.vertx.core.Future;
import io.vertx.core.VerticleBase;
import io.vertx.core.Vertx;
import io.vertx.core.VertxOptions;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.function.IntFunction;
import java.util.function.Supplier;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * Ragbus on the event bus, as an application uses it: the service and a client verticle in one JVM,
 * and HTTP before it.
 *
 * <p>Arguments: the file of texts; optionally the name of a model under {@code models.dir}, for
 * {@code load}. Reads commands from standard input, one a line, and answers each with a line of
 * JSON:
 *
 * <ul>
 *   <li>{@code query CALLS}: so many single queries, one after another
 *   <li>{@code engine CALLS}: the same by the engine itself, in a Python function of this process
 *   <li>{@code bus CALLS}: so many requests that no lane has a part in (the list of models)
 *   <li>{@code lane CALLS}: so many requests that take one empty call on a lane (health)
 *   <li>{@code texts SIZE CALLERS [PART PARTS]}: all texts once (or every so manieth), in requests
 *       of so many texts, so many requests under way at once
 *   <li>{@code rerank DOCUMENTS REQUESTS}: so many rankings of so many texts, one after another
 *   <li>{@code load REQUESTS}: the slowest of so many requests of 8 texts, two callers at a time,
 *       by themselves and while another model is loaded again and again
 *   <li>{@code url}: the address of HTTP
 * </ul>
 */
final class BusBenchmark extends VerticleBase {
  private static final String QUESTION = "How tall is Mont Blanc?";
  private static final EmbedRequest QUERY = EmbedRequest.of(QUESTION);

  /** The loaded engine's own measurement, in benchmarks/raw_engine.py. */
  private static final FunctionSpec ENGINE_CALL =
      FunctionSpec.ofModule("engine_call", "raw_engine:query_of_loaded");

  private static final JsonObject CONFIG =
      new JsonObject()
          .put("http", new JsonObject().put("port", 0))
          .put("python", new JsonObject().put("module_path", new JsonArray().add("benchmarks")))
          .put(
              "functions",
              new JsonObject().put("allow_modules", new JsonArray().add("raw_engine")));

  private final List<String> texts;
  private final String otherModel;
  private final HttpVerticle http = new HttpVerticle();
  private Ragbus ragbus;

  private BusBenchmark(List<String> texts, String otherModel) {
    this.texts = texts;
    this.otherModel = otherModel;
  }

  public static void main(String[] arguments) throws Exception {
    int exit = 1;
    try {
      List<String> texts = Files.readAllLines(Path.of(arguments[0]));
      serve(new BusBenchmark(texts, arguments.length > 1 ? arguments[1] : null));
      exit = 0;
    } catch (ExecutionException failure) {
      failure.getCause().printStackTrace();
    } finally {
      Runtime.getRuntime().halt(exit);
    }
  }

  private static void serve(BusBenchmark client) throws Exception {
    RagbusOptions settings = RagbusOptions.from(CONFIG);
    Vertx vertx =
        settings.cluster().clustered()
            ? ClusterNode.join(new VertxOptions(), settings)
                .toCompletionStage()
                .toCompletableFuture()
                .get()
            : Vertx.vertx();
    DeploymentOptions options = new DeploymentOptions().setConfig(CONFIG);
    vertx
        .deployVerticle(new RagbusVerticle(), options)
        .compose(id -> vertx.deployVerticle(client.http, options))
        .compose(id -> vertx.deployVerticle(client))
        .toCompletionStage()
        .toCompletableFuture()
        .get();
    Commands.serve(client.context, client::run);
  }

  @Override
  public Future<?> start() {
    ragbus = Ragbus.create(vertx);
    return ragbus.register(ENGINE_CALL);
  }

  private Future<JsonObject> run(String[] command) {
    int[] numbers = Arrays.stream(command).skip(1).mapToInt(Integer::parseInt).toArray();
    return switch (command[0]) {
      case "query" -> inTurn(numbers[0], () -> ragbus.embed(QUERY));
      case "engine" -> ragbus.call("engine_call", numbers[0]).map(BusBenchmark::object);
      case "bus" -> inTurn(numbers[0], ragbus::listModels);
      case "lane" -> inTurn(numbers[0], ragbus::health);
      case "texts" ->
          numbers.length == 2
              ? texts(texts, numbers[0], numbers[1])
              : texts(every(numbers[2], numbers[3]), numbers[0], numbers[1]);
      case "rerank" -> rerank(numbers[0], numbers[1]);
      case "load" -> load(numbers[0]);
      case "url" ->
          Future.succeededFuture(
              new JsonObject().put("url", "http://127.0.0.1:" + http.actualPort()));
      default -> Future.failedFuture("unknown command " + command[0]);
    };
  }

  private static JsonObject object(FunctionResult result) {
    return JsonObject.mapFrom(result.result());
  }

  private List<String> every(int part, int parts) {
    return IntStream.range(0, texts.size())
        .filter(index -> index % parts == part)
        .mapToObj(texts::get)
        .toList();
  }

  private static Future<JsonObject> inTurn(int calls, Supplier<Future<?>> request) {
    return Load.run(calls, 1, call -> request.get()).map(load -> load.report(calls));
  }

  private Future<JsonObject> load(int count) {
    List<EmbedRequest> requests = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      int first = i * 8 % (texts.size() - 8);
      requests.add(EmbedRequest.of(texts.subList(first, first + 8)));
    }
    JsonObject slowest = new JsonObject();
    return embed(requests, 2)
        .compose(
            alone -> {
              slowest.put("alone_slowest_ms", alone.slowestMillis());
              boolean[] over = new boolean[1];
              Future<Integer> loads = loadAgain(over, 0);
              return embed(requests, 2)
                  .compose(
                      beside -> {
                        over[0] = true;
                        slowest.put("beside_slowest_ms", beside.slowestMillis());
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

  private Future<Load> embed(List<EmbedRequest> requests, int callers) {
    return Load.run(requests.size(), callers, request -> ragbus.embed(requests.get(request)));
  }

  private Future<JsonObject> texts(List<String> chosen, int size, int callers) {
    List<EmbedRequest> requests = new ArrayList<>();
    for (int first = 0; first < chosen.size(); first += size) {
      requests.add(EmbedRequest.of(chosen.subList(first, Math.min(first + size, chosen.size()))));
    }
    return measured(() -> embed(requests, callers), chosen.size());
  }

  private Future<JsonObject> rerank(int documents, int requests) {
    double beforeMegabytes = residentMegabytes();
    long[] tokens = new long[1];
    String[] model = new String[1];
    IntFunction<Future<?>> send =
        request -> {
          List<String> some =
              IntStream.range(request * documents, (request + 1) * documents)
                  .mapToObj(index -> texts.get(index % texts.size()))
                  .toList();
          return ragbus
              .rerank(QUESTION, some)
              .onSuccess(
                  ranking -> {
                    tokens[0] += ranking.usage().promptTokens();
                    model[0] = ranking.model() + " (" + ranking.method() + ")";
                  });
        };
    return measured(() -> Load.run(requests, 1, send), documents * requests)
        .map(
            report ->
                report
                    .put("tokens", tokens[0])
                    .put("token_us", report.getDouble("seconds") * 1e6 / tokens[0])
                    .put("model", model[0])
                    .put("grown_mb", residentMegabytes() - beforeMegabytes));
  }

  /** A load's report, and what the queue counted meanwhile. */
  private Future<JsonObject> measured(Supplier<Future<Load>> work, int texts) {
    return ragbus
        .stats()
        .compose(
            before ->
                work.get()
                    .compose(
                        load ->
                            ragbus
                                .stats()
                                .map(after -> load.report(texts).mergeIn(counted(before, after)))));
  }

  private static JsonObject counted(Stats before, Stats after) {
    return new JsonObject()
        .put("batches", after.queue().batches() - before.queue().batches())
        .put("real_tokens", after.queue().realTokens() - before.queue().realTokens())
        .put("padded_tokens", after.queue().paddedTokens() - before.queue().paddedTokens());
  }

  /** Resident memory now, in MB (2^20 bytes). */
  private static double residentMegabytes() {
    try (Stream<String> lines = Files.lines(Path.of("/proc/self/status"))) {
      String line = lines.filter(each -> each.startsWith("VmRSS:")).findFirst().orElseThrow();
      return Long.parseLong(line.split("\\s+")[1]) / 1024.0;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
