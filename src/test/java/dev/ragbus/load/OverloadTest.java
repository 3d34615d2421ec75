// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.load;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.ragbus.Await;
import dev.ragbus.Stats;
import io.vertx.core.Context;
import io.vertx.core.Future;
import io.vertx.core.Promise;
import io.vertx.core.json.JsonObject;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.HdrHistogram.ConcurrentHistogram;
import org.HdrHistogram.Histogram;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/**
 * Ten times what the service can do, on the event bus and over HTTP, with the queue's own bounds:
 * what it refuses it refuses at once, what it accepts it does in time, and nothing dead is run.
 */
class OverloadTest {
  private static final int TIMES_CAPACITY = 10;
  private static final long DEADLINE_MILLIS = 2_000;
  private static final List<String> TEXTS =
      Collections.nCopies(8, "some words that make a text of some length ".repeat(5));

  /** What other processes on the machine may add to what is measured. */
  private static final long NOISE_MILLIS = 300;

  private final Histogram refusals = new ConcurrentHistogram(3);
  private final Histogram answers = new ConcurrentHistogram(3);
  private final AtomicLong sent = new AtomicLong();
  private final AtomicLong answered = new AtomicLong();
  private final AtomicLong refused = new AtomicLong();
  private final AtomicLong expired = new AtomicLong();
  private final AtomicLong expiredRunning = new AtomicLong();
  private final Queue<String> wrong = new ConcurrentLinkedQueue<>();
  private Deployed deployed;

  @Test
  void tenTimesTheCapacity() throws Exception {
    overload(Duration.ofSeconds(4));
  }

  @Test
  @Tag("slow")
  void tenTimesTheCapacityForAMinute() throws Exception {
    overload(Duration.ofMinutes(1));
  }

  private void overload(Duration duration) throws Exception {
    JsonObject config =
        new JsonObject().put("http", new JsonObject().put("max_requests_per_client", 100_000));
    try (Deployed service = new Deployed(config, 2_000)) {
      deployed = service;
      double perSecond = capacity();
      Stats before = Await.result(deployed.ragbus.stats());
      MostHeld most = new MostHeld(before);
      flood(perSecond * TIMES_CAPACITY, duration, most);
      long recoveryMillis = recovery();
      await()
          .atMost(Duration.ofSeconds(30))
          .until(() -> Await.result(deployed.ragbus.stats()).queue().items() == 0);
      Stats after = Await.result(deployed.ragbus.stats());
      JsonObject report = report(duration, perSecond, recoveryMillis, before, after, most);
      Path folder = Files.createDirectories(Path.of("target/soak"));
      Files.writeString(
          folder.resolve("overload-" + duration.toSeconds() + "s.json"), report.encodePrettily());
      System.out.println(report.encodePrettily());
      check(report);
    }
  }

  /** Requests a second, as many at once as keep the lanes busy, in the best of some seconds. */
  private double capacity() {
    double best = 0;
    for (int second = 0; second < 5; second++) {
      best = Math.max(best, answeredInASecond());
    }
    return best;
  }

  private double answeredInASecond() {
    long startedNanos = System.nanoTime();
    long until = startedNanos + TimeUnit.SECONDS.toNanos(1);
    AtomicLong done = new AtomicLong();
    List<Future<Void>> loops = new ArrayList<>();
    for (int i = 0; i < 8; i++) {
      loops.add(busy(deployed.clients.get(i % deployed.clients.size()), until, done));
    }
    Await.result(Future.all(loops));
    return done.get() * 1e9 / (System.nanoTime() - startedNanos);
  }

  private Future<Void> busy(Client client, long until, AtomicLong done) {
    Promise<Void> ended = Promise.promise();
    Context context = deployed.vertx.getOrCreateContext();
    context.runOnContext(v -> busy(context, client, until, done, ended));
    return ended.future();
  }

  private void busy(
      Context context, Client client, long until, AtomicLong done, Promise<Void> ended) {
    client
        .embed(TEXTS, 60_000)
        .onComplete(
            answer -> {
              done.incrementAndGet();
              if (System.nanoTime() >= until || answer.failed()) {
                ended.complete();
              } else {
                context.runOnContext(v -> busy(context, client, until, done, ended));
              }
            });
  }

  /** The most that was held at a time, as far as it was seen. */
  private static final class MostHeld {
    private int items;
    private long tokens;
    private long residentBytes;

    MostHeld(Stats first) {
      saw(first);
    }

    void saw(Stats stats) {
      items = Math.max(items, stats.queue().items());
      tokens = Math.max(tokens, stats.queue().tokens());
      residentBytes = Math.max(residentBytes, stats.residentBytes());
    }
  }

