// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.python.environment;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.jar.JarEntry;
import java.util.jar.JarOutputStream;
import java.util.logging.Handler;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import java.util.logging.SimpleFormatter;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class PackagedModelsTest {
  static final String TINY =
      """
      [{"name": "tiny", "aliases": ["org/tiny"], "files": {"onnx/model.onnx": "tiny.onnx", "config.json": "tiny.json"}}]
      """;

  @TempDir Path folder;

  URLClassLoader loader(String... jars) throws IOException {
    URL[] urls = new URL[jars.length];
    for (int i = 0; i < jars.length; i++) {
      urls[i] = folder.resolve(jars[i]).toUri().toURL();
    }
    return new URLClassLoader(urls, ClassLoader.getPlatformClassLoader());
  }

  void jar(String name, Map<String, String> files) throws IOException {
    try (var out = new JarOutputStream(Files.newOutputStream(folder.resolve(name)))) {
      for (Map.Entry<String, String> file : files.entrySet()) {
        out.putNextEntry(new JarEntry(file.getKey()));
        out.write(file.getValue().getBytes(StandardCharsets.UTF_8));
      }
    }
  }

  void tinyJar(String name, String weights) throws IOException {
    jar(name, Map.of("META-INF/ragbus/models.json", TINY, "tiny.onnx", weights, "tiny.json", "{}"));
  }

  @Test
  void theDefaultModelIsThereWithItsConfiguration() throws IOException {
    var models = PackagedModels.of(folder, getClass().getClassLoader());
    assertThat(models.names())
        .containsEntry("all-MiniLM-L6-v2", List.of("sentence-transformers/all-MiniLM-L6-v2"));
    Path model = models.folder("sentence-transformers/all-MiniLM-L6-v2").orElseThrow();
    assertThat(models.folder("all-MiniLM-L6-v2")).contains(model);
    assertThat(model.resolve("onnx/model.onnx")).hasSize(90_387_606);
    assertThat(json(model, "tokenizer.json").at("/model/type").asText()).isEqualTo("WordPiece");
    assertThat(json(model, "sentence_bert_config.json").get("max_seq_length").asInt())
        .isEqualTo(256);
    assertThat(json(model, "config.json").get("hidden_size").asInt()).isEqualTo(384);
    assertThat(json(model, "1_Pooling/config.json").get("pooling_mode_mean_tokens").asBoolean())
        .isTrue();
    assertThat(json(model, "modules.json").findValuesAsText("type"))
        .extracting(type -> type.substring(type.lastIndexOf('.') + 1))
        .containsExactly("Transformer", "Pooling", "Normalize");
  }

  private static JsonNode json(Path model, String file) throws IOException {
    return new ObjectMapper().readTree(Files.readAllBytes(model.resolve(file)));
  }

  @Test
  void aModelWhoseArtifactIsExcludedIsAbsent() throws IOException {
    URL ours = PackagedModels.class.getProtectionDomain().getCodeSource().getLocation();
    try (var loader = new URLClassLoader(new URL[] {ours}, ClassLoader.getPlatformClassLoader())) {
      var models = PackagedModels.of(folder, loader);
      assertThat(models.names()).isEmpty();
      assertThat(models.folder("all-MiniLM-L6-v2")).isEmpty();
    }
  }

  @Test
  void anyJarMayAddModelsAndTheFirstOfANameCounts() throws IOException {
    tinyJar("a jar.jar", "first");
    tinyJar("b.jar", "second");
    try (var loader = loader("a jar.jar", "b.jar")) {
      var models = PackagedModels.of(folder, loader);
      assertThat(models.names()).containsExactly(Map.entry("tiny", List.of("org/tiny")));
      Path model = models.folder("org/tiny").orElseThrow();
      assertThat(model.resolve("onnx/model.onnx")).hasContent("first");
    }
  }

  @Test
  void severalJarsEachKeepTheirOwnFilesOfTheSameName() throws IOException {
    String other = TINY.replace("\"tiny\"", "\"other\"").replace("org/tiny", "org/other");
    tinyJar("a.jar", "of tiny");
    jar(
        "b.jar",
        Map.of("META-INF/ragbus/models.json", other, "tiny.onnx", "of other", "tiny.json", "{}"));
    try (var loader = loader("a.jar", "b.jar")) {
      var models = PackagedModels.of(folder, loader);
      assertThat(models.names()).containsOnlyKeys("tiny", "other");
      assertThat(models.folder("tiny").orElseThrow().resolve("onnx/model.onnx"))
          .hasContent("of tiny");
      assertThat(models.folder("org/other").orElseThrow().resolve("onnx/model.onnx"))
          .hasContent("of other");
    }
  }

  @Test
  void aNameThatIsTakenIsIgnoredWithAWarningAndLeadsNowhereElse() throws IOException {
    String other = TINY.replace("\"tiny\"", "\"other\"");
    tinyJar("a.jar", "of tiny");
    jar(
        "b.jar",
        Map.of("META-INF/ragbus/models.json", other, "tiny.onnx", "of other", "tiny.json", "{}"));
    List<String> warnings = new CopyOnWriteArrayList<>();
    Logger logger = Logger.getLogger(PackagedModels.class.getName());
    Handler handler = warningsTo(warnings);
    logger.addHandler(handler);
    try (var loader = loader("a.jar", "b.jar")) {
      var models = PackagedModels.of(folder, loader);
      assertThat(models.names())
          .containsExactly(Map.entry("tiny", List.of("org/tiny")), Map.entry("other", List.of()));
      assertThat(models.folder("org/tiny").orElseThrow().resolve("onnx/model.onnx"))
          .hasContent("of tiny");
    } finally {
      logger.removeHandler(handler);
    }
    assertThat(warnings)
        .singleElement()
        .asString()
        .contains("'org/tiny' of jar:", "b.jar!", "is ignored", "a.jar!");
  }

  private static Handler warningsTo(List<String> lines) {
    return new Handler() {
      @Override
      public void publish(LogRecord line) {
        lines.add(new SimpleFormatter().formatMessage(line));
      }

      @Override
      public void flush() {}

      @Override
      public void close() {}
    };
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"../x", "/x", "a/../../x", "a//x", ".", "a/.hidden", "a\\\\x", "C:/x", "%2e%2e/x"})
  void aFileThatWouldLieOutsideTheModelsFolderIsRefused(String path) throws IOException {
    jar(
        "bad.jar",
        Map.of(
            "META-INF/ragbus/models.json",
            TINY.replace("onnx/model.onnx", path),
            "tiny.onnx",
            "x",
            "tiny.json",
            "{}"));
    try (var loader = loader("bad.jar")) {
      assertThatThrownBy(() -> PackagedModels.of(folder, loader))
          .hasMessageContaining("bad.jar!/META-INF/ragbus/models.json")
          .hasMessageEndingWith("is no path in a model's folder");
    }
    assertThat(folder.resolve("x")).doesNotExist();
  }

  @Test
  void anotherContentHasAnotherFolderAndTheSameIsNotCopiedAgain() throws IOException {
    tinyJar("a.jar", "w".repeat(300_000));
    tinyJar("b.jar", "v".repeat(300_000));
    Path first = unpack("a.jar");
    Object key = Files.readAttributes(first, BasicFileAttributes.class).fileKey();
    assertThat(unpack("a.jar")).isEqualTo(first);
    assertThat(Files.readAttributes(first, BasicFileAttributes.class).fileKey()).isEqualTo(key);
    assertThat(unpack("b.jar")).isNotEqualTo(first);
  }

  private Path unpack(String jar) throws IOException {
    try (var loader = loader(jar)) {
      return PackagedModels.of(folder, loader).folder("tiny").orElseThrow();
    }
  }

  @Test
  void halfWrittenOnesAreNeverUsed() throws IOException {
    tinyJar("a.jar", "weights");
    Path model = unpack("a.jar");
    Files.writeString(model.resolve("onnx/model.onnx"), "wei");
    Path interrupted =
        Files.createDirectories(model.resolveSibling(model.getFileName() + ".tmp/onnx"));
    Files.writeString(interrupted.resolve("model.onnx"), "we");
    assertThat(unpack("a.jar").resolve("onnx/model.onnx")).hasContent("weights");
    assertThat(interrupted).doesNotExist();
  }

  @Test
  void severalAtOnceUnpackItOnce() throws IOException {
    tinyJar("a.jar", "w".repeat(3_000_000));
    try (var loader = loader("a.jar")) {
      List<CompletableFuture<Path>> all =
          IntStream.range(0, 8)
              .mapToObj(
                  i ->
                      CompletableFuture.supplyAsync(
                          () -> PackagedModels.of(folder, loader).folder("tiny").orElseThrow()))
              .toList();
      assertThat(all.stream().map(CompletableFuture::join).distinct())
          .singleElement()
          .satisfies(model -> assertThat(model.resolve("onnx/model.onnx")).hasSize(3_000_000));
    }
  }

  @Test
  void aFolderOnTheClassPathDoesAsWell() throws IOException {
    Path classes = Files.createDirectories(folder.resolve("classes/META-INF/ragbus"));
    Files.writeString(classes.resolve("models.json"), TINY);
    Files.writeString(folder.resolve("classes/tiny.onnx"), "w".repeat(300_000));
    Files.writeString(folder.resolve("classes/tiny.json"), "{}");
    assertThat(unpack("classes").resolve("onnx/model.onnx")).hasSize(300_000);
  }

  @Test
  void aDeclarationThatCannotBeReadIsNamed() throws IOException {
    jar("bad.jar", Map.of("META-INF/ragbus/models.json", "[{\"name\": \"x\"}]"));
    try (var loader = loader("bad.jar")) {
      assertThatThrownBy(() -> PackagedModels.of(folder, loader))
          .hasMessageContaining("bad.jar!/META-INF/ragbus/models.json")
          .hasMessageEndingWith("a model needs a name and files");
    }
  }

  @Test
  void aJarAndAFolderWithTheSameFilesHaveTheSameFingerprint() throws IOException {
    Map<String, String> files =
        Map.of("a b/p/__init__.py", "1", "a b/p/deep/x.py", "2", "a b/p/skip.txt", "3");
    jar("p.jar", files);
    for (Map.Entry<String, String> file : files.entrySet()) {
      Path path = folder.resolve("tree").resolve(file.getKey());
      Files.createDirectories(path.getParent());
      Files.writeString(path, file.getValue());
    }
    try (var jar = loader("p.jar");
        var tree = loader("tree")) {
      var fromJar =
          ResourceTree.around(jar.getResource("a b/p/__init__.py"), name -> name.endsWith(".py"));
      var fromTree =
          ResourceTree.around(tree.getResource("a b/p/__init__.py"), name -> name.endsWith(".py"));
      assertThat(fromJar.files()).containsOnlyKeys("__init__.py", "deep/x.py");
      assertThat(fromJar.fingerprint()).isEqualTo(fromTree.fingerprint());
    }
  }
}
