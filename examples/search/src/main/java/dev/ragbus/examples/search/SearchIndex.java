package dev.ragbus.examples.search;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.lucene.analysis.Analyzer;
import org.apache.lucene.analysis.en.EnglishAnalyzer;
import org.apache.lucene.document.Document;
import org.apache.lucene.document.Field;
import org.apache.lucene.document.KnnFloatVectorField;
import org.apache.lucene.document.StoredField;
import org.apache.lucene.document.StringField;
import org.apache.lucene.document.TextField;
import org.apache.lucene.index.ConcurrentMergeScheduler;
import org.apache.lucene.index.DirectoryReader;
import org.apache.lucene.index.IndexWriter;
import org.apache.lucene.index.IndexWriterConfig;
import org.apache.lucene.index.StoredFields;
import org.apache.lucene.index.Term;
import org.apache.lucene.index.VectorSimilarityFunction;
import org.apache.lucene.search.BooleanClause;
import org.apache.lucene.search.BooleanQuery;
import org.apache.lucene.search.BoostQuery;
import org.apache.lucene.search.IndexSearcher;
import org.apache.lucene.search.KnnFloatVectorQuery;
import org.apache.lucene.search.Query;
import org.apache.lucene.search.ScoreDoc;
import org.apache.lucene.search.SearcherManager;
import org.apache.lucene.search.TermQuery;
import org.apache.lucene.store.AlreadyClosedException;
import org.apache.lucene.store.Directory;
import org.apache.lucene.store.LockObtainFailedException;
import org.apache.lucene.util.QueryBuilder;

/**
 * The chunks of a folder's documents in Lucene: by their words (BM25) and by their vectors (HNSW),
 * found by both at once.
 *
 * <p>Beside its chunks every document has an entry with the hash of its file, and both are written
 * and replaced together. So the index itself says what it holds, and no list beside it can say
 * otherwise: after a kill or a full disk it stands at the last {@link #commit}, with every document
 * in it whole.
 *
 * <p>All methods block. Those that write, and {@link #close}, are for one thread at a time and
 * synchronised; {@link #search} and {@link #size} may be called from any thread at any time and see
 * the last commit.
 */
final class SearchIndex implements AutoCloseable {
  private static final String PATH = "path";
  private static final String KIND = "kind";
  private static final String HASH = "hash";
  private static final String HEADING = "heading";
  private static final String TEXT = "text";
  private static final String VECTOR = "vector";
  private static final String CHUNK = "chunk";
  private static final Term CHUNKS = new Term(KIND, CHUNK);
  private static final Term DOCUMENTS = new Term(KIND, "document");
  private static final float HEADING_WEIGHT = 0.5f;

  private final Directory directory;
  private final Analyzer analyzer = new EnglishAnalyzer();
  private final SearcherManager searchers;
  private IndexWriter writer;

  private SearchIndex(Directory directory) throws IOException {
    this.directory = directory;
    this.writer = newWriter();
    if (!DirectoryReader.indexExists(directory)) {
      writer.commit();
    }
    this.searchers = new SearcherManager(directory, null);
  }

  /**
   * Opens the index in a directory, which becomes this one's, or makes an empty one.
   *
   * @throws IOException with a message for people: in use by another process, damaged, not writable
   */
  static SearchIndex open(Directory directory) throws IOException {
    try {
      return new SearchIndex(directory);
    } catch (LockObtainFailedException e) {
      directory.close();
      throw new IOException("another process is using the index in " + directory, e);
    } catch (IOException | IllegalArgumentException e) {
      directory.close();
      throw new IOException(
          "the index in "
              + directory
              + " cannot be opened ("
              + e.getMessage()
              + "); if that folder is deleted, it is made anew",
          e);
    }
  }

  private IndexWriter newWriter() throws IOException {
    ConcurrentMergeScheduler merges =
        new ConcurrentMergeScheduler() {
          /** A merge that fails closes the writer, which says so at the next write. */
          @Override
          protected void handleMergeException(Throwable failure) {}
        };
    // What merges take is taken from the lanes that embed.
    merges.setMaxMergesAndThreads(2, 1);
    return new IndexWriter(
        directory,
        new IndexWriterConfig(analyzer)
            .setMergeScheduler(merges)
            .setRAMBufferSizeMB(64)
            .setCommitOnClose(false));
  }

  /**
   * Says how the chunks to come are made; an index of chunks made otherwise is emptied.
   *
   * @return whether it was emptied
   */
  synchronized boolean prepare(Layout layout) throws IOException {
    Map<String, String> found = committedData();
    if (found.equals(layout.toMap())) {
      return false;
    }
    return writing(
        () -> {
          writer.deleteAll();
          writer.setLiveCommitData(layout.toMap().entrySet());
          commit();
          return !found.isEmpty();
        });
  }

  private Map<String, String> committedData() throws IOException {
    try (DirectoryReader reader = DirectoryReader.open(directory)) {
      return reader.getIndexCommit().getUserData();
    }
  }

  /** The hash of every committed document, by path. */
  Map<String, String> hashes() throws IOException {
    IndexSearcher searcher = searchers.acquire();
    try {
      Map<String, String> hashes = new HashMap<>();
      StoredFields stored = searcher.storedFields();
      int most = Math.max(1, searcher.getIndexReader().maxDoc());
      for (ScoreDoc found : searcher.search(new TermQuery(DOCUMENTS), most).scoreDocs) {
        Document entry = stored.document(found.doc);
        hashes.put(entry.get(PATH), entry.get(HASH));
      }
      return hashes;
    } finally {
      searchers.release(searcher);
    }
  }

