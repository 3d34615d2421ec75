// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import static org.assertj.core.api.Assertions.assertThat;

import dev.ragbus.Await;
import dev.ragbus.EmbedRequest;
import dev.ragbus.Embeddings;
import dev.ragbus.Ragbus;
import dev.ragbus.RagbusException;
import io.vertx.core.Future;
import io.vertx.core.Vertx;
import io.vertx.core.json.JsonObject;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** One caller's many texts beside another's few, with the real Python. */
class FairnessTest {
  private static final int QUESTIONS = 20;

  @Test
  void oneCallersTenThousandTextsDelayAnothersOneByTwoBatches() {
    Vertx vertx = Vertx.vertx();
    TestService service =
        TestService.start(
            vertx, new JsonObject().put("lanes", new JsonObject().put("inference", 1)));
    try {
      List<Future<Embeddings>> bulk = bulk(service.ragbus().withRequestId("bulk"));
      Ragbus other = Ragbus.create(vertx);
      List<Long> batches = new ArrayList<>();
      for (int question = 0; question < QUESTIONS; question++) {
        long before = batches(other);
        assertThat(Await.result(other.embed("How many are before me?")).count()).isOne();
        batches.add(batches(other) - before);
      }
      assertThat(bulk).as("the texts beside it").noneMatch(Future::isComplete);
      other.cancel("bulk");
      bulk.forEach(
          request ->
              assertThat(Await.ragbusFailure(request).kind())
                  .isEqualTo(RagbusException.Kind.CANCELLED));
      // The one that ran, two more while it was tokenised and waited, its own, one until the count.
      assertThat(batches.stream().sorted().toList().get(QUESTIONS / 2)).isLessThanOrEqualTo(5);
    } finally {
      service.close();
      Await.result(vertx.close());
    }
  }

  private static long batches(Ragbus ragbus) {
    return Await.result(ragbus.stats()).queue().batches();
  }

  private static List<Future<Embeddings>> bulk(Ragbus ragbus) {
    Random random = new Random(7);
    List<Future<Embeddings>> requests = new ArrayList<>();
    for (int request = 0; request < 5; request++) {
      List<String> texts =
          random.ints(2_000, 5, 120).mapToObj(words -> "many words ".repeat(words)).toList();
      requests.add(ragbus.embed(EmbedRequest.of(texts)));
    }
    return requests;
  }
}
