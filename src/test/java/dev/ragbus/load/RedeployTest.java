// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.load;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.ragbus.Await;
import dev.ragbus.Ragbus;
import dev.ragbus.http.HttpVerticle;
import dev.ragbus.python.TestInterpreter;
import dev.ragbus.service.TestService;
import io.vertx.core.DeploymentOptions;
import io.vertx.core.Vertx;
import io.vertx.core.json.JsonObject;
import java.time.Duration;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** Deploying the service and HTTP again and again leaves nothing behind. */
class RedeployTest {
  /** Caches that are filled at times. */
  private static final long BLOCKS_ONCE = 1_000;

  /** Less than one registered function, or one thread that Python still thinks of, would make. */
  private static final long BLOCKS_A_DEPLOYMENT = 20;

  private static final double MOST_GROWTH_BYTES = 64e6;

  @Test
  void aFewTimes() {
    redeploy(3, 12);
  }

  @Test
  @Tag("slow")
  @Tag("side-by-side")
  void twoHundredTimes() {
    redeploy(20, 200);
  }

  private static void redeploy(int warmUp, int times) {
    Vertx vertx = Vertx.vertx();
    MemoryTrend memory = new MemoryTrend();
    for (int i = 0; i < warmUp; i++) {
      deployOnce(vertx, memory, false);
    }
    long threads = threads();
    long blocks = blocks();
    for (int i = 0; i < times; i++) {
      deployOnce(vertx, memory, i % Math.max(1, times / 40) == 0);
    }
    await()
        .atMost(Duration.ofSeconds(10))
        .untilAsserted(() -> assertThat(threads()).isLessThanOrEqualTo(threads));
    long moreBlocks = blocks() - blocks;
    double minutes = memory.seconds() / 60;
    double growth =
        memory.slope(0, sample -> sample.residentBytes() - sample.heapBytes()).perMinute()
            * minutes;
    System.out.printf(
        "%d deployments: growth of resident memory beside the heap by least squares %.1f MB,"
            + " %+d Python blocks, %d threads before and after%n",
        times, growth / 1e6, moreBlocks, threads);
    assertThat(moreBlocks).isLessThan(BLOCKS_ONCE + BLOCKS_A_DEPLOYMENT * times);
    assertThat(growth).isLessThan(MOST_GROWTH_BYTES);
    assertThat(vertx.deploymentIDs()).isEmpty();
    Await.result(vertx.close());
  }

  private static void deployOnce(Vertx vertx, MemoryTrend memory, boolean measured) {
    HttpVerticle http = new HttpVerticle();
    JsonObject config =
        TestService.offline()
            .put("http", new JsonObject().put("port", 0))
            .put("lanes", new JsonObject().put("inference", 1));
    try (TestService service = TestService.start(vertx, config)) {
      String id =
          Await.result(vertx.deployVerticle(http, new DeploymentOptions().setConfig(config)));
      Ragbus ragbus = service.ragbus();
      assertThat(Await.result(ragbus.embed("deployed again")).count()).isOne();
      if (measured) {
        System.gc();
        memory.sample(ragbus);
      }
      Await.result(vertx.undeploy(id));
    }
  }

  private static long blocks() {
    return (Long) TestInterpreter.value("import gc, sys; gc.collect()", "sys.getallocatedblocks()");
  }

  /** Those of lanes and of Vert.x's pools; others belong to the JVM. */
  private static long threads() {
    return Thread.getAllStackTraces().keySet().stream()
        .filter(thread -> thread.getName().startsWith("ragbus-"))
        .count();
  }
}
