package dev.ragbus.examples.search;

import java.util.List;

/**
 * A document's text without its markup.
 *
 * @param sections in the order of the document
 */
record DocumentText(List<Section> sections) {
  /**
   * What stands under a heading.
   *
   * @param heading the heading and those above it, outermost first; {@code ""} for none
   * @param blocks paragraphs, list items, rows of tables, lines of code; none is blank
   */
  record Section(String heading, List<String> blocks) {}
}
