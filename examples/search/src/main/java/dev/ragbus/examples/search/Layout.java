package dev.ragbus.examples.search;

import java.util.Map;

/**
 * How the chunks of an index were made. Chunks made otherwise cannot stand beside them, so another
 * layout means another index.
 *
 * @param model the model of the vectors
 * @param dimensions the dimensions of a vector
 * @param chunkTokens the most tokens of a chunk
 */
record Layout(String model, int dimensions, int chunkTokens) {
  /** Goes up when the fields of the index, or the ways from a file to its chunks, change. */
  private static final int VERSION = 1;

  /** As it is kept beside every commit. */
  Map<String, String> toMap() {
    return Map.of(
        "version", String.valueOf(VERSION),
        "model", model,
        "dimensions", String.valueOf(dimensions),
        "chunk_tokens", String.valueOf(chunkTokens));
  }
}
