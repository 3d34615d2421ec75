package dev.ragbus;

import static org.assertj.core.api.Assertions.assertThat;

import io.vertx.core.json.JsonObject;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;

/** What the page about streams shows is what there is. */
class StreamingDocumentTest {
  @Test
  void itsFramesAreFrames() throws IOException {
    Set<String> types = new TreeSet<>();
    for (String line : Files.readAllLines(Path.of("docs/streaming.md"))) {
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
