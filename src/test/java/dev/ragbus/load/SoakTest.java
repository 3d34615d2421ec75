// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.load;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.ragbus.Await;
import dev.ragbus.ModelSpec;
import dev.ragbus.ModelType;
import dev.ragbus.Ranking;
import dev.ragbus.RerankRequest;
import dev.ragbus.Stats;
import io.vertx.core.AsyncResult;
import io.vertx.core.Context;
import io.vertx.core.Future;
import io.vertx.core.Promise;
import io.vertx.core.json.JsonObject;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Queue;
import java.util.Random;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.logging.Level;
import java.util.logging.Logger;
import java.util.stream.IntStream;
import org.HdrHistogram.ConcurrentHistogram;
import org.HdrHistogram.Histogram;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/**
 * Mixed work on the event bus and over HTTP for a while, each answer held against what it must be:
 * embeddings, rankings, function calls; a fifth with a deadline that cannot be met, a tenth that
 * raise, clients that vanish, models that come and go.
 */
class SoakTest {
  /** It logs the traceback of every function that raises. */
  private static final Logger TRACEBACKS = Logger.getLogger("dev.ragbus.python.Bridge");

  private static final int ASKING_AT_ONCE = 24;
  private static final int TEXTS = 200;
  private static final int RANKINGS = 20;
  private static final int DOCUMENTS = 8;
  private static final double LEAST_COSINE = 0.9995;
  private static final double MOST_BETWEEN_OTHERS = 0.995;
  private static final double SCORE_TOLERANCE = 0.01;
  private static final long PATIENCE_MILLIS = 30_000;
  private static final long HOPELESS_MILLIS = 5;
  private static final List<String> LONG_TEXTS =
      Collections.nCopies(64, "many words make the work long ".repeat(20));

  private final Map<String, Histogram> latencies = new ConcurrentSkipListMap<>();
  private final Map<String, AtomicLong> counts = new ConcurrentHashMap<>();
  private final Queue<String> wrong = new ConcurrentLinkedQueue<>();
  private final AtomicLong asked = new AtomicLong();
  private final AtomicLong answered = new AtomicLong();
  private final AtomicLong modelRounds = new AtomicLong();
  private final MemoryTrend memory = new MemoryTrend();
  private final List<String> texts = IntStream.range(0, TEXTS).mapToObj(SoakTest::text).toList();
  private final List<float[]> vectors = new ArrayList<>();
  private final List<float[]> scores = new ArrayList<>();
  private final List<float[]> crossScores = new ArrayList<>();
  private Deployed deployed;
  private Vanishing vanishing;

  @Test
  void someSeconds() throws Exception {
    soak(Duration.ofSeconds(8));
  }

  @Test
  @Tag("slow")
  void twoMinutes() throws Exception {
    soak(Duration.ofMinutes(2));
  }

  @Test
  @Tag("soak")
  void asLongAsIsAsked() throws Exception {
    soak(Duration.ofMinutes(Integer.getInteger("soak.minutes", 10)));
  }

  private static String text(int i) {
    return "text " + i + " of a " + "quick brown fox ".repeat(i % 11) + "and " + i * 31 + " more";
  }

  private static String query(int ranking) {
    return "which text is about number " + ranking * 31;
  }

  private List<String> documents(int ranking) {
    return IntStream.range(0, DOCUMENTS)
        .mapToObj(i -> texts.get((ranking * 7 + i * 11) % TEXTS))
        .toList();
  }

  private void soak(Duration duration) throws Exception {
    JsonObject config =
        new JsonObject()
            .put("functions", new JsonObject().put("allow_source", true))
            .put("models", new JsonObject().put("dir", Path.of("python/tests/golden").toString()))
            .put("lanes", new JsonObject().put("stuck_timeout", "60s"));
    TRACEBACKS.setLevel(Level.SEVERE);
    try (Deployed service = new Deployed(config, ASKING_AT_ONCE)) {
      deployed = service;
      prepare();
      long until = System.nanoTime() + duration.toNanos();
      List<Future<Void>> loops = new ArrayList<>();
      for (int i = 0; i < ASKING_AT_ONCE; i++) {
        loops.add(loop(i, until));
      }
      Future<?> models = modelLoop(until);
      long sampleMillis = Math.max(250, Math.min(5_000, duration.toMillis() / 20));
      while (System.nanoTime() < until) {
        memory.sample(deployed.ragbus);
        Thread.sleep(sampleMillis);
      }
      Future.all(loops)
          .eventually(() -> models)
          .toCompletionStage()
          .toCompletableFuture()
          .get(2, TimeUnit.MINUTES);
      memory.sample(deployed.ragbus);
      JsonObject report = report(duration);
      write(report, duration);
      System.out.println(markdown(report));
      check();
    } finally {
      TRACEBACKS.setLevel(null);
    }
  }

