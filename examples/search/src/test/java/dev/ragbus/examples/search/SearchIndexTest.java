package dev.ragbus.examples.search;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.apache.lucene.index.CheckIndex;
import org.apache.lucene.store.FSDirectory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SearchIndexTest {
  private static final Layout LAYOUT = new Layout("tiny", 2, 128);

  @TempDir Path folder;

  private SearchIndex open() throws IOException {
    return SearchIndex.open(FSDirectory.open(folder));
  }

  private static IndexedDocument document(String path, String... texts) {
    List<Chunk> chunks =
        List.of(texts).stream().map(text -> new Chunk("Of " + path, text)).toList();
    List<float[]> vectors =
        IntStream.range(0, texts.length)
            .mapToObj(at -> new float[] {(float) Math.cos(at), (float) Math.sin(at)})
            .toList();
    return new IndexedDocument(path, "hash of " + path + texts.length, chunks, vectors);
  }

  private static List<String> found(SearchIndex index, String query, float x, float y)
      throws IOException {
    return index.search(query, new float[] {x, y}, "tiny", 10).hits().stream()
        .map(hit -> hit.chunk().text())
        .toList();
  }

  /** Lucene's own check of every byte. */
  static void check(Path folder) {
    try (FSDirectory directory = FSDirectory.open(folder);
        CheckIndex check = new CheckIndex(directory)) {
      assertThat(check.checkIndex().clean).isTrue();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  @Test
  void wordsAndVectorsFindTogether() throws IOException {
    try (SearchIndex index = open()) {
      index.prepare(LAYOUT);
      index.put(document("a.md", "lanes are threads", "the queue is full"));
      index.put(document("b.md", "cats purr"));
      index.commit();

      List<Hit> hits = index.search("full queues", new float[] {1, 0}, "tiny", 2).hits();
      assertThat(hits).hasSize(2);
      assertThat(hits.get(0).chunk())
          .isIn(
              new Chunk("Of a.md", "the queue is full"), new Chunk("Of a.md", "lanes are threads"));
      assertThat(hits)
          .filteredOn(hit -> hit.chunk().text().equals("the queue is full"))
          .allSatisfy(hit -> assertThat(hit.lexicalRank()).isEqualTo(1));
      assertThat(index.size()).isEqualTo(new SearchIndex.Size(2, 3));
      assertThat(found(index, "?!", 1, 0)).contains("cats purr");
    }
  }

  @Test
  void aDocumentIsReplacedWholeAndOnlyCommitsAreSeen() throws IOException {
    try (SearchIndex index = open()) {
      index.prepare(LAYOUT);
      index.put(document("a.md", "one", "two", "three"));
      index.commit();
      index.put(document("a.md", "four"));
      assertThat(index.size()).isEqualTo(new SearchIndex.Size(1, 3));
      index.commit();
      assertThat(index.size()).isEqualTo(new SearchIndex.Size(1, 1));
      assertThat(index.hashes()).isEqualTo(Map.of("a.md", "hash of a.md1"));
      index.remove(List.of("a.md"));
      index.commit();
      assertThat(index.size()).isEqualTo(new SearchIndex.Size(0, 0));
    }
  }

  @Test
  void whatWasNotCommittedIsGoneAfterAnEndWithoutWarning() throws IOException {
    try (SearchIndex index = open()) {
      index.prepare(LAYOUT);
      index.put(document("a.md", "one"));
      index.commit();
      index.put(document("b.md", "two"));
    }
    try (SearchIndex index = open()) {
      assertThat(index.prepare(LAYOUT)).isFalse();
      assertThat(index.hashes()).containsOnlyKeys("a.md");
    }
    check(folder);
  }

  @Test
  void anotherLayoutEmptiesIt() throws IOException {
    try (SearchIndex index = open()) {
      assertThat(index.prepare(LAYOUT)).isFalse();
      index.put(document("a.md", "one"));
      index.commit();
      assertThat(index.search("one", new float[] {1, 0, 0}, "other", 5).hits()).hasSize(1);
      assertThat(index.prepare(new Layout("other", 3, 128))).isTrue();
      assertThat(index.size()).isEqualTo(new SearchIndex.Size(0, 0));
    }
  }

  @Test
  void aFullDiskLosesNothingThatWasCommitted() throws IOException {
    FullDisk disk = new FullDisk(FSDirectory.open(folder));
    try (SearchIndex index = SearchIndex.open(disk)) {
      index.prepare(LAYOUT);
      index.put(document("a.md", "one", "two"));
      index.commit();

      disk.leave(500);
      assertThatThrownBy(
              () -> {
                index.put(document("b.md", "three"));
                index.commit();
              })
          .isInstanceOf(IOException.class)
          .hasMessageContaining("No space left on device");
      assertThatThrownBy(() -> index.put(document("c.md", "four")))
          .isInstanceOf(IOException.class)
          .hasMessageContaining("No space left on device");
      assertThat(found(index, "one", 1, 0)).contains("one", "two");

      index.rollback();
      disk.leave(1_000_000);
      assertThat(index.hashes()).containsOnlyKeys("a.md");
      index.put(document("b.md", "three"));
      index.commit();
      assertThat(index.size()).isEqualTo(new SearchIndex.Size(2, 3));
    }
    check(folder);
  }

  @Test
  void twoCannotWriteAtOnceAndDamageIsTold() throws IOException {
    try (SearchIndex index = open()) {
      index.prepare(LAYOUT);
      assertThatThrownBy(this::open).hasMessageContaining("another process is using the index");
    }
    try (var files = Files.list(folder)) {
      for (Path segments :
          files.filter(f -> f.getFileName().toString().startsWith("segments")).toList()) {
        Files.write(segments, new byte[] {1, 2, 3});
      }
    }
    assertThatThrownBy(this::open)
        .hasMessageContaining("cannot be opened")
        .hasMessageContaining("deleted, it is made anew");
  }
}
