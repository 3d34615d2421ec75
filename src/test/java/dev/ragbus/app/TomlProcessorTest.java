// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.app;

import static org.assertj.core.api.Assertions.assertThat;

import io.vertx.config.ConfigRetriever;
import io.vertx.config.ConfigRetrieverOptions;
import io.vertx.config.ConfigStoreOptions;
import io.vertx.core.Future;
import io.vertx.core.Vertx;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import io.vertx.junit5.VertxExtension;
import io.vertx.junit5.VertxTestContext;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;

@ExtendWith(VertxExtension.class)
class TomlProcessorTest {
  @Test
  void vertx_config_finds_it_by_its_name(Vertx vertx, VertxTestContext test, @TempDir Path folder)
      throws IOException {
    Path file = folder.resolve("x.toml");
    Files.writeString(file, "a = 1\n[b.c]\nd = [\"x\", \"y\"]\n[[e]]\nf = 0.5\n");
    ConfigStoreOptions store =
        new ConfigStoreOptions()
            .setType("file")
            .setFormat("toml")
            .setConfig(new JsonObject().put("path", file.toString()));
    ConfigRetriever.create(vertx, new ConfigRetrieverOptions().addStore(store))
        .getConfig()
        .onComplete(
            test.succeeding(
                config ->
                    test.verify(
                        () -> {
                          assertThat(config)
                              .isEqualTo(
                                  new JsonObject()
                                      .put("a", 1)
                                      .put(
                                          "b",
                                          new JsonObject()
                                              .put(
                                                  "c",
                                                  new JsonObject()
                                                      .put("d", JsonArray.of("x", "y"))))
                                      .put("e", JsonArray.of(new JsonObject().put("f", 0.5))));
                          test.completeNow();
                        })));
  }

  @Test
  void what_is_not_toml_fails_with_its_place(Vertx vertx) {
    Future<JsonObject> read =
        new TomlProcessor().process(vertx, new JsonObject(), Buffer.buffer("a = 1\nb = = 2\n"));
    assertThat(read.cause())
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("line 2");
    assertThat(
            new TomlProcessor()
                .process(vertx, new JsonObject(), Buffer.buffer("a = 1\na = 2\n"))
                .failed())
        .isTrue();
    assertThat(new TomlProcessor().process(vertx, new JsonObject(), Buffer.buffer("")).result())
        .isEmpty();
  }
}