  /** Learns the right answers, each asked alone. */
  private void prepare() {
    deployed.register("echo", "def echo(x):\n    return {'echo': [x]}\n");
    deployed.register("failing", "def failing(x):\n    raise ValueError(str(x))\n");
    deployed.register("endless", "def endless(x):\n    while True:\n        pass\n");
    for (String text : texts) {
      vectors.add(Await.result(deployed.ragbus.embed(text)).row(0));
    }
    for (int i = 0; i < TEXTS; i++) {
      for (int j = 0; j < i; j++) {
        assertThat(cosine(vectors.get(i), vectors.get(j))).isLessThan(MOST_BETWEEN_OTHERS);
      }
    }
    Await.result(deployed.ragbus.loadModel(crossEncoder()));
    for (int i = 0; i < RANKINGS; i++) {
      RerankRequest request = RerankRequest.of(query(i), documents(i));
      scores.add(scores(Await.result(deployed.ragbus.rerank(request))));
      crossScores.add(
          scores(Await.result(deployed.ragbus.rerank(request.withModel("cross-encoder")))));
    }
    vanishing = new Vanishing(deployed.vertx, deployed.port, query(0), texts);
  }

  private static ModelSpec crossEncoder() {
    return ModelSpec.of("cross-encoder", ModelType.CROSS_ENCODER);
  }

  private static float[] scores(Ranking ranking) {
    float[] scores = new float[ranking.rankedResults().size()];
    ranking.rankedResults().forEach(each -> scores[each.index()] = each.score());
    return scores;
  }

  /** Asks again and again, one request at a time. */
  private Future<Void> loop(int number, long until) {
    Promise<Void> done = Promise.promise();
    Context context = deployed.vertx.getOrCreateContext();
    Client client = deployed.clients.get(number % deployed.clients.size());
    Random random = new Random(number);
    context.runOnContext(v -> next(context, client, random, until, done));
    return done.future();
  }

  private void next(Context context, Client client, Random random, long until, Promise<Void> done) {
    if (System.nanoTime() >= until) {
      done.complete();
      return;
    }
    ask(client, random)
        .onComplete(ended -> context.runOnContext(v -> next(context, client, random, until, done)));
  }

  private Future<?> ask(Client client, Random random) {
    int which = random.nextInt(100);
    if (which < 20) {
      Future<?> hopeless =
          random.nextInt(4) == 0
              ? client.embed(LONG_TEXTS, HOPELESS_MILLIS)
              : client.call("endless", which, HOPELESS_MILLIS);
      return counted(client, "hopeless deadline", hopeless, SoakTest::isTooLate);
    }
    if (which < 30) {
      int number = random.nextInt();
      return counted(
          client,
          "function that raises",
          client.call("failing", number, PATIENCE_MILLIS),
          result -> refusedWith(result, 500, "ValueError: " + number));
    }
    if (which < 33) {
      count("vanished");
      return vanishing.one(random);
    }
    if (which < 60) {
      int number = random.nextInt();
      return counted(
          client,
          "function",
          client.call("echo", number, PATIENCE_MILLIS),
          result -> isEcho(result, number));
    }
    if (which < 85) {
      int first = random.nextInt(TEXTS);
      int second = random.nextInt(TEXTS);
      return counted(
          client,
          "embed",
          client.embed(List.of(texts.get(first), texts.get(second)), PATIENCE_MILLIS),
          result -> areVectors(result, first, second));
    }
    int ranking = random.nextInt(RANKINGS);
    return counted(
        client,
        "rerank",
        client.rerank(query(ranking), documents(ranking), PATIENCE_MILLIS),
        result -> result.succeeded() && areScores(result.result(), scores.get(ranking)));
  }

  private void count(String name) {
    counts.computeIfAbsent(name, key -> new AtomicLong()).incrementAndGet();
  }

