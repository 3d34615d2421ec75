// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.app;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.ragbus.Await;
import dev.ragbus.EmbedRequest;
import dev.ragbus.Embeddings;
import dev.ragbus.Health;
import dev.ragbus.Ragbus;
import dev.ragbus.RagbusException;
import dev.ragbus.RagbusException.Kind;
import dev.ragbus.RagbusOptions;
import dev.ragbus.Ranking;
import dev.ragbus.RerankFrame;
import dev.ragbus.RerankRequest;
import dev.ragbus.RerankStream;
import dev.ragbus.http.TestCertificate;
import dev.ragbus.python.environment.TestPython;
import dev.ragbus.service.RagbusVerticle;
import io.vertx.core.DeploymentOptions;
import io.vertx.core.Vertx;
import io.vertx.core.VertxOptions;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * A front in this JVM and workers in others, with real Python and the packaged model: what callers
 * see when workers are killed, restarted, and when they leave politely.
 */
class ClusterIT {
  private static final int CALLERS = 16;

  private final String prefix = "it-" + UUID.randomUUID().toString().substring(24);
  private final List<RagbusProcess> workers = new ArrayList<>();
  @TempDir private Path folder;
  private Vertx vertx;
  private Ragbus ragbus;

  @BeforeAll
  static void environmentIsReady() {
    TestPython.environment();
  }

  private void front() {
    deploy(new JsonObject().put("enabled", true).put("role", "front"));
  }

  private void deploy(JsonObject cluster) {
    JsonObject config =
        new JsonObject()
            .put("bus", new JsonObject().put("address_prefix", prefix))
            .put("models", new JsonObject().put("offline", true))
            .put("cluster", cluster);
    vertx = Await.result(ClusterNode.join(new VertxOptions(), RagbusOptions.from(config)));
    Await.result(
        vertx.deployVerticle(new RagbusVerticle(), new DeploymentOptions().setConfig(config)));
    ragbus = Ragbus.create(vertx, prefix);
  }

  @AfterEach
  void end() {
    workers.forEach(RagbusProcess::close);
    Await.result(vertx.close());
  }

  private RagbusProcess worker(String... more) throws IOException {
    return worker(List.of(), more);
  }

  private RagbusProcess worker(List<String> before, String... more) throws IOException {
    List<String> options =
        new ArrayList<>(
            List.of(
                "bus.address_prefix=" + prefix,
                "cluster.enabled=true",
                "cluster.role=worker",
                "lanes.inference=1"));
    options.addAll(List.of(more));
    RagbusProcess worker = RagbusProcess.start(before, options.toArray(String[]::new));
    workers.add(worker);
    return worker;
  }

  private void serving(int count) {
    await()
        .atMost(Duration.ofMinutes(2))
        .until(
            () ->
                Await.result(ragbus.health()).checks().stream().filter(this::serves).count()
                    == count);
  }

  private boolean serves(Health.Check check) {
    return check.id().startsWith("worker ") && check.status().equals("UP");
  }

  /** Callers who ask one thing after the other and know the answer. */
  private final class Load {
    private final List<EmbedRequest> requests =
        IntStream.range(0, 8)
            .mapToObj(i -> EmbedRequest.of("one text of many, number " + i, "and another"))
            .toList();
    private final List<Embeddings> expected =
        requests.stream().map(request -> Await.result(ragbus.embed(request))).toList();
    private final AtomicBoolean over = new AtomicBoolean();
    private final AtomicInteger running = new AtomicInteger();
    private final AtomicInteger sent = new AtomicInteger();
    private final AtomicInteger answered = new AtomicInteger();
    private final AtomicInteger wrong = new AtomicInteger();
    private final AtomicLong longestMillis = new AtomicLong();
    private final Map<Kind, AtomicInteger> failed = new ConcurrentHashMap<>();

    Load start() {
      running.set(CALLERS);
      for (int i = 0; i < CALLERS; i++) {
        vertx.runOnContext(v -> next());
      }
      return this;
    }

    private void next() {
      if (over.get()) {
        running.decrementAndGet();
        return;
      }
      int which = sent.getAndIncrement() % requests.size();
      long startNanos = System.nanoTime();
      ragbus
          .embed(requests.get(which))
          .onComplete(
              answer -> {
                long millis = TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - startNanos);
                longestMillis.accumulateAndGet(millis, Math::max);
                if (answer.succeeded()) {
                  answered.incrementAndGet();
                  wrong.addAndGet(same(answer.result(), expected.get(which)) ? 0 : 1);
                } else {
                  Kind kind = ((RagbusException) answer.cause()).kind();
                  failed.computeIfAbsent(kind, each -> new AtomicInteger()).incrementAndGet();
                }
                next();
              });
    }

