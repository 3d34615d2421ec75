package dev.ragbus.examples.search;

import dev.ragbus.examples.search.DocumentText.Section;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** Builds a {@link DocumentText} from headings and blocks as a parser comes upon them. */
final class Sections {
  private static final int LEVELS = 6;

  private final List<Section> done = new ArrayList<>();
  private final String[] headings = new String[LEVELS];
  private List<String> blocks = new ArrayList<>();

  /** A heading, of level 1 to 6. */
  void heading(int level, String text) {
    end();
    headings[level - 1] = text.isBlank() ? null : oneLine(text);
    for (int deeper = level; deeper < LEVELS; deeper++) {
      headings[deeper] = null;
    }
  }

  /** A paragraph or the like; line breaks and runs of blanks become one blank. */
  void block(String text) {
    if (!text.isBlank()) {
      blocks.add(oneLine(text));
    }
  }

  DocumentText document() {
    end();
    return new DocumentText(List.copyOf(done));
  }

  private void end() {
    if (!blocks.isEmpty()) {
      String heading =
          Stream.of(headings).filter(Objects::nonNull).collect(Collectors.joining(" › "));
      done.add(new Section(heading, List.copyOf(blocks)));
      blocks = new ArrayList<>();
    }
  }

  private static String oneLine(String text) {
    return text.strip().replaceAll("\\s+", " ");
  }
}
