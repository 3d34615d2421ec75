// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import static org.assertj.core.api.Assertions.assertThat;

import dev.ragbus.Await;
import dev.ragbus.FunctionInfo;
import dev.ragbus.FunctionQuery;
import dev.ragbus.FunctionSpec;
import dev.ragbus.Ragbus;
import dev.ragbus.RagbusException.Kind;
import io.vertx.core.DeploymentOptions;
import io.vertx.core.Vertx;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Where functions come from, and who may bring them. */
class FunctionRegistrationTest {
  @TempDir private Path folder;
  private Vertx vertx;

  @BeforeEach
  void open() {
    vertx = Vertx.vertx();
  }

  @AfterEach
  void close() {
    Await.result(vertx.close());
  }

  private JsonObject config(JsonObject functions) {
    return new JsonObject()
        .put("functions", functions.put("dir", folder.toString()))
        .put("lanes", new JsonObject().put("inference", 1));
  }

  private static JsonObject preload(String name, String module) {
    return new JsonObject()
        .put(
            "preload",
            new JsonArray().add(new JsonObject().put("name", name).put("module", module)));
  }

  private static Kind refused(Ragbus ragbus, FunctionSpec spec) {
    return Await.ragbusFailure(ragbus.register(spec)).kind();
  }

  @Test
  void nothingIsRegisteredByMessageUnlessThatIsAllowed() {
    try (TestService service = TestService.start(vertx, config(new JsonObject()))) {
      Ragbus ragbus = service.ragbus();
      assertThat(refused(ragbus, FunctionSpec.ofCode("f", "1"))).isEqualTo(Kind.FORBIDDEN);
      assertThat(refused(ragbus, FunctionSpec.ofModule("f", "os:system")))
          .isEqualTo(Kind.FORBIDDEN);
      assertThat(Await.result(ragbus.functions()).functions())
          .extracting(FunctionInfo::name)
          .containsExactly(
              "clear_cache", "embed_texts", "list_models", "load_model", "rerank_texts");
    }
  }

  @Test
  void allowedModulesAreThoseNamedAndWhatIsInThem() {
    JsonObject allow =
        new JsonObject().put("allow_modules", new JsonArray().add("math").add("json"));
    try (TestService service = TestService.start(vertx, config(allow))) {
      Ragbus ragbus = service.ragbus();
      Await.result(ragbus.register(FunctionSpec.ofModule("root", "math:sqrt")));
      Await.result(ragbus.register(FunctionSpec.ofModule("decoded", "json.decoder:scanstring")));
      assertThat(refused(ragbus, FunctionSpec.ofModule("f", "mathx:sqrt")))
          .isEqualTo(Kind.FORBIDDEN);
      assertThat(refused(ragbus, FunctionSpec.ofCode("f", "1"))).isEqualTo(Kind.FORBIDDEN);
      assertThat(Await.result(ragbus.call("root", 9)).result()).isEqualTo(3.0);
    }
  }

  @Test
  void filesOfTheFolderAreRegisteredAndABrokenOneIsLeftOut() throws IOException {
    Files.writeString(
        folder.resolve("good.py"),
        """
        import ragbus

        @ragbus.function(timeout="2s")
        def shout(text: str) -> str:
            "Louder."
            return text.upper()

        @ragbus.function
        def embed_texts():
            return "never"
        """);
    Files.writeString(folder.resolve("broken.py"), "def broken(:\n");
    Files.writeString(folder.resolve("raising.py"), "raise ValueError('at import')\n");
    JsonObject config = config(new JsonObject());
    config.put(
        "python",
        new JsonObject()
            .put("functions", new JsonObject().put("configured", new JsonObject()))
            .put("module_path", new JsonArray()));
    try (TestService service = TestService.start(vertx, config)) {
      Ragbus ragbus = service.ragbus();
      FunctionInfo shout = Await.result(ragbus.function(new FunctionQuery("shout", true)));
      assertThat(shout.description()).isEqualTo("Louder.");
      assertThat(shout.timeout()).isEqualTo(Duration.ofSeconds(2));
      assertThat(shout.code()).contains("def shout");
      assertThat(Await.result(ragbus.call("shout", "hey")).result()).isEqualTo("HEY");
      assertThat(Await.result(ragbus.functions()).functions()).hasSize(6);
      assertThat(Await.result(ragbus.function("embed_texts")).kind()).isEqualTo("operation");
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"README.md", "docs/functions.md"})
  void theExampleOfTheDocumentationRuns(String document) throws IOException {
    String text = Files.readString(Path.of(document));
    String block = text.substring(text.indexOf("```python\n") + "```python\n".length());
    Files.writeString(folder.resolve("example.py"), block.substring(0, block.indexOf("```")));
    try (TestService service = TestService.start(vertx, config(new JsonObject()))) {
      Ragbus ragbus = service.ragbus();
      assertThat(Await.result(ragbus.call("longest", List.of("a", "bcd"))).result())
          .isEqualTo(List.of("bcd"));
      assertThat(Await.result(ragbus.call("longest", List.of("a", "bcd"), 2)).result())
          .isEqualTo(List.of("bcd", "a"));
      assertThat(Await.result(ragbus.function("longest")).description())
          .isEqualTo("Return the longest texts, longest first.");
      assertThat(Await.ragbusFailure(ragbus.call("longest", List.of(1))).kind())
          .isEqualTo(Kind.INVALID);
      assertThat(
              Await.result(
                      vertx
                          .eventBus()
                          .<JsonObject>request(
                              "rag.functions.call",
                              new JsonObject(
                                  """
                                  {"name": "longest", "args": [["a", "bcd"]], "kwargs": {"count": 1}}
                                  """)))
                  .body())
          .isEqualTo(new JsonObject("{\"result\": [\"bcd\"]}"));
    }
  }

  @Test
  void theConfigurationRegistersAndItsTimeoutsGoFirst() {
    JsonObject config = config(preload("root", "math:sqrt"));
    config.put(
        "python",
        new JsonObject()
            .put("module_path", new JsonArray())
            .put(
                "functions",
                new JsonObject().put("root", new JsonObject().put("timeout", "1500ms"))));
    try (TestService service = TestService.start(vertx, config)) {
      FunctionInfo root = Await.result(service.ragbus().function("root"));
      assertThat(root.timeout()).isEqualTo(Duration.ofMillis(1_500));
      assertThat(root.module()).startsWith("math");
      assertThat(Await.result(service.ragbus().call("root", 9)).result()).isEqualTo(3.0);
    }
  }

  @Test
  void aConfiguredFunctionThatCannotBeHadStopsTheStart() {
    JsonObject config =
        TestService.offline().mergeIn(config(preload("root", "no_such_module:sqrt")), true);

    assertThat(
            Await.failure(
                vertx.deployVerticle(
                    new RagbusVerticle(), new DeploymentOptions().setConfig(config))))
        .hasMessageContaining("MODULE_NOT_FOUND")
        .hasMessageContaining("no_such_module");
  }
}
