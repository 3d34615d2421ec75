package dev.ragbus.examples.search;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.lucene.document.Document;
import org.apache.lucene.index.DirectoryReader;
import org.apache.lucene.index.Term;
import org.apache.lucene.search.IndexSearcher;
import org.apache.lucene.search.ScoreDoc;
import org.apache.lucene.search.TermQuery;
import org.apache.lucene.store.FSDirectory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The application is killed (SIGKILL) while it indexes, and taken up again. */
class KilledIndexingIT {
  private static final int DOCUMENTS = 150;
  private static final int COMMITTED_BETWEEN_KILLS = 20;

  @TempDir Path temporary;

  @Test
  void nothingIsLostOrDoubled() throws Exception {
    Path folder = temporary.resolve("documents");
    Path index = temporary.resolve("index");
    Corpus.write(folder, DOCUMENTS);

    int afterFirst = killWhileIndexing(folder, index, 0);
    Files.delete(folder.resolve("0000.md"));
    Corpus.write(folder, 1, 10_001);
    Corpus.write(folder, DOCUMENTS, DOCUMENTS);
    int afterSecond = killWhileIndexing(folder, index, afterFirst);

    try (SearchProcess last = SearchProcess.start(folder, index)) {
      String done = last.line(line -> line.contains("INFO indexed "));
      int unchanged =
          Integer.parseInt(done.replaceAll(".*new or changed, (\\d+) unchanged.*", "$1"));
      assertThat(unchanged).isBetween(afterSecond - 1, DOCUMENTS - 1);
    }
    SearchIndexTest.check(index);
    assertThat(hashes(index)).isEqualTo(hashesOfFiles(folder)).hasSize(DOCUMENTS);
    everyDocumentHasItsChunksOnce(index);

    try (SearchProcess again = SearchProcess.start(folder, index)) {
      assertThat(again.line(line -> line.contains("INFO indexed ")))
          .contains(" 0 documents new or changed, " + DOCUMENTS + " unchanged, 0 removed");
    }
  }

  /** Kills it once some more documents are committed than before, and not all. */
  private static int killWhileIndexing(Path folder, Path index, int before)
      throws IOException, InterruptedException {
    SearchProcess process = SearchProcess.start(folder, index, "--commit-millis", "100");
    process.line(line -> line.startsWith("Search is ready"));
    await()
        .atMost(SearchProcess.PATIENCE)
        .pollInterval(Duration.ofMillis(20))
        .until(() -> hashes(index).size() > before + COMMITTED_BETWEEN_KILLS);
    process.kill();
    SearchIndexTest.check(index);
    everyDocumentHasItsChunksOnce(index);
    int committed = hashes(index).size();
    assertThat(committed).isGreaterThan(before).isLessThan(DOCUMENTS);
    return committed;
  }

  /** What the last commit holds, also while the process writes. */
  private static Map<String, String> hashes(Path index) throws IOException {
    Map<String, String> hashes = new HashMap<>();
    try (FSDirectory directory = FSDirectory.open(index)) {
      if (DirectoryReader.indexExists(directory)) {
        for (Document entry : entries(directory, "document")) {
          assertThat(hashes.put(entry.get("path"), entry.get("hash"))).isNull();
        }
      }
    }
    return hashes;
  }

  private static void everyDocumentHasItsChunksOnce(Path index) throws IOException {
    Map<String, Set<Integer>> chunks = new HashMap<>();
    try (FSDirectory directory = FSDirectory.open(index)) {
      for (Document entry : entries(directory, "chunk")) {
        int at = entry.getField("chunk").numericValue().intValue();
        assertThat(chunks.computeIfAbsent(entry.get("path"), path -> new HashSet<>()).add(at))
            .as("%s, chunk %d", entry.get("path"), at)
            .isTrue();
      }
    }
    assertThat(chunks.keySet()).isEqualTo(hashes(index).keySet());
    assertThat(chunks.values())
        .allSatisfy(
            found ->
                assertThat(found).hasSizeGreaterThanOrEqualTo(8).contains(0, found.size() - 1));
  }

  private static List<Document> entries(FSDirectory directory, String kind) throws IOException {
    List<Document> entries = new ArrayList<>();
    try (DirectoryReader reader = DirectoryReader.open(directory)) {
      IndexSearcher searcher = new IndexSearcher(reader);
      TermQuery query = new TermQuery(new Term("kind", kind));
      for (ScoreDoc found : searcher.search(query, Math.max(1, reader.maxDoc())).scoreDocs) {
        entries.add(searcher.storedFields().document(found.doc));
      }
    }
    return entries;
  }

  private static Map<String, String> hashesOfFiles(Path folder) throws Exception {
    Map<String, String> hashes = new HashMap<>();
    try (var files = Files.list(folder)) {
      for (Path file : files.toList()) {
        byte[] hash = MessageDigest.getInstance("SHA-256").digest(Files.readAllBytes(file));
        hashes.put(file.getFileName().toString(), HexFormat.of().formatHex(hash));
      }
    }
    return hashes;
  }
}
