package dev.ragbus.service;

import static org.assertj.core.api.Assertions.assertThat;

import dev.ragbus.ChildProcess;
import io.vertx.core.DeploymentOptions;
import io.vertx.core.ThreadingModel;
import io.vertx.core.Vertx;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.Properties;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;

/** Deployment on virtual threads is refused; needs a JDK 21 or newer, of which it looks for one. */
class VirtualThreadIT {
  private static final Path JDKS = Path.of("/usr/lib/jvm");

  @Test
  void isRefused() throws Exception {
    Optional<Path> jdk = Runtime.version().feature() >= 21 ? Optional.of(thisJdk()) : newerJdk();
    Assumptions.assumeTrue(jdk.isPresent(), "there is no JDK 21 or newer");
    ProcessBuilder command =
        new ProcessBuilder(
            jdk.orElseThrow().resolve("bin/java").toString(),
            "-cp",
            System.getProperty("java.class.path"),
            VirtualThreadIT.class.getName());

    assertThat(ChildProcess.run(command)).isZero();
  }

  private static Path thisJdk() {
    return Path.of(System.getProperty("java.home"));
  }

  private static Optional<Path> newerJdk() throws IOException {
    if (!Files.isDirectory(JDKS)) {
      return Optional.empty();
    }
    try (Stream<Path> candidates = Files.list(JDKS)) {
      return candidates.filter(jdk -> feature(jdk) >= 21).findAny();
    }
  }

  private static int feature(Path jdk) {
    Properties release = new Properties();
    try (var text = Files.newBufferedReader(jdk.resolve("release"))) {
      release.load(text);
      String version = release.getProperty("JAVA_VERSION", "0").replace("\"", "");
      return Integer.parseInt(version.split("\\.")[0]);
    } catch (IOException | NumberFormatException e) {
      return 0;
    }
  }

  /** Exits with 0 if the deployment is refused for the right reason. */
  public static void main(String[] args) throws Exception {
    DeploymentOptions virtual =
        new DeploymentOptions().setThreadingModel(ThreadingModel.VIRTUAL_THREAD);
    Throwable failure =
        Vertx.vertx()
            .deployVerticle(RagbusVerticle.class.getName(), virtual)
            .transform(done -> io.vertx.core.Future.succeededFuture(done.cause()))
            .toCompletionStage()
            .toCompletableFuture()
            .get();
    System.out.println(failure);
    boolean right = failure != null && failure.getMessage().contains("VIRTUAL_THREAD");
    System.exit(right ? 0 : 1);
  }
}