  /** Whether an answer is the right one. */
  private interface Check<T> {
    boolean isRight(AsyncResult<T> result);
  }

  private <T> Future<?> counted(Client client, String kind, Future<T> answer, Check<T> check) {
    long startedNanos = System.nanoTime();
    asked.incrementAndGet();
    count(kind);
    return answer.onComplete(
        result -> {
          answered.incrementAndGet();
          latencies
              .computeIfAbsent(kind + ", " + client.name(), key -> new ConcurrentHistogram(3))
              .recordValue((System.nanoTime() - startedNanos) / 1_000);
          if (!check.isRight(result)) {
            wrong.add(kind + ", " + client.name() + ": " + told(result));
          }
        });
  }

  private static String told(AsyncResult<?> result) {
    return result.failed() ? String.valueOf(result.cause()) : "the answer to something else";
  }

  private static boolean refusedWith(AsyncResult<?> result, int code, String words) {
    return result.cause() instanceof Client.Refusal refusal
        && refusal.code() == code
        && refusal.getMessage().contains(words);
  }

  /** Late; or refused at once, because it would be. */
  private static boolean isTooLate(AsyncResult<?> result) {
    return refusedWith(result, 504, "") || refusedWith(result, 429, "leave too little");
  }

  private static boolean isEcho(AsyncResult<Object> result, int number) {
    return result.succeeded()
        && String.valueOf(result.result()).matches("\\{\"?echo\"?[=:]\\[" + number + "]}");
  }

  private boolean areVectors(AsyncResult<float[]> result, int... expected) {
    if (result.failed()) {
      return false;
    }
    int width = vectors.get(0).length;
    float[] values = result.result();
    boolean right = values.length == expected.length * width;
    for (int i = 0; right && i < expected.length; i++) {
      float[] row = Arrays.copyOfRange(values, i * width, (i + 1) * width);
      right = cosine(row, vectors.get(expected[i])) >= LEAST_COSINE;
    }
    return right;
  }

  private static boolean areScores(float[] given, float[] expected) {
    boolean right = given.length == expected.length;
    for (int i = 0; right && i < given.length; i++) {
      right = Math.abs(given[i] - expected[i]) <= SCORE_TOLERANCE;
    }
    return right;
  }

  private static double cosine(float[] a, float[] b) {
    double dot = 0;
    double ofA = 0;
    double ofB = 0;
    for (int i = 0; i < a.length; i++) {
      dot += (double) a[i] * b[i];
      ofA += (double) a[i] * a[i];
      ofB += (double) b[i] * b[i];
    }
    return dot / Math.sqrt(ofA * ofB);
  }

  /** Loads, uses and clears models beside the rest, the one that serves the rest among them. */
  private Future<?> modelLoop(long until) {
    Promise<Void> done = Promise.promise();
    nextModels(until, done);
    return done.future();
  }

  private void nextModels(long until, Promise<Void> done) {
    if (System.nanoTime() >= until) {
      done.complete();
      return;
    }
    long round = modelRounds.getAndIncrement();
    int ranking = (int) (round % RANKINGS);
    RerankRequest request =
        RerankRequest.of(query(ranking), documents(ranking)).withModel("cross-encoder");
    deployed
        .ragbus
        .loadModel(crossEncoder())
        .compose(load -> deployed.ragbus.rerank(request))
        .onSuccess(
            reply -> {
              if (!areScores(scores(reply), crossScores.get(ranking))) {
                wrong.add("cross-encoder: " + reply);
              }
            })
        .compose(reply -> rare(round))
        .compose(cleared -> deployed.ragbus.clearModels("cross-encoder"))
        .onFailure(failure -> wrong.add("models: " + failure))
        .compose(cleared -> deployed.vertx.timer(500, TimeUnit.MILLISECONDS))
        .onComplete(waited -> nextModels(until, done));
  }

  private Future<?> rare(long round) {
    return switch ((int) (round % 12)) {
      case 3 -> deployed.ragbus.clearModels("all-MiniLM-L6-v2");
      case 7 ->
          deployed.ragbus.loadModel(
              ModelSpec.of("all-MiniLM-L6-v2", ModelType.EMBEDDING).withForceReload(true));
      case 11 -> deployed.ragbus.cleanup();
      default -> Future.succeededFuture();
    };
  }

