// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.benchmarks;

import com.hazelcast.config.Config;
import com.hazelcast.config.JoinConfig;
import dev.ragbus.EmbedRequest;
import dev.ragbus.EmbeddingType;
import dev.ragbus.Embeddings;
import dev.ragbus.MessageCodecs;
import dev.ragbus.Ragbus;
import dev.ragbus.RagbusOptions;
import dev.ragbus.Usage;
import dev.ragbus.cluster.Announcement;
import dev.ragbus.cluster.Announcer;
import dev.ragbus.cluster.ClusterSecret;
import dev.ragbus.cluster.WorkerAddresses;
import dev.ragbus.http.HttpVerticle;
import dev.ragbus.service.RagbusVerticle;
import io.vertx.core.DeploymentOptions;
import io.vertx.core.Future;
import io.vertx.core.Promise;
import io.vertx.core.VerticleBase;
import io.vertx.core.Vertx;
import io.vertx.core.VertxOptions;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.eventbus.EventBusOptions;
import io.vertx.core.http.HttpClient;
import io.vertx.core.http.HttpClientOptions;
import io.vertx.core.http.HttpMethod;
import io.vertx.core.http.PoolOptions;
import io.vertx.core.http.RequestOptions;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import io.vertx.spi.cluster.hazelcast.ConfigUtil;
import io.vertx.spi.cluster.hazelcast.HazelcastClusterManager;
import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import java.util.function.LongSupplier;

/**
 * What a request costs by itself on each way that the bus has: whoever answers does so at once,
 * with the same vectors. Prints a line of CSV for each way, number of texts and round.
 *
 * <p>Arguments, optional: how many rounds, and requests of each. With {@code answer CLUSTER} it is
 * the other process, which tells its processor time for each line that it reads.
 */
final class BusCost {
  private static final int WIDTH = 384;
  private static final int CALLERS = 64;
  private static final int FIRST_PORT = 5901;
  private static final String ADDRESS = "cost.";
  private static final List<Integer> TEXTS = List.of(1, 32);
  private static final String LOOPBACK = "127.0.0.1";
  private static final String WORKER = "cost";
  private static final String MODEL = "m";
  private static final String TEXT = "How tall is it? ".repeat(12);
  private static final JsonObject FRONT =
      new JsonObject().put("cluster", new JsonObject().put("enabled", true).put("role", "front"));

  /**
   * A way to whoever answers.
   *
   * @param answererNanos the processor time of the process that answers, where it is another
   */
  private record Way(
      String name,
      Vertx vertx,
      Function<EmbedRequest, Future<?>> send,
      LongSupplier answererNanos) {}

  private BusCost() {}

  public static void main(String[] arguments) throws Exception {
    int exit = 1;
    try {
      if (arguments.length == 2 && arguments[0].equals("answer")) {
        answer(arguments[1]);
      } else {
        int rounds = arguments.length > 0 ? Integer.parseInt(arguments[0]) : 3;
        measure(rounds, arguments.length > 1 ? Integer.parseInt(arguments[1]) : 20_000);
      }
      exit = 0;
    } catch (ExecutionException failure) {
      failure.getCause().printStackTrace();
    } finally {
      Runtime.getRuntime().halt(exit);
    }
  }

