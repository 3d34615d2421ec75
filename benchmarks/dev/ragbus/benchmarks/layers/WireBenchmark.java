// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.benchmarks.layers;

import dev.ragbus.EmbedRequest;
import dev.ragbus.EmbeddingType;
import dev.ragbus.Embeddings;
import dev.ragbus.JsonBodies;
import dev.ragbus.MessageCodecs;
import dev.ragbus.Ranking;
import dev.ragbus.RerankRequest;
import dev.ragbus.Tokens;
import dev.ragbus.Usage;
import io.vertx.core.Vertx;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.eventbus.EventBus;
import io.vertx.core.eventbus.MessageCodec;
import io.vertx.core.json.JsonObject;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;

/**
 * Messages as they go between nodes, beside JSON: microseconds to write a message and read it
 * again. Prints the bytes of each.
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
public class WireBenchmark {
  private static final int WIDTH = 384;
  private static final String WORDS =
      "the height of a mountain is told from the sea and the sea is what moves so every hundred"
          + " years there is another height for the same mountain and nobody has climbed it twice";

  /** What is sent: a record, and how many texts, vectors or results it has. */
  @Param({
    "EmbedRequest 1",
    "EmbedRequest 32",
    "Embeddings 32",
    "RerankRequest 100",
    "Ranking 100",
    "Tokens 32"
  })
  public String message;

  private final Random random = new Random(1);
  private Record record;
  private MessageCodec<Record, Record> codec;

  /** Makes the message, and prints how long it is. */
  @Setup
  public void make() {
    String[] parts = message.split(" ");
    record = record(parts[0], Integer.parseInt(parts[1]));
    codec = codec(record.getClass());
    Buffer written = Buffer.buffer();
    codec.encodeToWire(written, record);
    System.out.printf(
        "%n%s: %,d bytes, %,d in JSON%n",
        message, written.length(), JsonBodies.bytes(record).length);
  }

  /** With the codec of the event bus. */
  @Benchmark
  public Object wire() {
    Buffer written = Buffer.buffer(1024);
    codec.encodeToWire(written, record);
    return codec.decodeFromWire(0, written);
  }

  /** As JSON, straight from the record to bytes and back. */
  @Benchmark
  public Object json() {
    return JsonBodies.parse(JsonBodies.bytes(record), record.getClass());
  }

  /** As JSON, through a {@code JsonObject} each way. */
  @Benchmark
  public Object jsonObject() {
    Buffer written = JsonBodies.format(record).toBuffer();
    return JsonBodies.parse(new JsonObject(written), record.getClass());
  }

  private Record record(String type, int count) {
    List<String> texts = IntStream.range(0, count).mapToObj(i -> text()).toList();
    Usage usage = new Usage(40 * count, List.of());
    return switch (type) {
      case "EmbedRequest" -> EmbedRequest.of(texts).withModel("all-MiniLM-L6-v2");
      case "Embeddings" -> {
        float[] values = new float[count * WIDTH];
        for (int i = 0; i < values.length; i++) {
          values[i] = (float) random.nextGaussian() / 20;
        }
        yield new Embeddings(values, "all-MiniLM-L6-v2", WIDTH, count, EmbeddingType.FLOAT, usage);
      }
      case "RerankRequest" -> RerankRequest.of("how tall is the mountain?", texts);
      case "Ranking" -> {
        List<Ranking.Result> results = new ArrayList<>();
        for (int i = 0; i < count; i++) {
          results.add(new Ranking.Result(i, texts.get(i), random.nextFloat()));
        }
        Ranking.Method method = Ranking.Method.CROSS_ENCODER;
        yield new Ranking(results, "ms-marco-MiniLM-L6-v2", method, "how tall is it?", usage);
      }
      case "Tokens" ->
          new Tokens(texts.stream().map(WireBenchmark::tokens).toList(), "all-MiniLM-L6-v2");
      default -> throw new IllegalArgumentException(type);
    };
  }

  /** A paragraph of 37 words. */
  private String text() {
    String[] words = WORDS.split(" ");
    return String.join(
        " ", IntStream.range(0, 37).mapToObj(i -> words[random.nextInt(words.length)]).toList());
  }

  private static List<Tokens.Token> tokens(String text) {
    List<Tokens.Token> tokens = new ArrayList<>();
    tokens.add(new Tokens.Token(101, "[CLS]", true, null, null));
    int start = 0;
    for (String word : text.split(" ")) {
      int id = 1_000 + Math.floorMod(word.hashCode(), 29_000);
      tokens.add(new Tokens.Token(id, word, false, start, start + word.length()));
      start += word.length() + 1;
    }
    tokens.add(new Tokens.Token(102, "[SEP]", true, null, null));
    return tokens;
  }

  /** The codec that is registered for a type, taken from a bus that only listens. */
  @SuppressWarnings("unchecked")
  private static MessageCodec<Record, Record> codec(Class<?> type) {
    Map<Object, Object> codecs = new HashMap<>();
    EventBus bus =
        listening(
            EventBus.class,
            args -> {
              codecs.put(args[0], args[1]);
              return null;
            });
    MessageCodecs.register(listening(Vertx.class, args -> bus));
    return (MessageCodec<Record, Record>) codecs.get(type);
  }

  private interface Called {
    Object with(Object[] args);
  }

  private static <T> T listening(Class<T> type, Called called) {
    return type.cast(
        Proxy.newProxyInstance(
            type.getClassLoader(),
            new Class<?>[] {type},
            (proxy, method, args) -> called.with(args)));
  }
}