  private JsonObject report(Duration duration) {
    JsonObject kinds = new JsonObject();
    counts.forEach((kind, count) -> kinds.put(kind, count.get()));
    JsonObject quantiles = new JsonObject();
    latencies.forEach((kind, histogram) -> quantiles.put(kind, quantiles(histogram)));
    double warmUpSeconds = duration.toMillis() / 5_000.0;
    return new JsonObject()
        .put("seconds", duration.toSeconds())
        .put("asked", asked.get())
        .put("answered", answered.get())
        .put("wrong", wrong.size())
        .put("kinds", kinds)
        .put("model_rounds", modelRounds.get())
        .put("latency_millis", quantiles)
        .put("memory", memory.json(warmUpSeconds));
  }

  private static JsonObject quantiles(Histogram histogram) {
    JsonObject quantiles = new JsonObject().put("count", histogram.getTotalCount());
    for (double percent : new double[] {50, 90, 99, 99.9, 100}) {
      quantiles.put(
          String.format(Locale.ROOT, "p%s", percent == 100 ? "100" : percent),
          histogram.getValueAtPercentile(percent) / 1e3);
    }
    return quantiles;
  }

  private static String markdown(JsonObject report) {
    StringBuilder text = new StringBuilder();
    text.append("# Soak of ").append(report.getLong("seconds")).append(" s\n\n");
    text.append("asked ").append(report.getLong("asked"));
    text.append(", answered ").append(report.getLong("answered"));
    text.append(", wrong ").append(report.getInteger("wrong"));
    text.append(", rounds of models ").append(report.getLong("model_rounds"));
    text.append("\n\nkinds: ").append(report.getJsonObject("kinds").encode());
    text.append("\n\n| milliseconds | count | p50 | p90 | p99 | p99.9 | most |\n|");
    text.append("---|".repeat(7)).append('\n');
    for (Map.Entry<String, Object> entry : report.getJsonObject("latency_millis")) {
      JsonObject row = (JsonObject) entry.getValue();
      text.append("| ").append(entry.getKey()).append(" | ").append(row.getLong("count"));
      for (String quantile : List.of("p50.0", "p90.0", "p99.0", "p99.9", "p100")) {
        text.append(String.format(Locale.ROOT, " | %.1f", row.getDouble(quantile)));
      }
      text.append(" |\n");
    }
    return text.append("\nmemory: ")
        .append(report.getJsonObject("memory").encodePrettily())
        .append('\n')
        .toString();
  }

  private void write(JsonObject report, Duration duration) throws IOException {
    Path folder = Files.createDirectories(Path.of("target/soak"));
    String name = "soak-" + duration.toSeconds() + "s";
    Files.writeString(folder.resolve(name + ".json"), report.encodePrettily());
    Files.writeString(folder.resolve(name + ".md"), markdown(report));
    try (PrintStream histograms = new PrintStream(folder.resolve(name + ".hgrm").toFile())) {
      latencies.forEach(
          (kind, histogram) -> {
            histograms.println("# " + kind + ", milliseconds");
            histogram.outputPercentileDistribution(histograms, 1e3);
          });
    }
  }

  private void check() {
    assertThat(wrong).as("wrong").isEmpty();
    assertThat(answered).as("answered").hasValue(asked.get());
    // Those whose clients had gone too: what was accepted has ended, and has ended once.
    await()
        .atMost(Duration.ofSeconds(30))
        .untilAsserted(
            () -> {
              Stats stats = Await.result(deployed.ragbus.stats());
              assertThat(stats.queue().items()).isZero();
              assertThat(stats.queue().tokens()).isZero();
              assertThat(stats.functions().waiting()).isZero();
              assertThat(stats.functions().running()).isZero();
              stats.operations().forEach(SoakTest::assertEndedOnce);
            });
    assertThat(Await.result(deployed.ragbus.health()).up()).isTrue();
  }

  private static void assertEndedOnce(String name, Stats.Operation operation) {
    // The request for the statistics is itself under way.
    long underWay = name.equals("stats") ? 1 : 0;
    long failed = operation.failed().values().stream().mapToLong(Long::longValue).sum();
    assertThat(operation.answered() + failed + underWay).as(name).isEqualTo(operation.accepted());
  }
}
