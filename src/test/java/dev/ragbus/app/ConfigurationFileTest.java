// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.app;

import static org.assertj.core.api.Assertions.assertThat;

import dev.ragbus.FunctionSpec;
import dev.ragbus.ModelSpec;
import dev.ragbus.ModelType;
import dev.ragbus.OptionsReader;
import dev.ragbus.RagbusOptions;
import io.vertx.core.Vertx;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.json.JsonObject;
import io.vertx.junit5.VertxExtension;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** {@code conf/ragbus.toml} is the reference of the options: it has each, at its default. */
@ExtendWith(VertxExtension.class)
class ConfigurationFileTest {
  private static final Path FILE = Path.of("conf/ragbus.toml");

  /** Keys whose default is "none", or depends on the machine: in the file as a comment. */
  private static final Set<String> WITHOUT_DEFAULT =
      Set.of(
          "python.environment",
          "python.module_path",
          "lanes.inference",
          "models.dir",
          "http.tls_certificate",
          "http.tls_key",
          "security.keys_file",
          "security.jwt_algorithm",
          "security.jwt_key_file",
          "security.jwt_issuer",
          "cluster.members");

  private static JsonObject parse(Vertx vertx, String toml) {
    return new TomlProcessor().process(vertx, new JsonObject(), Buffer.buffer(toml)).result();
  }

  @Test
  void has_every_key_at_its_default(Vertx vertx) throws IOException {
    JsonObject file = parse(vertx, Files.readString(FILE));
    RagbusOptions read = OptionsReader.read(file, Map.of(), Map.of());
    assertThat(read).isEqualTo(RagbusOptions.defaults());

    JsonObject defaults = RagbusOptions.defaults().toJson();
    defaults.getJsonObject("models").remove("preload");
    defaults.getJsonObject("functions").remove("preload");
    Set<String> expected = new TreeSet<>(leaves("", defaults));
    expected.removeAll(WITHOUT_DEFAULT);
    assertThat(leaves("", file)).containsExactlyInAnyOrderElementsOf(expected);
  }

  @Test
  void lists_the_keys_without_a_default_as_comments(Vertx vertx) throws IOException {
    String uncommented =
        Files.readAllLines(FILE).stream()
            .map(line -> line.matches("# (\\[\\[.*]]|[a-z_]+ = .*)") ? line.substring(2) : line)
            .collect(Collectors.joining("\n"));
    JsonObject file = parse(vertx, uncommented);
    RagbusOptions read = OptionsReader.read(file, Map.of(), Map.of());

    JsonObject preload = file.getJsonObject("models").getJsonArray("preload").getJsonObject(0);
    ModelSpec spec = ModelSpec.of("all-MiniLM-L6-v2", ModelType.EMBEDDING);
    RagbusOptions withPreload =
        OptionsReader.read(
            new JsonObject("{\"models\": {\"preload\": [{\"model_name\": \"x\"}]}}"),
            Map.of(),
            Map.of());
    assertThat(preload.fieldNames())
        .containsExactlyInAnyOrderElementsOf(
            withPreload
                .toJson()
                .getJsonObject("models")
                .getJsonArray("preload")
                .getJsonObject(0)
                .fieldNames());
    ModelSpec listed = read.models().preload().get(0);
    assertThat(listed.source()).isEqualTo(spec.source());
    assertThat(listed.engine()).isEqualTo(spec.engine());
    assertThat(listed.precision()).isEqualTo(spec.precision());
    assertThat(listed.device()).isEqualTo(spec.device());
    assertThat(listed.pinned()).isEqualTo(spec.pinned());

    FunctionSpec function =
        new FunctionSpec(
            "square_root",
            "math:sqrt",
            null,
            new JsonObject(),
            new JsonObject(),
            Duration.ofSeconds(1),
            null,
            null);
    assertThat(read.functions().preload()).containsExactly(function);

    file.getJsonObject("models").remove("preload");
    file.getJsonObject("functions").remove("preload");
    assertThat(leaves("", file)).containsAll(WITHOUT_DEFAULT);
  }

  /** The dotted names of all values that are no tables and not null. */
  private static List<String> leaves(String prefix, JsonObject table) {
    List<String> leaves = new ArrayList<>();
    for (String name : table.fieldNames()) {
      Object value = table.getValue(name);
      if (value instanceof JsonObject inner) {
        leaves.addAll(leaves(prefix + name + ".", inner));
      } else if (value != null) {
        leaves.add(prefix + name);
      }
    }
    return leaves;
  }
}
