// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

import dev.ragbus.EmbedRequest;
import dev.ragbus.EmbeddingType;
import dev.ragbus.Embeddings;
import dev.ragbus.JsonBodies;
import dev.ragbus.Usage;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;

/** Writing replies and reading requests, beside Vert.x's own JSON: microseconds a message. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
public class JsonBenchmark {
  private static final int WIDTH = 384;

  /** Texts a message. */
  @Param({"1", "32"})
  public int texts;

  private Embeddings vectors;
  private byte[] request;

  /** Makes a message's vectors and texts. */
  @Setup
  public void make() {
    float[] values = new float[texts * WIDTH];
    Random random = new Random(1);
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) random.nextGaussian() / 20;
    }
    vectors =
        new Embeddings(values, "m", WIDTH, texts, EmbeddingType.FLOAT, new Usage(1, List.of()));
    JsonArray paragraphs = new JsonArray(Collections.nCopies(texts, "How tall is it? ".repeat(12)));
    request = new JsonObject().put("texts", paragraphs).toBuffer().getBytes();
  }

  /** Vectors, straight from the array, as HTTP writes them. */
  @Benchmark
  public Buffer write() {
    return write(OutputType.FLOAT);
  }

  /** The same as base64. */
  @Benchmark
  public Buffer writeBase64() {
    return write(OutputType.BASE64);
  }

  /** The same through a {@code JsonArray}. */
  @Benchmark
  public Buffer writeTree() {
    return vectors.toJson().toBuffer();
  }

  /** A request, into its record, as HTTP reads it. */
  @Benchmark
  public EmbedRequest read() {
    return JsonBodies.parse(request, EmbedRequest.class);
  }

  /** The same through a {@code JsonObject}. */
  @Benchmark
  public EmbedRequest readTree() {
    return JsonBodies.parse(new JsonObject(Buffer.buffer(request)), EmbedRequest.class);
  }

  private Buffer write(OutputType type) {
    return Reply.bytes(
        json -> {
          json.writeStartArray();
          for (int row = 0; row < vectors.count(); row++) {
            type.write(json, vectors, row);
          }
          json.writeEndArray();
        });
  }
}
