package bare;

import dev.ragbus.Ragbus;
import dev.ragbus.service.RagbusVerticle;
import io.vertx.core.Vertx;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/**
 * A machine without a C compiler: where there is no environment yet, the start says what to
 * install; where there is one, it serves.
 */
public final class Main {
  private Main() {}

  /** With an argument, the application itself; without one, what starts it and reads its output. */
  public static void main(String[] args) throws Exception {
    if (args.length > 0) {
      serve();
      return;
    }
    Path empty = Files.createTempDirectory(Path.of("target"), "empty").toAbsolutePath();
    String python = run(new ProcessBuilder("python3", "-c", "import sys; print(sys.executable)"), 0);

    ProcessBuilder fresh = application(empty, python.strip());
    fresh.environment().put("XDG_CACHE_HOME", empty.resolve("cache").toString());
    String said = run(fresh, 1);
    check(said.contains("needs a C compiler") && said.contains("apt install"), said);
    check(!said.contains("384 dimensions"), "nothing was served");

    run(application(null, null), 0);
    String served = run(application(empty, python.strip()), 0);
    check(served.contains("384 dimensions"), served);
  }

  private static ProcessBuilder application(Path searchPath, String python) {
    ProcessBuilder builder =
        new ProcessBuilder(
            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "-Xmx256m",
            "-cp",
            System.getProperty("java.class.path"),
            Main.class.getName(),
            "serve");
    if (searchPath != null) {
      builder.environment().put("PATH", searchPath.toString());
      builder.environment().put("RAGBUS_PYTHON_PYTHON_PATH", python);
      builder.environment().keySet().removeAll(List.of("CC", "CXX"));
    }
    return builder;
  }

  private static String run(ProcessBuilder builder, int code)
      throws IOException, InterruptedException {
    Process process = builder.redirectErrorStream(true).start();
    String output =
        new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    check(process.waitFor() == code, builder.command() + "\n" + output);
    return output;
  }

  private static void check(boolean right, String what) {
    if (!right) {
      throw new AssertionError(what);
    }
  }

  private static void serve() {
    Vertx vertx = Vertx.vertx();
    try {
      vertx.deployVerticle(new RagbusVerticle()).await();
      int dimensions = Ragbus.create(vertx).embed("Cats purr.").await().dimensions();
      System.out.println(dimensions + " dimensions");
    } finally {
      vertx.close().await();
    }
  }
}
