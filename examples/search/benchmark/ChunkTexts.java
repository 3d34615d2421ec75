import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import org.apache.lucene.document.Document;
import org.apache.lucene.index.DirectoryReader;
import org.apache.lucene.index.Term;
import org.apache.lucene.search.IndexSearcher;
import org.apache.lucene.search.ScoreDoc;
import org.apache.lucene.search.TermQuery;
import org.apache.lucene.store.FSDirectory;

/** Prints what was embedded of an index, a chunk a line. Run from its source, see indexing.py. */
class ChunkTexts {
  public static void main(String[] arguments) throws Exception {
    PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
    try (DirectoryReader reader = DirectoryReader.open(FSDirectory.open(Path.of(arguments[0])))) {
      IndexSearcher searcher = new IndexSearcher(reader);
      TermQuery chunks = new TermQuery(new Term("kind", "chunk"));
      for (ScoreDoc found : searcher.search(chunks, reader.maxDoc()).scoreDocs) {
        Document chunk = searcher.storedFields().document(found.doc);
        out.println((chunk.get("heading") + " " + chunk.get("text")).replaceAll("\\s+", " ").strip());
      }
    }
    out.flush();
  }
}
