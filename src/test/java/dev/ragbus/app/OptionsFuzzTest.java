// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.app;

import static org.assertj.core.api.Assertions.assertThat;

import com.code_intelligence.jazzer.junit.FuzzTest;
import dev.ragbus.OptionsReader;
import io.vertx.core.Future;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.json.JsonObject;
import java.util.Map;

/** Configuration that is none: options, or an {@link IllegalArgumentException} that says why. */
class OptionsFuzzTest {
  private static final int MAX_BYTES = 2_000;

  /** The bytes as a TOML file, as the value of options, and as the name of one. */
  @FuzzTest(maxDuration = "60s")
  void configuration(byte[] data) {
    if (data.length > MAX_BYTES) {
      return;
    }
    Future<JsonObject> toml = new TomlProcessor().process(null, null, Buffer.buffer(data));
    if (toml.failed()) {
      assertThat(toml.cause()).isInstanceOf(IllegalArgumentException.class);
    } else {
      read(toml.result(), Map.of(), Map.of());
    }
    String text = Buffer.buffer(data).toString();
    read(new JsonObject(), Map.of("RAGBUS_" + text, "1"), Map.of("ragbus." + text, "1"));
    for (String key : new String[] {"python.default_timeout", "http.port", "models.embedding"}) {
      read(new JsonObject(), Map.of(), Map.of("ragbus." + key, text));
    }
  }

  private static void read(
      JsonObject config, Map<String, String> environment, Map<String, String> properties) {
    try {
      assertThat(OptionsReader.read(config, environment, properties)).isNotNull();
    } catch (IllegalArgumentException e) {
      assertThat(e.getMessage()).isNotBlank();
    }
  }
}