  /** Adds a document, in place of the one with its path: all of it, or nothing. */
  synchronized void put(IndexedDocument document) throws IOException {
    List<Document> block = new ArrayList<>();
    for (int at = 0; at < document.chunks().size(); at++) {
      Chunk chunk = document.chunks().get(at);
      Document entry = new Document();
      entry.add(new StringField(KIND, CHUNK, Field.Store.NO));
      entry.add(new StringField(PATH, document.path(), Field.Store.YES));
      entry.add(new StoredField(CHUNK, at));
      entry.add(new TextField(HEADING, chunk.heading(), Field.Store.YES));
      entry.add(new TextField(TEXT, chunk.text(), Field.Store.YES));
      entry.add(
          new KnnFloatVectorField(
              VECTOR, document.vectors().get(at), VectorSimilarityFunction.DOT_PRODUCT));
      block.add(entry);
    }
    Document entry = new Document();
    entry.add(new StringField(KIND, DOCUMENTS.text(), Field.Store.NO));
    entry.add(new StringField(PATH, document.path(), Field.Store.YES));
    entry.add(new StoredField(HASH, document.hash()));
    block.add(entry);
    writing(() -> writer.updateDocuments(new Term(PATH, document.path()), block));
  }

  /** Removes documents. */
  synchronized void remove(Collection<String> paths) throws IOException {
    Term[] terms = paths.stream().map(path -> new Term(PATH, path)).toArray(Term[]::new);
    writing(() -> writer.deleteDocuments(terms));
  }

  /** Makes all that was written durable, and shows it to searches. */
  synchronized void commit() throws IOException {
    writing(
        () -> {
          writer.commit();
          return searchers.maybeRefresh();
        });
  }

  /** Forgets what was written since the last commit; the way on after a write has failed. */
  synchronized void rollback() throws IOException {
    writer.rollback();
    writer = newWriter();
  }

  private interface Write<T> {
    T run() throws IOException;
  }

  /** A writer that failed once is closed, and says only that from then on; the cause is wanted. */
  private <T> T writing(Write<T> write) throws IOException {
    try {
      return write.run();
    } catch (AlreadyClosedException e) {
      Throwable cause = writer.getTragicException();
      if (cause == null) {
        throw e;
      }
      throw new IOException(cause.getMessage(), cause);
    }
  }

  /**
   * What a search found and where the time went.
   *
   * @param hits best first
   * @param searched how much it looked at
   */
  record Found(
      List<Hit> hits, Size searched, long lexicalNanos, long vectorNanos, long fusionNanos) {}

  /**
   * The chunks that fit a query best by their words or by their vectors.
   *
   * @param vector the query's, of length 1
   * @param model the model that made it; if the chunks' vectors are of another, words alone count
   * @param limit the most hits, and of how many ranks each of both rankings is
   */
  Found search(String query, float[] vector, String model, int limit) throws IOException {
    IndexSearcher searcher = searchers.acquire();
    try {
      long start = System.nanoTime();
      List<Integer> lexical = best(searcher, words(query), limit);
      long searched = System.nanoTime();
      List<Integer> near =
          hasVectorsOf(model, searcher)
              ? best(searcher, new KnnFloatVectorQuery(VECTOR, vector, limit), limit)
              : List.of();
      long compared = System.nanoTime();
      List<Hit> hits = new ArrayList<>();
      StoredFields stored = searcher.storedFields();
      for (Integer doc : RankFusion.fuse(List.of(lexical, near), limit)) {
        Document entry = stored.document(doc);
        Chunk chunk = new Chunk(entry.get(HEADING), entry.get(TEXT));
        hits.add(new Hit(entry.get(PATH), chunk, rank(lexical, doc), rank(near, doc)));
      }
      long fused = System.nanoTime();
      return new Found(
          hits, size(searcher), searched - start, compared - searched, fused - compared);
    } finally {
      searchers.release(searcher);
    }
  }

  private static boolean hasVectorsOf(String model, IndexSearcher searcher) throws IOException {
    DirectoryReader reader = (DirectoryReader) searcher.getIndexReader();
    return model.equals(reader.getIndexCommit().getUserData().get("model"));
  }

  /** The query's words in the text or the headings; null where it has none that count. */
  private Query words(String query) {
    QueryBuilder builder = new QueryBuilder(analyzer);
    Query text = builder.createBooleanQuery(TEXT, query);
    Query heading = builder.createBooleanQuery(HEADING, query);
    if (text == null || heading == null) {
      return null;
    }
    return new BooleanQuery.Builder()
        .add(text, BooleanClause.Occur.SHOULD)
        .add(new BoostQuery(heading, HEADING_WEIGHT), BooleanClause.Occur.SHOULD)
        .build();
  }

  private static List<Integer> best(IndexSearcher searcher, Query query, int limit)
      throws IOException {
    List<Integer> docs = new ArrayList<>();
    if (query != null) {
      for (ScoreDoc found : searcher.search(query, limit).scoreDocs) {
        docs.add(found.doc);
      }
    }
    return docs;
  }

  private static Integer rank(List<Integer> ranking, Integer doc) {
    int at = ranking.indexOf(doc);
    return at < 0 ? null : at + 1;
  }

  /** How much a search looks at. */
  record Size(int documents, int chunks) {}

  /** How many documents and chunks are committed. */
  Size size() throws IOException {
    IndexSearcher searcher = searchers.acquire();
    try {
      return size(searcher);
    } finally {
      searchers.release(searcher);
    }
  }

  private static Size size(IndexSearcher searcher) throws IOException {
    return new Size(
        searcher.count(new TermQuery(DOCUMENTS)), searcher.count(new TermQuery(CHUNKS)));
  }

  /** Closes it; what was not committed is forgotten. */
  @Override
  public synchronized void close() throws IOException {
    searchers.close();
    writer.rollback();
    directory.close();
  }
}
