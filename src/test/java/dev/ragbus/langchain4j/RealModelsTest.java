// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.langchain4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.langchain4j.data.embedding.Embedding;
import dev.langchain4j.data.segment.TextSegment;
import dev.langchain4j.model.embedding.request.EmbeddingRequest;
import dev.langchain4j.model.embedding.response.EmbeddingResponse;
import dev.langchain4j.model.output.Response;
import dev.langchain4j.store.embedding.CosineSimilarity;
import dev.ragbus.Await;
import dev.ragbus.service.TestService;
import examples.DocumentSearch;
import io.vertx.core.DeploymentOptions;
import io.vertx.core.Future;
import io.vertx.core.ThreadingModel;
import io.vertx.core.VerticleBase;
import io.vertx.core.Vertx;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** The adapters with real Python, against the values of sentence-transformers. */
class RealModelsTest {
  private static final Path GOLDEN = Path.of("python/tests/golden");

  private static Vertx vertx;
  private static TestService service;
  private static RagbusEmbeddingModel embedding;

  @BeforeAll
  static void start() {
    vertx = Vertx.vertx();
    JsonObject models =
        new JsonObject()
            .put("dir", GOLDEN.toAbsolutePath().toString())
            .put(
                "preload",
                new JsonArray()
                    .add(model("all-MiniLM-L6-v2", "embedding"))
                    .add(model("cross-encoder", "cross-encoder")));
    service = TestService.start(vertx, new JsonObject().put("models", models));
    embedding = RagbusEmbeddingModel.create(service.ragbus());
  }

  private static JsonObject model(String name, String type) {
    return new JsonObject().put("model_name", name).put("model_type", type).put("precision", "f32");
  }

  @AfterAll
  static void stop() {
    service.close();
    Await.result(vertx.close());
  }

  private static JsonObject read(String file) throws IOException {
    return new JsonObject(Files.readString(GOLDEN.resolve(file)));
  }

  private static List<TextSegment> segments(int count) {
    return IntStream.range(0, count)
        .mapToObj(i -> TextSegment.from("Number " + i + " of many " + "words ".repeat(i % 40)))
        .toList();
  }

  @Test
  void vectorsEqualSentenceTransformers() throws IOException {
    List<JsonObject> items =
        read("all-minilm-l6-v2.json").getJsonArray("items").stream()
            .map(JsonObject.class::cast)
            .toList();
    EmbeddingRequest.Builder request = EmbeddingRequest.builder();
    items.forEach(item -> request.input(item.getString("text")));

    EmbeddingResponse response = embedding.embed(request.build());

    assertThat(response.embeddings()).hasSameSizeAs(items);
    for (int i = 0; i < items.size(); i++) {
      assertThat(cosine(response.embeddings().get(i), items.get(i)))
          .as("text %d", i)
          .isGreaterThanOrEqualTo(0.99999);
    }
    int tokens = items.stream().mapToInt(item -> Math.min(item.getInteger("tokens"), 256)).sum();
    assertThat(response.metadata().modelName()).isEqualTo("all-MiniLM-L6-v2");
    assertThat(response.metadata().tokenUsage().inputTokenCount()).isEqualTo(tokens);
    assertThat(((RagbusEmbeddingMetadata) response.metadata()).truncated())
        .isNotEmpty()
        .allMatch(index -> items.get(index).getInteger("tokens") > 256);
    assertThat(embedding.modelName()).isEqualTo("all-MiniLM-L6-v2");
    assertThat(embedding.dimension()).isEqualTo(384);
  }

  private static double cosine(Embedding embedding, JsonObject item) {
    byte[] bytes = Base64.getDecoder().decode(item.getString("vector"));
    float[] vector = new float[bytes.length / Float.BYTES];
    ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer().get(vector);
    return CosineSimilarity.between(embedding, Embedding.from(vector));
  }

