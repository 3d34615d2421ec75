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
import java.util.function.Supplier;

/** How fast replies are written and requests read, beside Vert.x's own JSON. Takes no arguments. */
public final class JsonBenchmark {
  private static final int ROWS = 256;
  private static final int WIDTH = 384;
  private static final long SECONDS = 3;

  private JsonBenchmark() {}

  public static void main(String[] args) {
    float[] values = new float[ROWS * WIDTH];
    Random random = new Random(1);
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) random.nextGaussian() / 20;
    }
    Embeddings vectors =
        new Embeddings(values, "m", WIDTH, ROWS, EmbeddingType.FLOAT, new Usage(1, List.of()));
    JsonObject request =
        new JsonObject()
            .put("texts", new JsonArray(Collections.nCopies(ROWS, "How tall is it? ".repeat(20))));
    byte[] body = request.toBuffer().getBytes();

    double ours = print("write, straight from the array", () -> write(vectors, OutputType.FLOAT));
    double theirs = print("write, JsonArray", () -> vectors.toJson().toBuffer());
    print("write, base64 from the array", () -> write(vectors, OutputType.BASE64));
    System.out.printf("written %.1f times as fast%n", ours / theirs);
    double read =
        print(
            "read, into the record",
            () -> {
              JsonBodies.parse(body, EmbedRequest.class);
              return Buffer.buffer(body);
            });
    double tree =
        print(
            "read, JsonObject then record",
            () -> {
              JsonBodies.parse(new JsonObject(Buffer.buffer(body)), EmbedRequest.class);
              return Buffer.buffer(body);
            });
    System.out.printf("read %.1f times as fast%n", read / tree);
  }

  private static Buffer write(Embeddings vectors, OutputType type) {
    return Reply.bytes(
        json -> {
          json.writeStartArray();
          for (int row = 0; row < vectors.count(); row++) {
            type.write(json, vectors, row);
          }
          json.writeEndArray();
        });
  }

  /** The better of two runs, in megabytes of JSON a second; the first one warms up. */
  private static double print(String what, Supplier<Buffer> work) {
    double best = 0;
    for (int run = 0; run < 3; run++) {
      long bytes = 0;
      long start = System.nanoTime();
      while (System.nanoTime() - start < SECONDS * 1_000_000_000 / 3) {
        bytes += work.get().length();
      }
      best = Math.max(best, bytes * 1e3 / (System.nanoTime() - start));
    }
    System.out.printf("%-32s %6.0f MB/s%n", what, best);
    return best;
  }
}
