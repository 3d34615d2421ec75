package dev.ragbus.examples.search;

import dev.ragbus.examples.search.DocumentText.Section;
import java.text.BreakIterator;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * Cuts a document into chunks of whole sentences within a budget of tokens, in two steps, since
 * only the model can count: {@link #texts} are to be tokenised, {@link #chunks} takes what came of
 * that.
 *
 * <p>A chunk never goes beyond its section. The headings above it are read with it, unless they
 * would take more than half of the budget. A sentence that is too long is cut between tokens.
 */
final class Chunker {
  /** No sentence is longer; what has no full stop (data, a language without) is cut here. */
  static final int MAX_SENTENCE_CHARS = 4_000;

  private record Sentence(String text, boolean startsBlock) {}

  private final List<Section> sections;
  private final List<List<Sentence>> sentences = new ArrayList<>();

  Chunker(DocumentText document) {
    this.sections = document.sections();
    for (Section section : sections) {
      sentences.add(sentences(section));
    }
  }

  private static List<Sentence> sentences(Section section) {
    BreakIterator breaks = BreakIterator.getSentenceInstance(Locale.ROOT);
    List<Sentence> found = new ArrayList<>();
    for (String block : section.blocks()) {
      breaks.setText(block);
      int start = 0;
      for (int stop = breaks.next(); stop != BreakIterator.DONE; stop = breaks.next()) {
        while (stop - start > MAX_SENTENCE_CHARS) {
          int cut = cut(block, start);
          add(block, start, cut, found);
          start = cut;
        }
        add(block, start, stop, found);
        start = stop;
      }
    }
    return found;
  }

  private static void add(String block, int start, int stop, List<Sentence> found) {
    String sentence = block.substring(start, stop).strip();
    if (!sentence.isEmpty()) {
      found.add(new Sentence(sentence, start == 0));
    }
  }

  /**
   * Where to cut a sentence without end: at a blank where there is one, never within a character.
   */
  private static int cut(String block, int start) {
    int most = start + MAX_SENTENCE_CHARS;
    int blank = block.lastIndexOf(' ', most);
    if (blank > start) {
      return blank;
    }
    return Character.isLowSurrogate(block.charAt(most)) ? most - 1 : most;
  }

  /** What must be tokenised, without special tokens: each section's heading, then its sentences. */
  List<String> texts() {
    List<String> texts = new ArrayList<>();
    for (int section = 0; section < sections.size(); section++) {
      texts.add(sections.get(section).heading());
      sentences.get(section).forEach(sentence -> texts.add(sentence.text));
    }
    return texts;
  }

  /**
   * The chunks.
   *
   * @param starts where each token of each of {@link #texts} starts in it, in code points
   * @param budget the most tokens of a chunk, its heading among them
   */
  List<Chunk> chunks(List<int[]> starts, int budget) {
    List<Chunk> chunks = new ArrayList<>();
    int at = 0;
    for (int section = 0; section < sections.size(); section++) {
      int heading = starts.get(at++).length;
      boolean fits = heading <= budget / 2;
      String above = fits ? sections.get(section).heading() : "";
      Packing packing = new Packing(above, budget - (fits ? heading : 0), chunks);
      for (Sentence sentence : sentences.get(section)) {
        packing.add(sentence, starts.get(at++));
      }
      packing.end();
    }
    return chunks;
  }

  /** Fills chunks of one section. */
  private static final class Packing {
    private final String heading;
    private final int budget;
    private final List<Chunk> chunks;
    private final StringBuilder text = new StringBuilder();
    private int used;

    Packing(String heading, int budget, List<Chunk> chunks) {
      this.heading = heading;
      this.budget = budget;
      this.chunks = chunks;
    }

    void add(Sentence sentence, int[] starts) {
      if (starts.length <= budget) {
        add(sentence.text, starts.length, sentence.startsBlock);
        return;
      }
      int from = 0;
      for (int first = 0; first < starts.length; first += budget) {
        int tokens = Math.min(budget, starts.length - first);
        int to =
            first + tokens < starts.length
                ? sentence.text.offsetByCodePoints(0, starts[first + tokens])
                : sentence.text.length();
        add(sentence.text.substring(from, to).strip(), tokens, true);
        from = to;
      }
    }

    private void add(String piece, int tokens, boolean startsBlock) {
      if (used + tokens > budget) {
        end();
      }
      if (text.length() > 0) {
        text.append(startsBlock ? '\n' : ' ');
      }
      text.append(piece);
      used += tokens;
    }

    void end() {
      if (text.length() > 0) {
        chunks.add(new Chunk(heading, text.toString()));
        text.setLength(0);
        used = 0;
      }
    }
  }
}