    private boolean same(Embeddings one, Embeddings other) {
      double dot = 0;
      for (int i = 0; i < one.values().length; i++) {
        dot += (double) one.values()[i] * other.values()[i];
      }
      return Math.abs(dot - one.count()) < 1e-3;
    }

    /** Goes on until so many more have been answered. */
    void goOn(int more) {
      int until = answered.get() + more;
      await().atMost(Duration.ofMinutes(1)).until(() -> answered.get() >= until);
    }

    Load end() {
      over.set(true);
      await().atMost(Duration.ofMinutes(1)).until(() -> running.get() == 0);
      System.out.printf(
          "%d sent, %d answered, failed %s, wrong %d, longest %d ms%n",
          sent.get(), answered.get(), failed, wrong.get(), longestMillis.get());
      int failures = failed.values().stream().mapToInt(AtomicInteger::get).sum();
      assertThat(answered.get() + failures).as("each is answered once").isEqualTo(sent.get());
      assertThat(wrong.get()).isZero();
      return this;
    }
  }

  @Test
  void aWorkerThatIsKilledTakesNoEmbeddingWithIt() throws Exception {
    front();
    RagbusProcess first = worker();
    worker();
    serving(2);
    Ranking ranking =
        Await.result(ragbus.rerank("cat sounds", List.of("Stocks fell.", "Cats purr.")));
    assertThat(ranking.rankedResults().get(0).text()).isEqualTo("Cats purr.");
    thePlainFunctionsDoWhatTheirAddressesDo();

    Load load = new Load().start();
    load.goOn(100);
    long killedNanos = System.nanoTime();
    first.signal("KILL");
    serving(1);
    long seenMillis = TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - killedNanos);
    load.goOn(100);
    load.end();
    System.out.printf("the death was seen after %d ms%n", seenMillis);
    assertThat(load.failed).isEmpty();
  }

  private void thePlainFunctionsDoWhatTheirAddressesDo() {
    JsonObject listed = result("list_models");
    assertThat(listed.getInteger("total_count"))
        .isEqualTo(Await.result(ragbus.listModels()).totalCount());
    String model = Await.result(ragbus.embed(EmbedRequest.of("x"))).model();
    assertThat(result("load_model", model).getString("status")).isEqualTo("already_loaded");
    assertThat(result("load_model", model, "no-type").getString("error"))
        .isEqualTo("Unknown model type: no-type");
    assertThat(result("embed_texts", List.of("x", "y"), model).getInteger("count")).isEqualTo(2);
    assertThat(result("rerank_texts", "cats", List.of("x")).getString("query")).isEqualTo("cats");
    assertThat(result("clear_cache", "no model").getJsonArray("cleared_models")).isEmpty();
    assertThat(Await.ragbusFailure(ragbus.call("load_model")).kind()).isEqualTo(Kind.INVALID);
  }

  private JsonObject result(String function, Object... args) {
    return Await.result(ragbus.call(function, args)).toJson().getJsonObject("result");
  }

  @Test
  void aStreamOfAWorkerThatIsKilledEndsWithAnError() throws Exception {
    front();
    RagbusProcess only = worker();
    serving(1);
    List<String> texts =
        IntStream.range(0, 5_000)
            .mapToObj(i -> "document " + i + " about cats".repeat(20))
            .toList();
    RerankStream stream = Await.result(ragbus.rerankStream(RerankRequest.of("cats", texts)));
    AtomicInteger frames = new AtomicInteger();
    stream.handler((RerankFrame frame) -> frames.incrementAndGet());
    await().until(() -> frames.get() > 2);
    only.signal("KILL");
    RagbusException failure = Await.ragbusFailure(stream.ranking());
    assertThat(failure.kind()).isEqualTo(Kind.LANE_LOST);
    assertThat(failure.retryable()).isTrue();
  }

  @Test
  void aWorkerProcessThatIsKilledIsReplacedAndNobodyNotices() throws Exception {
    deploy(new JsonObject().put("isolation", "process"));
    serving(2);
    Load load = new Load().start();
    load.goOn(100);
    long killedNanos = System.nanoTime();
    ProcessHandle.of(pid()).orElseThrow().destroyForcibly();
    await().until(() -> restarted(Await.result(ragbus.health())));
    serving(2);
    long backMillis = TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - killedNanos);
    load.goOn(100);
    load.end();
    System.out.printf("a worker process was back after %d ms%n", backMillis);
    assertThat(load.failed).isEmpty();
  }

  private long pid() {
    Matcher pid = Pattern.compile("pid (\\d+)").matcher(Await.result(ragbus.health()).toString());
    assertThat(pid.find()).isTrue();
    return Long.parseLong(pid.group(1));
  }

  private static boolean restarted(Health health) {
    return health.toString().contains("restarted 1 times");
  }

  @Test
  @Tag("slow")
  void workersThatAreReplacedOneByOneUnderLoadFailNoRequest() throws Exception {
    front();
    worker();
    worker();
    serving(2);
    Load load = new Load().start();
    load.goOn(50);
    for (RagbusProcess old : List.copyOf(workers)) {
      worker().ready();
      serving(3);
      old.signal("TERM");
      assertThat(old.exitCode(Duration.ofSeconds(30))).isZero();
      serving(2);
      load.goOn(50);
    }
    assertThat(load.end().failed).isEmpty();
  }

  /**
   * Another host: a network namespace, with TLS, since its address is no loopback. The cable is
   * pulled, so that nobody says that a connection is gone.
   */
  @Test
  @Tag("slow")
  void aWorkerOnAnotherHostThatIsCutOffIsDoneWithoutUntilItIsBack() throws Exception {
    String id = UUID.randomUUID().toString().substring(32);
    String net = "10.213." + (Integer.parseInt(id, 16) & 0xff) + ".";
    String namespace = "ragbus-" + id;
    boolean namespaces =
        System.getProperty("os.name").equals("Linux") && ip("netns", "add", namespace);
    Assumptions.assumeTrue(namespaces, "network namespaces can be made");
    try {
      ip("link", "add", "rb" + id + "a", "type", "veth", "peer", "name", "rb" + id + "b");
      ip("link", "set", "rb" + id + "b", "netns", namespace);
      ip("addr", "add", net + "1/24", "dev", "rb" + id + "a");
      ip("link", "set", "rb" + id + "a", "up");
      ip("-n", namespace, "addr", "add", net + "2/24", "dev", "rb" + id + "b");
      ip("-n", namespace, "link", "set", "lo", "up");
      assertThat(ip("-n", namespace, "link", "set", "rb" + id + "b", "up")).isTrue();
      TestCertificate certificate = TestCertificate.in(folder, net + "1", net + "2");
      Map<String, String> secured =
          Map.of(
              "secret", "a-secret-of-letters",
              "members", net + "1," + net + "2",
              "tls_certificate", certificate.certificate().toString(),
              "tls_key", certificate.key().toString(),
              "tls_authority", certificate.certificate().toString());
      JsonObject front = new JsonObject(new HashMap<>(secured));
      deploy(
          front
              .put("members", new JsonArray().add(net + "1").add(net + "2"))
              .put("host", net + "1")
              .put("enabled", true)
              .put("role", "front"));
      List<String> options =
          secured.entrySet().stream()
              .map(each -> "cluster." + each.getKey() + "=" + each.getValue())
              .collect(Collectors.toCollection(ArrayList::new));
      options.add("cluster.host=" + net + "1");
      worker(options.toArray(String[]::new));
      options.set(options.size() - 1, "cluster.host=" + net + "2");
      worker(List.of("ip", "netns", "exec", namespace), options.toArray(String[]::new));
      serving(2);

      Load load = new Load().start();
      load.goOn(50);
      ip("-n", namespace, "link", "set", "rb" + id + "b", "down");
      serving(1);
      load.goOn(200);
      ip("-n", namespace, "link", "set", "rb" + id + "b", "up");
      serving(2);
      load.goOn(50);
      assertThat(load.end().failed).isEmpty();
    } finally {
      workers.forEach(RagbusProcess::close);
      ip("link", "del", "rb" + id + "a");
      ip("netns", "del", namespace);
    }
  }

  private static boolean ip(String... arguments) throws InterruptedException {
    List<String> command = new ArrayList<>(List.of("ip"));
    command.addAll(List.of(arguments));
    try {
      return new ProcessBuilder(command).inheritIO().start().waitFor() == 0;
    } catch (IOException notInstalled) {
      return false;
    }
  }
}
