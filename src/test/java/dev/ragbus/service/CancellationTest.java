// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import static org.assertj.core.api.Assertions.assertThat;

import dev.ragbus.Await;
import dev.ragbus.EmbedRequest;
import dev.ragbus.Embeddings;
import dev.ragbus.Ragbus;
import dev.ragbus.RagbusException;
import dev.ragbus.RagbusException.Kind;
import dev.ragbus.RerankRequest;
import dev.ragbus.RerankStream;
import dev.ragbus.Stats;
import io.vertx.core.Future;
import io.vertx.core.Vertx;
import io.vertx.core.json.JsonObject;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** Work that nobody waits for any more is stopped, and nothing else is: with the real Python. */
class CancellationTest {
  private static final String LONG = "many words make the work long ".repeat(60);

  private static Vertx vertx;
  private static TestService service;
  private static Ragbus ragbus;

  @BeforeAll
  static void start() {
    vertx = Vertx.vertx();
    JsonObject functions =
        new JsonObject().put("embed_texts", new JsonObject().put("max_batch_size", 400));
    service =
        TestService.start(
            vertx,
            new JsonObject()
                .put("python", new JsonObject().put("functions", functions))
                .put("lanes", new JsonObject().put("inference", 1))
                .put("batching", new JsonObject().put("max_batch_tokens", 400 * 256)));
    ragbus = service.ragbus();
  }

  @AfterAll
  static void stop() {
    service.close();
    Await.result(vertx.close());
  }

  private static boolean idle(Stats stats) {
    return stats.lanes().stream()
        .filter(lane -> lane.role().equals("inference"))
        .allMatch(lane -> lane.state().equals("idle"));
  }

  private static long millisUntilIdle() {
    long begun = System.nanoTime();
    Awaitility.await()
        .pollInterval(Duration.ofMillis(5))
        .atMost(Duration.ofMinutes(2))
        .until(() -> idle(Await.result(ragbus.stats())));
    return TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - begun);
  }

  @Test
  void aPassIsCutWhenItsDeadlineHasPassed() {
    List<String> texts = Collections.nCopies(150, LONG);
    long begun = System.nanoTime();
    Await.result(ragbus.withTimeout(Duration.ofSeconds(30)).embed(EmbedRequest.of(texts)));
    long wholeMillis = TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - begun);

    RagbusException failure =
        Await.ragbusFailure(
            ragbus.withTimeout(Duration.ofMillis(wholeMillis / 3)).embed(EmbedRequest.of(texts)));
    long busyMillis = millisUntilIdle();

    System.getLogger(CancellationTest.class.getName())
        .log(
            System.Logger.Level.INFO,
            "the lane was free {0} ms after the deadline of a pass of {1} ms",
            busyMillis,
            wholeMillis);
    assertThat(failure.kind()).isEqualTo(Kind.TIMEOUT);
    assertThat(busyMillis).isLessThan(wholeMillis / 2);
    assertThat(Await.result(ragbus.embed("and the next one is served")).count()).isOne();
  }

  @Test
  void aCancelledStreamStopsItsPasses() {
    RerankStream stream =
        Await.result(ragbus.rerankStream(RerankRequest.of("q", Collections.nCopies(2_000, LONG))));
    Await.result(stream.cancel());
    millisUntilIdle();
    Stats.Queue queue = Await.result(ragbus.stats()).queue();
    assertThat(queue.items()).isZero();
    assertThat(queue.rows()).isLessThan(1_500);
  }

  @Test
  void noInnocentRequestIsHitByRandomCancellations() {
    cancelAtRandom(500);
  }

  @Test
  @Tag("slow")
  @Tag("side-by-side")
  void noInnocentRequestIsHitByTwentyThousandRandomCancellations() {
    cancelAtRandom(20_000);
  }

  /** A few requests at a time, half of them cancelled at some moment, and each answer checked. */
  private static void cancelAtRandom(int cancellations) {
    Random random = new Random(7);
    String[] texts = {"one", "two and two", "three " + "words ".repeat(20)};
    Map<String, float[]> expected = new HashMap<>();
    for (String text : texts) {
      expected.put(text, Await.result(ragbus.embed(text)).row(0));
    }
    int hit = 0;
    for (int done = 0; done < cancellations; done += 8) {
      List<String> asked = new ArrayList<>();
      List<Future<Embeddings>> answers = new ArrayList<>();
      for (int i = 0; i < 16; i++) {
        String id = "r" + done + "." + i;
        String text = texts[random.nextInt(texts.length)];
        asked.add(text);
        answers.add(ragbus.withRequestId(id).embed(text));
        if (i % 2 == 1) {
          vertx.setTimer(1 + random.nextInt(20), timer -> ragbus.cancel(id));
        }
      }
      for (int i = 0; i < 16; i++) {
        Future<Embeddings> answer = answers.get(i);
        if (i % 2 == 1) {
          Await.result(answer.otherwiseEmpty());
        }
        if (answer.failed()) {
          assertThat(i % 2).as("a request that was cancelled").isOne();
          assertThat(((RagbusException) answer.cause()).kind()).isEqualTo(Kind.CANCELLED);
          hit++;
        } else {
          float[] vector = Await.result(answer).row(0);
          assertThat(RagbusVerticleTest.cosine(vector, expected.get(asked.get(i))))
              .isGreaterThan(0.9999);
        }
      }
    }
    assertThat(hit).isPositive();
  }
}
