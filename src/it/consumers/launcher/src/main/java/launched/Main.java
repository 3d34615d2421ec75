package launched;

import dev.ragbus.Ragbus;
import dev.ragbus.RagbusException;
import io.vertx.core.Vertx;
import io.vertx.launcher.application.HookContext;
import io.vertx.launcher.application.VertxApplication;
import io.vertx.launcher.application.VertxApplicationHooks;
import java.util.concurrent.atomic.AtomicReference;

/** The verticle by its name, from Vert.x's launcher with a file of JSON. */
public final class Main {
  private Main() {}

  public static void main(String[] args) {
    AtomicReference<Vertx> started = new AtomicReference<>();
    VertxApplicationHooks hooks =
        new VertxApplicationHooks() {
          @Override
          public void afterVerticleDeployed(HookContext context) {
            started.set(context.vertx());
          }
        };
    String[] command = {"dev.ragbus.service.RagbusVerticle", "-conf", "conf.json"};
    check(new VertxApplication(command, hooks).launch() == 0, "launched");
    Vertx vertx = started.get();
    Ragbus ragbus = Ragbus.create(vertx, "launched");

    check(ragbus.embed("Cats purr.").await().dimensions() == 384, "its prefix is the file's");
    check(refused(ragbus), "its limits are the file's");
    vertx.close().await();
    System.exit(0);
  }

  private static boolean refused(Ragbus ragbus) {
    try {
      ragbus.embed("one", "two", "three").await();
      return false;
    } catch (RagbusException e) {
      return e.kind() == RagbusException.Kind.TOO_LARGE;
    }
  }

  private static void check(boolean right, String what) {
    System.out.println(what + ": " + right);
    if (!right) {
      System.exit(1);
    }
  }
}