  @Test
  void scoresEqualCrossEncoderPredict() throws IOException {
    JsonObject golden = read("cross-encoder.json");
    List<TextSegment> documents =
        golden.getJsonArray("documents").stream()
            .map(String.class::cast)
            .filter(text -> !text.isBlank())
            .map(TextSegment::from)
            .toList();
    List<?> all = golden.getJsonArray("documents").getList();
    RagbusScoringModel.Builder scoring =
        RagbusScoringModel.builder(service.ragbus())
            .modelName("cross-encoder")
            .limits(new RequestLimits(4, 1_000_000, 3, 0));
    for (int i = 0; i < 2; i++) {
      JsonObject query = golden.getJsonArray("queries").getJsonObject(i);
      for (boolean raw : List.of(false, true)) {
        JsonArray expected = query.getJsonArray(raw ? "raw" : "sigmoid");

        Response<List<Double>> scores =
            scoring.rawScores(raw).build().scoreAll(documents, query.getString("query"));

        assertThat(scores.content()).hasSameSizeAs(documents);
        for (int j = 0; j < documents.size(); j++) {
          assertThat(scores.content().get(j))
              .isCloseTo(expected.getDouble(all.indexOf(documents.get(j).text())), within(1e-4));
        }
        assertThat(scores.tokenUsage().inputTokenCount()).isPositive();
      }
    }
  }

  @Test
  void theDefaultRerankerRanks() {
    RagbusScoringModel scoring = RagbusScoringModel.create(service.ragbus());

    double cats = scoring.score("Cats purr.", "cat sounds").content();
    double stocks = scoring.score("Stocks fell.", "cat sounds").content();

    assertThat(cats).isGreaterThan(stocks);
  }

  @Test
  void theDocumentedExampleFinds() {
    DocumentSearch search = new DocumentSearch(service.ragbus());
    List<TextSegment> segments =
        Stream.of("Stocks fell.", "Cats purr.", "Bread rises.").map(TextSegment::from).toList();

    assertThat(search.nearest(segments, "cat sounds").text()).isEqualTo("Cats purr.");
    assertThat(search.bestAnswer(segments, "cat sounds").text()).isEqualTo("Cats purr.");
  }

  @Test
  void manyRequestsGiveWhatOneGives() {
    List<TextSegment> segments = segments(150);
    RagbusEmbeddingModel small =
        RagbusEmbeddingModel.builder(service.ragbus())
            .limits(new RequestLimits(16, 2_000, 4, 0))
            .build();

    List<Embedding> one = embedding.embedAll(segments).content();
    List<Embedding> many = small.embedAll(segments).content();

    assertThat(many).hasSameSizeAs(segments);
    for (int i = 0; i < one.size(); i++) {
      assertThat(CosineSimilarity.between(one.get(i), many.get(i))).isGreaterThan(0.99999);
    }
  }

  @Test
  void manyThreadsGetTheirOwn() throws Exception {
    List<TextSegment> segments = segments(32);
    List<Embedding> expected = embedding.embedAll(segments).content();
    List<String> wrong = Collections.synchronizedList(new ArrayList<>());
    ExecutorService threads = Executors.newFixedThreadPool(16);
    for (int i = 0; i < 64; i++) {
      int first = i % 32;
      threads.execute(
          () -> {
            try {
              List<Embedding> got = embedding.embedAll(segments.subList(first, 32)).content();
              for (int j = 0; j < got.size(); j++) {
                if (CosineSimilarity.between(got.get(j), expected.get(first + j)) < 0.9999) {
                  wrong.add(first + " + " + j);
                }
              }
            } catch (RuntimeException e) {
              wrong.add(e.toString());
            }
          });
    }
    threads.shutdown();

    assertThat(threads.awaitTermination(120, TimeUnit.SECONDS)).isTrue();
    assertThat(wrong).isEmpty();
  }

  @Test
  void aWorkerVerticleMayWait() {
    List<Integer> dimensions = Collections.synchronizedList(new ArrayList<>());
    VerticleBase worker =
        new VerticleBase() {
          @Override
          public Future<?> start() {
            dimensions.add(embedding.embed("on a worker").content().dimension());
            return Future.succeededFuture();
          }
        };

    Await.result(
        vertx.deployVerticle(
            worker, new DeploymentOptions().setThreadingModel(ThreadingModel.WORKER)));

    assertThat(dimensions).containsExactly(384);
  }
}
