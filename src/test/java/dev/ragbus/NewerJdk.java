// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.Properties;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;

/** A JDK 21 or newer, for what needs virtual threads: this one, or another of this machine. */
public final class NewerJdk {
  private static final Path JDKS = Path.of("/usr/lib/jvm");

  private NewerJdk() {}

  /** The exit code of a class's main method there; the test is skipped where there is none. */
  public static int run(Class<?> main) throws IOException, InterruptedException {
    Optional<Path> jdk = Runtime.version().feature() >= 21 ? Optional.of(thisJdk()) : newerJdk();
    Assumptions.assumeTrue(jdk.isPresent(), "there is no JDK 21 or newer");
    return ChildProcess.run(
        new ProcessBuilder(
            jdk.orElseThrow().resolve("bin/java").toString(),
            "-cp",
            System.getProperty("java.class.path"),
            main.getName()));
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
}
