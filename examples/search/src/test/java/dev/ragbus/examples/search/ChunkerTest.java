package dev.ragbus.examples.search;

import static org.assertj.core.api.Assertions.assertThat;

import dev.ragbus.examples.search.DocumentText.Section;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Here a token is a code point that is no blank, so everything can be counted by eye. */
class ChunkerTest {
  private static List<Chunk> chunks(int budget, Section... sections) {
    Chunker chunker = new Chunker(new DocumentText(List.of(sections)));
    List<int[]> starts = chunker.texts().stream().map(ChunkerTest::starts).toList();
    return chunker.chunks(starts, budget);
  }

  private static int[] starts(String text) {
    int[] points = text.codePoints().toArray();
    List<Integer> found = new ArrayList<>();
    for (int at = 0; at < points.length; at++) {
      if (points[at] != ' ') {
        found.add(at);
      }
    }
    return found.stream().mapToInt(Integer::intValue).toArray();
  }

  private static Section section(String heading, String... blocks) {
    return new Section(heading, List.of(blocks));
  }

  @Test
  void wholeSentencesFillTheBudget() {
    assertThat(chunks(8, section("", "Aaa. Bbb. Ccc.", "Ddd.")))
        .containsExactly(new Chunk("", "Aaa. Bbb."), new Chunk("", "Ccc.\nDdd."));
  }

  @Test
  void theHeadingCountsUnlessItIsHalfOfAll() {
    assertThat(chunks(10, section("Hh", "Aaa. Bbb. Ccc.")))
        .containsExactly(new Chunk("Hh", "Aaa. Bbb."), new Chunk("Hh", "Ccc."));
    assertThat(chunks(10, section("Headings", "Aaa. Bbb. Ccc.")))
        .containsExactly(new Chunk("", "Aaa. Bbb."), new Chunk("", "Ccc."));
  }

  @Test
  void aChunkStaysInItsSection() {
    assertThat(chunks(100, section("H", "Aaa."), section("I", "Bbb.")))
        .containsExactly(new Chunk("H", "Aaa."), new Chunk("I", "Bbb."));
  }

  @Test
  void aLongSentenceIsCutBetweenTokens() {
    assertThat(chunks(4, section("", "😀😀 abcdefg hi")))
        .containsExactly(new Chunk("", "😀😀 ab"), new Chunk("", "cdef"), new Chunk("", "g hi"));
  }

  @Test
  void whatHasNoFullStopIsCutByCharacters() {
    String endless = "ab ".repeat(10_000).strip();
    List<Chunk> chunks = chunks(1_000, section("", endless));

    assertThat(String.join("", chunks.stream().map(Chunk::text).toList()).replaceAll("\\s", ""))
        .isEqualTo("ab".repeat(10_000));
    assertThat(chunks)
        .allSatisfy(chunk -> assertThat(starts(chunk.text()).length).isLessThan(1_010));
    assertThat(new Chunker(new DocumentText(List.of(section("", "😀".repeat(5_000))))).texts())
        .allSatisfy(text -> assertThat(text.codePoints()).allMatch(Character::isValidCodePoint))
        .noneMatch(text -> text.length() > Chunker.MAX_SENTENCE_CHARS)
        .noneMatch(text -> !text.isEmpty() && Character.isLowSurrogate(text.charAt(0)));
  }

  @Test
  void theReadingNamesTheHeading() {
    assertThat(new Chunk("H", "t").reading()).isEqualTo("H\nt");
    assertThat(new Chunk("", "t").reading()).isEqualTo("t");
  }
}
