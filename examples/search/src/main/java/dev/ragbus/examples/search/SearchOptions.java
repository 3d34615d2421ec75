package dev.ragbus.examples.search;

import java.nio.file.Path;
import java.time.Duration;
import java.util.List;

/**
 * What is searched and how. Immutable; checked when made.
 *
 * @param folder the folder of documents
 * @param include globs of the files to index, relative to the folder; empty for all
 * @param indexFolder where the index is kept
 * @param port where the page is served, on loopback; 0 for any
 * @param chunkTokens the most tokens of a chunk, its heading and the model's special tokens among
 *     them; 16 to 8,192
 * @param maxFileBytes the largest file that is indexed
 * @param textsInFlight the most texts that are being embedded at once
 * @param candidates how many chunks are ranked for a query; 1 to 1,000
 * @param commitInterval how often what was indexed is made durable and searchable
 */
public record SearchOptions(
    Path folder,
    List<String> include,
    Path indexFolder,
    int port,
    int chunkTokens,
    long maxFileBytes,
    int textsInFlight,
    int candidates,
    Duration commitInterval) {

  /** Checks every component. */
  public SearchOptions {
    folder = folder.toAbsolutePath().normalize();
    include = List.copyOf(include);
    indexFolder = indexFolder.toAbsolutePath().normalize();
    within("port", port, 0, 65_535);
    within("chunk-tokens", chunkTokens, 16, 8_192);
    within("max-file-bytes", maxFileBytes, 1, 1L << 30);
    within("texts-in-flight", textsInFlight, 1, 10_000);
    within("candidates", candidates, 1, 1_000);
    within("commit-millis", commitInterval.toMillis(), 100, 600_000);
  }

  private static void within(String name, long value, long least, long most) {
    if (value < least || value > most) {
      throw new IllegalArgumentException(
          name + " is " + value + "; it must be " + least + " to " + most);
    }
  }
}
