// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import static org.assertj.core.api.Assertions.assertThat;

import io.vertx.core.json.JsonObject;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;

/** The frames of a ranking that the page about streams shows are what there is. */
class StreamingDocumentTest {
  @Test
  void itsFramesAreFrames() throws IOException {
    Set<String> types = new TreeSet<>();
    String page = Files.readString(Path.of("docs/streaming.md"));
    for (String line : page.substring(0, page.indexOf("## In Java")).lines().toList()) {
      if (line.startsWith("{\"type\":\"")) {
        JsonObject json = new JsonObject(line);
        types.add(json.getString("type"));
        Record frame =
            json.getString("type").equals("error")
                ? JsonBodies.parse(json, StreamError.class)
                : (Record) JsonBodies.parse(json, RerankFrame.class);
        assertThat(JsonBodies.format(frame).encode()).isEqualTo(line);
      }
    }
    assertThat(types).containsExactly("end", "error", "partial", "start", "top");
  }
}
