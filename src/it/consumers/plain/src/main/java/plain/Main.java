package plain;

import dev.ragbus.Embeddings;
import dev.ragbus.Ragbus;
import dev.ragbus.Ranking;
import dev.ragbus.service.RagbusVerticle;
import io.vertx.core.Vertx;
import java.util.List;

/** A Vert.x application in Java that has nothing but Ragbus on its class path. */
public final class Main {
  private Main() {}

  public static void main(String[] args) {
    Vertx vertx = Vertx.vertx();
    try {
      vertx.deployVerticle(new RagbusVerticle()).await();
      Ragbus ragbus = Ragbus.create(vertx);

      Embeddings vectors = ragbus.embed("cat sounds", "Cats purr.", "Stocks fell.").await();
      Ranking ranking = ragbus.rerank("cat sounds", List.of("Stocks fell.", "Cats purr.")).await();

      check(vectors.model().equals("all-MiniLM-L6-v2"), vectors.model());
      check(vectors.dimensions() == 384 && vectors.count() == 3, vectors.toString());
      check(Math.abs(vectors.dot(0, 0) - 1) < 1e-4, "length " + vectors.dot(0, 0));
      check(vectors.dot(0, 1) > vectors.dot(0, 2) + 0.2, "cats are nearer than stocks");
      check(ranking.rankedResults().get(0).index() == 1, ranking.toString());
    } finally {
      vertx.close().await();
    }
  }

  private static void check(boolean right, String what) {
    if (!right) {
      throw new AssertionError(what);
    }
    System.out.println(what);
  }
}
