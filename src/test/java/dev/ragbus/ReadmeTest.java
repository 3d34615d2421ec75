// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import static org.assertj.core.api.Assertions.assertThat;

import examples.SearchVerticle;
import io.vertx.core.Vertx;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

/** What the README shows is what there is. */
class ReadmeTest {
  private static final Path EXAMPLE = Path.of("src/test/java/examples/SearchVerticle.java");

  private static String readme() throws IOException {
    return Files.readString(Path.of("README.md"));
  }

  @Test
  void theExampleIsTheOneThatRuns() throws IOException {
    String source = Files.readString(EXAMPLE);

    assertThat(readme()).contains(source.substring(source.indexOf("import")).strip());

    Vertx vertx = Vertx.vertx();
    System.setProperty("ragbus.models.offline", "true");
    try {
      assertThat(Await.result(vertx.deployVerticle(new SearchVerticle()))).isNotBlank();
    } finally {
      System.clearProperty("ragbus.models.offline");
      Await.result(vertx.close());
    }
  }
}
