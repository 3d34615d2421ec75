// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

import static org.assertj.core.api.Assertions.assertThat;

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.time.Duration;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;

/**
 * A client that asks one question after the other while others do what they should not. Closing it
 * fails unless each answer was right and came in time.
 */
final class Beside implements AutoCloseable {
  private static final Duration IN_TIME = Duration.ofSeconds(5);

  /** It asks often, and leaves the processor to others. */
  private static final long PAUSE_NANOS = 5_000_000;

  private final URI address;
  private final HttpClient client = HttpClient.newHttpClient();
  private final Queue<String> wrong = new ConcurrentLinkedQueue<>();
  private final Thread thread = new Thread(this::ask, "beside");
  private volatile boolean over;
  private final AtomicInteger asked = new AtomicInteger();

  Beside(int port) {
    address = URI.create("http://127.0.0.1:" + port + "/embed");
    thread.setDaemon(true);
    thread.start();
  }

  private void ask() {
    do {
      int length = 1 + asked.get() % 50;
      try {
        String answer =
            client
                .send(
                    HttpRequest.newBuilder(address)
                        .timeout(IN_TIME)
                        .header("Content-Type", "application/json")
                        .POST(
                            BodyPublishers.ofString("{\"inputs\": \"" + "a".repeat(length) + "\"}"))
                        .build(),
                    BodyHandlers.ofString())
                .body();
        String right = "[[" + length + ".0," + length / 3f + ",-" + length + ".0]]";
        if (!answer.equals(right)) {
          wrong.add(answer + ", not " + right);
        }
      } catch (Exception e) {
        wrong.add(e.toString());
      }
      asked.incrementAndGet();
      LockSupport.parkNanos(PAUSE_NANOS);
    } while (!over);
  }

  /** Another client of the same server. */
  RawClient attacker() {
    return RawClient.to(address.getPort());
  }

  /** How many questions were asked so far. */
  int asked() {
    return asked.get();
  }

  @Override
  public void close() {
    over = true;
    try {
      thread.join();
    } catch (InterruptedException e) {
      throw new AssertionError(e);
    }
    assertThat(wrong).as("of %s requests beside", asked).isEmpty();
  }
}
