// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.benchmarks.beside;

import dev.langchain4j.data.segment.TextSegment;
import dev.langchain4j.model.embedding.EmbeddingModel;
import dev.langchain4j.model.embedding.onnx.allminilml6v2.AllMiniLmL6V2EmbeddingModel;
import dev.langchain4j.model.embedding.onnx.allminilml6v2q.AllMiniLmL6V2QuantizedEmbeddingModel;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/**
 * langchain4j's in-process model as its documentation has it, and its quantised twin.
 *
 * <p>Arguments: the file of texts, {@code float} or {@code quantised}. Reads commands from standard
 * input, one a line, and answers each with a line of JSON:
 *
 * <ul>
 *   <li>{@code texts SIZE CALLERS}: all texts once, in requests of so many, so many of them under
 *       way at once; the model runs a request's texts side by side on as many threads as there are
 *       cores, and reads them whole
 *   <li>{@code query CALLS}: so many single queries, one after another
 * </ul>
 */
final class LangChain4j {
  private static final String QUERY = "How tall is Mont Blanc?";

  private LangChain4j() {}

  public static void main(String[] arguments) throws Exception {
    List<TextSegment> texts =
        Files.readAllLines(Path.of(arguments[0])).stream().map(TextSegment::from).toList();
    EmbeddingModel model =
        arguments[1].equals("quantised")
            ? new AllMiniLmL6V2QuantizedEmbeddingModel()
            : new AllMiniLmL6V2EmbeddingModel();
    try (BufferedReader commands =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8))) {
      for (String line = commands.readLine(); line != null; line = commands.readLine()) {
        String[] command = line.split(" ");
        int number = Integer.parseInt(command[1]);
        System.out.println(
            command[0].equals("texts")
                ? texts(model, texts, number, Integer.parseInt(command[2]))
                : query(model, number));
        System.out.flush();
      }
    }
    Runtime.getRuntime().halt(0);
  }

  private static String texts(EmbeddingModel model, List<TextSegment> texts, int size, int callers)
      throws Exception {
    List<Callable<Integer>> requests = new ArrayList<>();
    for (int first = 0; first < texts.size(); first += size) {
      List<TextSegment> some = texts.subList(first, Math.min(first + size, texts.size()));
      requests.add(() -> model.embedAll(some).content().size());
    }
    ExecutorService threads = Executors.newFixedThreadPool(callers);
    long started = System.nanoTime();
    int vectors = 0;
    for (Future<Integer> answered : threads.invokeAll(requests)) {
      vectors += answered.get();
    }
    double seconds = (System.nanoTime() - started) / 1e9;
    threads.shutdown();
    return String.format(
        Locale.ROOT, "{\"texts_s\": %.2f, \"seconds\": %.3f}", vectors / seconds, seconds);
  }

  private static String query(EmbeddingModel model, int calls) {
    long[] nanos = new long[calls];
    for (int call = 0; call < calls; call++) {
      long started = System.nanoTime();
      model.embed(QUERY);
      nanos[call] = System.nanoTime() - started;
    }
    Arrays.sort(nanos);
    return String.format(
        Locale.ROOT,
        "{\"p50_ms\": %.4f, \"p99_ms\": %.4f}",
        nanos[calls / 2] / 1e6,
        nanos[(int) (calls * 0.99)] / 1e6);
  }
}
