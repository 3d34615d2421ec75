// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.app;

import com.fasterxml.jackson.core.JsonLocation;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.dataformat.toml.TomlMapper;
import io.vertx.config.spi.ConfigProcessor;
import io.vertx.core.Future;
import io.vertx.core.Vertx;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.json.JsonObject;
import java.io.IOException;
import java.util.Map;

/**
 * TOML for vertx-config: {@code new ConfigStoreOptions().setType("file").setFormat("toml")} reads a
 * TOML file as a JSON object of the same structure. Found through {@code META-INF/services}.
 *
 * <p>A file that is not TOML fails with an {@link IllegalArgumentException} that has line and
 * column. Safe for any thread; small files are expected, so it parses where it is called.
 */
public final class TomlProcessor implements ConfigProcessor {
  private static final TomlMapper MAPPER = new TomlMapper();

  /** Made by vertx-config. */
  public TomlProcessor() {}

  @Override
  public String name() {
    return "toml";
  }

  @Override
  public Future<JsonObject> process(Vertx vertx, JsonObject configuration, Buffer input) {
    try {
      @SuppressWarnings("unchecked")
      Map<String, Object> tables = MAPPER.readValue(input.getBytes(), Map.class);
      return Future.succeededFuture(new JsonObject(tables));
    } catch (JsonProcessingException e) {
      JsonLocation at = e.getLocation();
      String place =
          at == null ? "" : " at line " + at.getLineNr() + ", column " + at.getColumnNr();
      return Future.failedFuture(
          new IllegalArgumentException("not TOML" + place + ": " + e.getOriginalMessage(), e));
    } catch (IOException e) {
      return Future.failedFuture(new IllegalArgumentException("not TOML: " + e.getMessage(), e));
    }
  }
}
