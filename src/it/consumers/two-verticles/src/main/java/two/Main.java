package two;

import dev.ragbus.Embeddings;
import dev.ragbus.Ragbus;
import dev.ragbus.RagbusException;
import dev.ragbus.service.RagbusVerticle;
import io.vertx.core.DeploymentOptions;
import io.vertx.core.Future;
import io.vertx.core.Vertx;
import io.vertx.core.json.JsonObject;
import java.util.Arrays;

/** Three deployments in one JVM: two in one Vert.x, a third in another. */
public final class Main {
  private Main() {}

  public static void main(String[] args) {
    Vertx vertx = Vertx.vertx();
    Vertx other = Vertx.vertx();
    try {
      String first = deploy(vertx, "first");
      deploy(vertx, "second");
      deploy(other, "first");

      Future<Embeddings> one = Ragbus.create(vertx, "first").embed("Cats purr.");
      Future<Embeddings> two = Ragbus.create(vertx, "second").embed("Cats purr.");
      Future<Embeddings> three = Ragbus.create(other, "first").embed("Cats purr.");
      check(one.await().dimensions() == 384, "dimensions");
      check(Arrays.equals(one.await().values(), two.await().values()), "the second agrees");
      check(Arrays.equals(one.await().values(), three.await().values()), "the third agrees");

      vertx.undeploy(first).await();
      check(Ragbus.create(vertx, "second").embed("x").await().count() == 1, "the second goes on");
      check(Ragbus.create(other, "first").embed("x").await().count() == 1, "the third goes on");
      check(unavailable(Ragbus.create(vertx, "first")), "the first is gone");
    } finally {
      vertx.close().await();
      other.close().await();
    }
  }

  private static String deploy(Vertx vertx, String prefix) {
    JsonObject config =
        new JsonObject()
            .put("bus", new JsonObject().put("address_prefix", prefix))
            .put("lanes", new JsonObject().put("inference", 1));
    return vertx
        .deployVerticle(new RagbusVerticle(), new DeploymentOptions().setConfig(config))
        .await();
  }

  private static boolean unavailable(Ragbus ragbus) {
    try {
      ragbus.embed("x").await();
      return false;
    } catch (RagbusException e) {
      return e.kind() == RagbusException.Kind.UNAVAILABLE;
    }
  }

  private static void check(boolean right, String what) {
    if (!right) {
      throw new AssertionError(what);
    }
    System.out.println(what);
  }
}