  private static void measure(int rounds, int requests) throws Exception {
    String cluster = "cost-" + UUID.randomUUID();
    Vertx alone = Vertx.vertx();
    Vertx here = node(cluster);
    Vertx beside = node(cluster);
    get(alone.deployVerticle(new Answerer(List.of(ADDRESS + "local"))));
    get(beside.deployVerticle(new Answerer(List.of(ADDRESS + "beside"))));
    get(here.deployVerticle(new RagbusVerticle(), new DeploymentOptions().setConfig(FRONT)));
    Process process =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-cp",
                System.getProperty("java.class.path"),
                BusCost.class.getName(),
                "answer",
                cluster)
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    try (BufferedReader told = process.inputReader(StandardCharsets.UTF_8);
        BufferedWriter asked = process.outputWriter(StandardCharsets.UTF_8)) {
      LongSupplier thereNanos = () -> cpuNanos(asked, told);
      thereNanos.getAsLong();
      Ragbus ragbus = Ragbus.create(here);
      get(whenServed(here, ragbus));
      List<Way> ways =
          List.of(
              new Way("local", alone, asking(alone, "local"), () -> 0),
              new Way("one JVM", here, asking(here, "beside"), () -> 0),
              new Way("two JVMs", here, asking(here, "there"), thereNanos),
              new Way("front", here, ragbus::embed, thereNanos),
              new Way("HTTP", here, posting(here, get(listen(here))), thereNanos));
      System.out.println("way,texts,round,p50_us,p99_us,requests_s,asker_us,answerer_us");
      for (int round = 0; round <= rounds; round++) {
        for (int texts : TEXTS) {
          for (Way way : ways) {
            // What is over in no time is measured longer: the clock of processor time is coarse.
            int more = way.vertx == alone ? 10 : 1;
            measure(way, texts, round, more * (texts == 1 ? requests : requests / 8));
          }
        }
      }
    } finally {
      process.destroy();
    }
  }

  /** Round 0 warms up and is not told. */
  private static void measure(Way way, int texts, int round, int requests) throws Exception {
    EmbedRequest request = EmbedRequest.of(Collections.nCopies(texts, TEXT));
    Load oneByOne = get(load(way, request, requests / 10, 1));
    long answererNanos = way.answererNanos.getAsLong();
    JsonObject many = get(load(way, request, requests, CALLERS)).report(requests);
    double answererMicros = (way.answererNanos.getAsLong() - answererNanos) / 1e3 / requests;
    JsonObject one = oneByOne.report(1);
    if (round > 0) {
      System.out.printf(
          Locale.ROOT,
          "%s,%d,%d,%.0f,%.0f,%.0f,%.1f,%.1f%n",
          way.name,
          texts,
          round,
          one.getDouble("p50_ms") * 1e3,
          one.getDouble("p99_ms") * 1e3,
          many.getDouble("texts_s"),
          many.getDouble("cpu_seconds") * 1e6 / requests,
          answererMicros);
    }
  }

  private static Future<Load> load(Way way, EmbedRequest request, int requests, int callers) {
    Promise<Load> load = Promise.promise();
    way.vertx
        .getOrCreateContext()
        .runOnContext(
            v -> Load.run(requests, callers, i -> way.send.apply(request)).onComplete(load));
    return load.future();
  }

  private static Function<EmbedRequest, Future<?>> asking(Vertx vertx, String name) {
    MessageCodecs.register(vertx);
    return request -> vertx.eventBus().request(ADDRESS + name, request);
  }

  private static Future<Integer> listen(Vertx vertx) {
    HttpVerticle http = new HttpVerticle();
    JsonObject config = new JsonObject().put("http", new JsonObject().put("port", 0));
    return vertx
        .deployVerticle(http, new DeploymentOptions().setConfig(config))
        .map(id -> http.actualPort());
  }

  /** With bodies made beforehand, and replies that are not read into anything. */
  private static Function<EmbedRequest, Future<?>> posting(Vertx vertx, int port) {
    HttpClient client =
        vertx.createHttpClient(new HttpClientOptions(), new PoolOptions().setHttp1MaxSize(CALLERS));
    RequestOptions post =
        new RequestOptions()
            .setMethod(HttpMethod.POST)
            .setAbsoluteURI("http://" + LOOPBACK + ":" + port + "/v1/embeddings")
            .putHeader("Content-Type", "application/json");
    Map<Integer, Buffer> bodies = new HashMap<>();
    for (int texts : TEXTS) {
      JsonArray input = new JsonArray(Collections.nCopies(texts, TEXT));
      bodies.put(texts, new JsonObject().put("input", input).toBuffer());
    }
    return request ->
        client
            .request(post)
            .compose(sent -> sent.send(bodies.get(request.texts().size())))
            .compose(
                reply ->
                    reply.statusCode() == 200
                        ? reply.body()
                        : Future.failedFuture("status " + reply.statusCode()));
  }

  private static Future<?> whenServed(Vertx vertx, Ragbus ragbus) {
    return ragbus
        .embed(EmbedRequest.of("there?"))
        .recover(
            none ->
                vertx
                    .timer(50, TimeUnit.MILLISECONDS)
                    .compose(v -> whenServed(vertx, ragbus).mapEmpty()));
  }

  /** The other process: a worker of the front, which also answers those who ask it straight. */
  private static void answer(String cluster) throws Exception {
    Vertx vertx = node(cluster);
    WorkerAddresses addresses =
        new WorkerAddresses(
            RagbusOptions.defaults().bus().addressPrefix(),
            ClusterSecret.of(RagbusOptions.defaults().cluster()));
    String embed = addresses.of(WORKER).embed();
    get(vertx.deployVerticle(new Answerer(List.of(ADDRESS + "there", embed))));
    Duration interval = RagbusOptions.defaults().cluster().announceInterval();
    get(new Announcer(vertx, addresses, WORKER, interval, BusCost::announcement).start());
    BufferedReader lines =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    while (lines.readLine() != null) {
      System.out.println(Load.cpuNanos());
      System.out.flush();
    }
  }

  private static Announcement announcement(String node, String proof) {
    int most = Integer.MAX_VALUE;
    return new Announcement(
        WORKER,
        node,
        Announcement.State.SERVING,
        1,
        0,
        most,
        0,
        most,
        0,
        Map.of("embedding", MODEL),
        List.of(MODEL),
        List.of(),
        0,
        proof);
  }

  private static long cpuNanos(BufferedWriter asked, BufferedReader told) {
    try {
      asked.write("cpu\n");
      asked.flush();
      return Long.parseLong(told.readLine());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Answers each request at once. */
  private static final class Answerer extends VerticleBase {
    private final List<String> addresses;
    private final Map<Integer, Embeddings> answers = new HashMap<>();

    Answerer(List<String> addresses) {
      this.addresses = addresses;
    }

    @Override
    public Future<?> start() {
      MessageCodecs.register(vertx);
      return Future.all(
          addresses.stream()
              .map(
                  address ->
                      vertx
                          .eventBus()
                          .<EmbedRequest>consumer(
                              address, message -> message.reply(of(message.body().texts().size())))
                          .completion())
              .toList());
    }

    private Embeddings of(int texts) {
      return answers.computeIfAbsent(
          texts,
          count ->
              new Embeddings(
                  new float[count * WIDTH],
                  MODEL,
                  WIDTH,
                  count,
                  EmbeddingType.FLOAT,
                  new Usage(40 * count, List.of())));
    }
  }

  private static Vertx node(String cluster) throws Exception {
    Config config = ConfigUtil.loadConfig();
    config.setClusterName(cluster);
    config.getNetworkConfig().setPort(FIRST_PORT).setPortAutoIncrement(true);
    config.getNetworkConfig().getInterfaces().setEnabled(true).addInterface(LOOPBACK);
    JoinConfig join = config.getNetworkConfig().getJoin();
    join.getMulticastConfig().setEnabled(false);
    join.getTcpIpConfig().setEnabled(true).addMember(LOOPBACK);
    config
        .setProperty("hazelcast.logging.type", "none")
        .setProperty("hazelcast.phone.home.enabled", "false")
        .setProperty("hazelcast.wait.seconds.before.join", "0")
        .setProperty("hazelcast.tcp.join.port.try.count", "20");
    return get(
        Vertx.builder()
            .with(new VertxOptions().setEventBusOptions(new EventBusOptions().setHost(LOOPBACK)))
            .withClusterManager(new HazelcastClusterManager(config))
            .buildClustered());
  }

  private static <T> T get(Future<T> future) throws Exception {
    return future.toCompletionStage().toCompletableFuture().get(300, TimeUnit.SECONDS);
  }
}
