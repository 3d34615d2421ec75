// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

import static org.assertj.core.api.Assertions.assertThat;

import dev.ragbus.python.environment.TestClients;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Schemathesis makes requests of the OpenAPI description, good and bad, against the real service:
 * every reply is as described, and none is a server's failure but 503 with {@code Retry-After}.
 */
class ContractFuzzIT {
  private static final Pattern CASES = Pattern.compile("(\\d+) generated");

  @TempDir Path folder;

  private int cases(String phases, int examples) throws Exception {
    Path python = TestClients.python();
    try (RealServer server = new RealServer()) {
      Process process =
          new ProcessBuilder(
                  python.resolveSibling("st").toString(),
                  "--config-file",
                  Path.of("src/test/python/schemathesis.toml").toAbsolutePath().toString(),
                  "run",
                  server.address() + "/openapi.json",
                  "--no-color",
                  "--continue-on-failure",
                  "--phases",
                  phases,
                  "--max-examples",
                  Integer.toString(examples))
              .directory(folder.toFile())
              .redirectErrorStream(true)
              .start();
      String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
      assertThat(process.waitFor()).as(output).isZero();
      Matcher cases = CASES.matcher(output);
      assertThat(cases.find()).as(output).isTrue();
      System.out.println("schemathesis: " + cases.group());
      return Integer.parseInt(cases.group(1));
    }
  }

  @Test
  void a_few_hundred_requests_do_no_harm() throws Exception {
    assertThat(cases("examples,fuzzing,stateful", 12)).isGreaterThan(200);
  }

  @Test
  @Tag("slow")
  void thousands_of_requests_of_all_phases_do_no_harm() throws Exception {
    assertThat(cases("examples,coverage,fuzzing,stateful", 30)).isGreaterThan(2_000);
  }
}