  /** Sends on time, whatever comes back. */
  private void flood(double perSecond, Duration duration, MostHeld most) throws Exception {
    long startedNanos = System.nanoTime();
    List<Context> contexts = new ArrayList<>();
    deployed.clients.forEach(client -> contexts.add(deployed.vertx.getOrCreateContext()));
    long nextLook = 0;
    while (System.nanoTime() - startedNanos < duration.toNanos()) {
      double seconds = (System.nanoTime() - startedNanos) / 1e9;
      while (sent.get() < seconds * perSecond) {
        int client = (int) (sent.getAndIncrement() % contexts.size());
        contexts.get(client).runOnContext(v -> send(deployed.clients.get(client)));
      }
      if (seconds * 4 > nextLook) {
        nextLook++;
        deployed.ragbus.stats().onSuccess(most::saw);
      }
      Thread.sleep(1);
    }
    await()
        .atMost(Duration.ofSeconds(30))
        .until(() -> answered.get() + refused.get() + expired.get() + wrong.size() == sent.get());
  }

  private void send(Client client) {
    long startedNanos = System.nanoTime();
    client
        .embed(TEXTS, DEADLINE_MILLIS)
        .onComplete(
            answer -> {
              long micros = (System.nanoTime() - startedNanos) / 1_000;
              if (answer.succeeded()) {
                answers.recordValue(micros);
                answered.incrementAndGet();
              } else {
                failed(client, answer.cause(), micros);
              }
            });
  }

  private void failed(Client client, Throwable failure, long micros) {
    int code = failure instanceof Client.Refusal refusal ? refusal.code() : 0;
    if (code == 429) {
      refusals.recordValue(micros);
      refused.incrementAndGet();
      boolean tellsWhen = ((Client.Refusal) failure).retryAfterMillis() > 0;
      if (!tellsWhen && !(client instanceof Client.JsonBus)) {
        wrong.add("without Retry-After: " + failure);
      }
    } else if (code == 504) {
      answers.recordValue(micros);
      expired.incrementAndGet();
      if (failure.getMessage().contains("while the work was running")) {
        expiredRunning.incrementAndGet();
      }
    } else {
      wrong.add(client.name() + ": " + failure);
    }
  }

  /** How long the first request after the flood takes, and that it is answered. */
  private long recovery() {
    long startedNanos = System.nanoTime();
    Await.result(deployed.clients.get(2).embed(TEXTS, 30_000));
    return (System.nanoTime() - startedNanos) / 1_000_000;
  }

  private JsonObject report(
      Duration duration,
      double perSecond,
      long recoveryMillis,
      Stats before,
      Stats after,
      MostHeld most) {
    long rows = after.queue().rows() - before.queue().rows();
    // The one after the flood is answered too.
    long wanted = (answered.get() + 1 + expiredRunning.get()) * TEXTS.size();
    return new JsonObject()
        .put("seconds", duration.toSeconds())
        .put("capacity_per_second", perSecond)
        .put("sent", sent.get())
        .put("answered", answered.get())
        .put("answered_per_second", answered.get() * 1e3 / duration.toMillis())
        .put("refused", refused.get())
        .put("expired_waiting", expired.get() - expiredRunning.get())
        .put("expired_running", expiredRunning.get())
        .put("wrong", wrong.size())
        .put("refusal_p50_millis", refusals.getValueAtPercentile(50) / 1e3)
        .put("refusal_p99_millis", refusals.getValueAtPercentile(99) / 1e3)
        .put("answer_p50_millis", answers.getValueAtPercentile(50) / 1e3)
        .put("answer_p99_millis", answers.getValueAtPercentile(99) / 1e3)
        .put("deadline_millis", DEADLINE_MILLIS)
        .put("rows_run", rows)
        .put("dead_rows_run", Math.max(0, rows - wanted))
        .put("recovery_millis", recoveryMillis)
        .put("most_items", most.items)
        .put("most_tokens", most.tokens)
        .put("resident_mb_before", before.residentBytes() / 1e6)
        .put("resident_mb_most", most.residentBytes / 1e6);
  }

  private void check(JsonObject report) {
    assertThat(wrong).as("neither answered, refused nor expired").isEmpty();
    assertThat(refused.get()).isGreaterThan(sent.get() / 4);
    assertThat(report.getDouble("refusal_p50_millis")).isLessThan(NOISE_MILLIS);
    // The clients' own threads wait for the same cores; queueing would take all of the time.
    assertThat(report.getDouble("refusal_p99_millis")).isLessThan(DEADLINE_MILLIS / 2.0);
    assertThat(report.getDouble("answer_p99_millis")).isLessThan(DEADLINE_MILLIS + NOISE_MILLIS);
    assertThat(expired.get()).as("accepted, but not done in time").isLessThan(answered.get());
    assertThat(report.getLong("dead_rows_run")).isZero();
    assertThat(report.getLong("recovery_millis")).isLessThan(DEADLINE_MILLIS + NOISE_MILLIS);
    assertThat(report.getDouble("resident_mb_most"))
        .isLessThan(report.getDouble("resident_mb_before") + 500);
  }
}
