// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.dataformat.smile.databind.SmileMapper;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.eventbus.MessageCodec;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * What nodes write, kept as bytes: one folder a wire version, one file a type, one line a body (the
 * number of the sample among those of its type in {@link MessageCodecsTest}, and base64). A line
 * that was once released is never changed: other bytes for the same sample are another line, and a
 * further sample comes behind those of its type. With {@code -Dwire.write=true} lines that are not
 * there are added.
 */
class WireCompatibilityTest {
  private static final Path FOLDER = Path.of("src/test/resources/dev/ragbus/wire");
  private static final int TEXT = 1 + Integer.BYTES;
  private static final String ODD = MessageCodecsTest.ODD;
  private static final Map<String, MessageCodec<Object, Object>> CODECS =
      MessageCodecsTest.codecs().entrySet().stream()
          .collect(Collectors.toMap(it -> it.getKey().getSimpleName(), Map.Entry::getValue));
  private static final Map<String, List<Object>> SAMPLES =
      MessageCodecsTest.everything()
          .collect(
              Collectors.groupingBy(
                  sample -> sample.getClass().getSimpleName(),
                  Collectors.mapping(WireCompatibilityTest::comparable, Collectors.toList())));

  private record Line(Path file, int sample, Buffer body) {
    static Line of(Path file, String text) {
      String[] parts = text.split(" ");
      return new Line(
          file, Integer.parseInt(parts[0]), Buffer.buffer(Base64.getDecoder().decode(parts[1])));
    }

    String text() {
      return sample + " " + Base64.getEncoder().encodeToString(body.getBytes());
    }

    String type() {
      return file.getFileName().toString().replace(".txt", "");
    }

    Object expected() {
      return SAMPLES.get(type()).get(sample);
    }

    Object read() {
      return comparable(CODECS.get(type()).decodeFromWire(0, body));
    }

    /** The same with another text: behind the version and its own length. */
    Line with(Consumer<ObjectNode> change) throws IOException {
      ObjectMapper mapper = body.getByte(0) == 1 ? new ObjectMapper() : new SmileMapper();
      int end = TEXT + body.getInt(1);
      ObjectNode text = (ObjectNode) mapper.readTree(body.getBytes(TEXT, end));
      change.accept(text);
      byte[] changed = mapper.writeValueAsBytes(text);
      Buffer other =
          Buffer.buffer()
              .appendByte(body.getByte(0))
              .appendInt(changed.length)
              .appendBytes(changed)
              .appendBuffer(body.slice(end, body.length()));
      return new Line(file, sample, other);
    }

    @Override
    public String toString() {
      return file + " " + sample;
    }
  }

  static List<Line> kept() throws IOException {
    try (Stream<Path> files = Files.walk(FOLDER)) {
      return files
          .filter(Files::isRegularFile)
          .sorted()
          .flatMap(file -> lines(file).stream())
          .toList();
    }
  }

  private static List<Line> lines(Path file) {
    try {
      return Files.readAllLines(file).stream().map(line -> Line.of(file, line)).toList();
    } catch (IOException e) {
      throw new IllegalStateException(e);
    }
  }

  /** As this version writes them. */
  static List<Line> written() {
    return MessageCodecsTest.everything().map(WireCompatibilityTest::written).toList();
  }

  private static Line written(Object sample) {
    Buffer body = Buffer.buffer();
    String type = sample.getClass().getSimpleName();
    CODECS.get(type).encodeToWire(body, sample);
    Path file = FOLDER.resolve(body.getByte(0) + "/" + type + ".txt");
    return new Line(file, SAMPLES.get(type).indexOf(comparable(sample)), body);
  }

  @ParameterizedTest
  @MethodSource("written")
  void isWrittenAsItWasKept(Line line) throws IOException {
    List<Line> known = Files.exists(line.file) ? lines(line.file) : List.of();
    if (Boolean.getBoolean("wire.write") && !known.contains(line)) {
      Files.createDirectories(line.file.getParent());
      Files.writeString(
          line.file, line.text() + "\n", StandardOpenOption.CREATE, StandardOpenOption.APPEND);
    } else {
      assertThat(known)
          .as("%s is written otherwise than was kept: -Dwire.write=true keeps it", line)
          .contains(line);
    }
  }

  @ParameterizedTest
  @MethodSource("kept")
  void whatWasKeptIsUnderstood(Line line) {
    assertThat(line.read()).isEqualTo(line.expected());
  }

  /** The texts of records; {@link FunctionPayload} takes the fields by name that it wants. */
  static Stream<Line> keptRecords() throws IOException {
    return kept().stream().filter(line -> !line.type().matches("FunctionCall|FunctionResult"));
  }

  @ParameterizedTest
  @MethodSource("keptRecords")
  void aFieldThatIsNotKnownIsPassedOver(Line line) throws IOException {
    Line newer = line.with(text -> text.putObject("added_later").putArray("a").add(1).addNull());
    assertThat(newer.body).isNotEqualTo(line.body);
    assertThat(newer.read()).isEqualTo(line.expected());
  }

  @ParameterizedTest
  @ValueSource(strings = {"1", "2"})
  void aFieldThatIsNotKnownIsPassedOverInWhatIsNested(String version) throws IOException {
    Line ranking = lines(FOLDER.resolve(version + "/Ranking.txt")).get(0);
    Line newer =
        ranking.with(
            text -> ((ObjectNode) text.path("ranked_results").get(0)).put("added_later", "x"));
    assertThat(newer.read()).isEqualTo(ranking.expected());
  }

  @ParameterizedTest
  @ValueSource(strings = {"1", "2"})
  void aFieldThatIsMissingHasItsDefault(String version) throws IOException {
    Line embed = lines(FOLDER.resolve(version + "/EmbedRequest.txt")).get(0);
    assertThat(embed.with(text -> text.retain("texts", "dimensions")).read())
        .isEqualTo(EmbedRequest.of(List.of("a", "", ODD)).withDimensions(8));
    Line rerank = lines(FOLDER.resolve(version + "/RerankRequest.txt")).get(0);
    assertThat(rerank.with(text -> text.retain("query", "texts")).read())
        .isEqualTo(RerankRequest.of(ODD, List.of("a")));
    Line usage = lines(FOLDER.resolve(version + "/Ranking.txt")).get(0);
    assertThat(usage.with(text -> ((ObjectNode) text.path("usage")).removeAll()).read())
        .extracting(it -> ((Ranking) it).usage())
        .isEqualTo(Usage.NONE);
  }

  /** Either there is a default, or the failure says that the record cannot be read. */
  @ParameterizedTest
  @MethodSource("keptRecords")
  void noMissingFieldDoesWorse(Line line) throws IOException {
    List<String> names = new ArrayList<>();
    line.with(text -> text.fieldNames().forEachRemaining(names::add));
    for (String name : names) {
      Line without = line.with(text -> text.remove(name));
      try {
        assertThat(without.read()).isNotNull();
      } catch (RagbusException e) {
        assertThat(e.kind()).isEqualTo(RagbusException.Kind.SERIALIZATION);
      }
    }
  }

  /** Exceptions are no values. */
  private static Object comparable(Object value) {
    return value instanceof RagbusException e
        ? Arrays.asList(e.kind(), e.detail(), e.retryable(), e.retryAfterMillis(), e.pythonType())
        : value;
  }

  @Test
  void theVersionBeforeIsKeptToo() {
    int version = written().get(0).body.getByte(0);
    assertThat(FOLDER.resolve("" + (version - 1))).isNotEmptyDirectory();
  }
}
