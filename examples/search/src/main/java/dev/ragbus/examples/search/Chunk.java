package dev.ragbus.examples.search;

/**
 * A piece of a document, as it is embedded, indexed and shown.
 *
 * @param heading the headings it stands under; {@code ""} for none
 * @param text whole sentences, unless one alone is too long
 */
record Chunk(String heading, String text) {
  /** What a model reads: a text alone often does not say what it is about. */
  String reading() {
    return heading.isEmpty() ? text : heading + "\n" + text;
  }
}
