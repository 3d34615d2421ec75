package dev.ragbus.examples.search;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/** Documents to index, the same on every machine. */
final class Corpus {
  private static final String[] WORDS =
      ("river mountain engine library harbour forest valley season garden teacher museum railway"
              + " station island summer winter weather machine orchestra market bridge village"
              + " opened closed followed reached crossed supported described measured carried")
          .split(" ");

  private Corpus() {}

  /** Writes documents 0 to {@code count}, of some eight chunks each. */
  static void write(Path folder, int count) throws IOException {
    Files.createDirectories(folder);
    for (int at = 0; at < count; at++) {
      write(folder, at, at);
    }
  }

  /** Writes one document; another seed gives it other text. */
  static void write(Path folder, int at, int seed) throws IOException {
    Random random = new Random(seed);
    String text =
        IntStream.range(0, 8)
            .mapToObj(part -> "## Part " + part + "\n\n" + paragraph(random))
            .collect(Collectors.joining("\n\n", "# Document " + at + "\n\n", "\n"));
    Files.writeString(folder.resolve(String.format("%04d.md", at)), text);
  }

  private static String paragraph(Random random) {
    return IntStream.range(0, 6)
        .mapToObj(
            sentence ->
                "The "
                    + IntStream.range(0, 9)
                        .mapToObj(word -> WORDS[random.nextInt(WORDS.length)])
                        .collect(Collectors.joining(" "))
                    + ".")
        .collect(Collectors.joining(" "));
  }
}
