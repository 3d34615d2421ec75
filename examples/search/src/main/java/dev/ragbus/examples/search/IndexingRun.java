package dev.ragbus.examples.search;

import dev.ragbus.EmbedRequest;
import dev.ragbus.Embeddings;
import dev.ragbus.Ragbus;
import dev.ragbus.RagbusException;
import dev.ragbus.TokenizeRequest;
import dev.ragbus.Tokens;
import dev.ragbus.Tokens.Token;
import dev.ragbus.examples.search.DocumentReader.Content;
import dev.ragbus.examples.search.FolderScan.Source;
import dev.ragbus.examples.search.IndexingProgress.State;
import io.vertx.core.Future;
import io.vertx.core.Promise;
import io.vertx.core.Vertx;
import java.io.IOException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;

/**
 * Makes the index equal to the folder, once.
 *
 * <p>What the index holds, it tells itself: documents whose bytes it has are passed over, changed
 * ones replaced, gone ones removed. So a run that was killed is taken up by the next one, which
 * does again what had not been committed.
 *
 * <p>Many documents are under way at once, each on its own: load, parse, tokenise, cut, embed,
 * write. New ones are begun while the embedder is hungry. A document that cannot be had is told and
 * passed over; if the index cannot be written, or Ragbus does not serve, the run ends.
 *
 * <p>Confined to the event loop of the verticle that made it.
 */
final class IndexingRun {
  private static final Logger LOGGER = System.getLogger(IndexingRun.class.getName());
  private static final int MOST_UNDER_WAY = 64;
  private static final long MOST_BYTES_UNDER_WAY = 32L << 20;
  private static final int TOKENIZED_AT_ONCE = 64;

  /** Where the work is done that blocks. */
  interface Blocking {
    /** Runs work beside others. */
    <T> Future<T> read(Callable<T> work);

    /** Runs work after all that was given before. */
    <T> Future<T> write(Callable<T> work);
  }

  private final Vertx vertx;
  private final Ragbus ragbus;
  private final SearchOptions options;
  private final SearchIndex index;
  private final Blocking blocking;
  private final PatientCalls calls;
  private final Embedder embedder;
  private final DocumentReader reader;
  private final Promise<Void> documentsDone = Promise.promise();
  private final List<Problem> problems = new ArrayList<>();

  private State state = State.STARTING;
  private Throwable fatal;
  private Map<String, String> hashes = Map.of();
  private Iterator<Map.Entry<String, Source>> left = Map.<String, Source>of().entrySet().iterator();
  private int budget;
  private int found;
  private int unchanged;
  private int indexed;
  private int removed;
  private int underWay;
  private long bytesUnderWay;
  private int skipped;
  private long startedNanos;
  private long endedNanos;

  IndexingRun(
      Vertx vertx, Ragbus ragbus, SearchOptions options, SearchIndex index, Blocking blocking) {
    this.vertx = vertx;
    this.ragbus = ragbus;
    this.options = options;
    this.index = index;
    this.blocking = blocking;
    this.calls = new PatientCalls(vertx);
    this.embedder = new Embedder(ragbus, calls, options.textsInFlight());
    this.reader = new DocumentReader(options.maxFileBytes());
  }

  /** Runs; the future always succeeds, and {@link #progress} says how it ended. */
  Future<Void> run() {
    return prepare()
        .compose(done -> blocking.read(this::scan))
        .compose(this::documents)
        .compose(done -> blocking.write(this::commit))
        .recover(this::failed)
        .onComplete(
            done -> {
              endedNanos = System.nanoTime();
              state = fatal == null ? State.DONE : State.FAILED;
            });
  }

  /** Ends the run soon. */
  void cancel() {
    end(new IOException("the application was stopped; the next run goes on from here"));
  }

  /** Learns from the model how chunks are made. */
  private Future<Void> prepare() {
    // The tokens of nothing are those that the model adds to every text.
    TokenizeRequest nothing = new TokenizeRequest(List.of(""), null, true);
    Future<Tokens> added = calls.call(() -> ragbus.tokenize(nothing));
    Future<Embeddings> vector = calls.call(() -> ragbus.embed(EmbedRequest.of("")));
    return Future.all(added, vector)
        .compose(
            both -> {
              budget = options.chunkTokens() - added.result().tokens().get(0).size();
              Embeddings sample = vector.result();
              return blocking.write(() -> prepare(sample.model(), sample.dimensions()));
            })
        .map(
            made -> {
              hashes = made;
              return null;
            });
  }

  private Map<String, String> prepare(String model, int dimensions) throws IOException {
    if (index.prepare(new Layout(model, dimensions, options.chunkTokens()))) {
      LOGGER.log(Level.INFO, "the index was made with other options or by another model; anew");
    }
    return index.hashes();
  }

  private FolderScan scan() throws IOException {
    try {
      return FolderScan.of(options.folder(), options.include());
    } catch (IOException e) {
      throw new IOException("the folder " + options.folder() + " " + FolderScan.reason(e), e);
    }
  }

  private Future<Void> documents(FolderScan scan) {
    startedNanos = System.nanoTime();
    state = State.INDEXING;
    found = scan.documents().size();
    scan.skipped().forEach(this::tell);
    List<String> gone =
        hashes.keySet().stream().filter(path -> !scan.documents().containsKey(path)).toList();
    left = scan.documents().entrySet().iterator();
    long commits = vertx.setPeriodic(options.commitInterval().toMillis(), timer -> commitSoon());
    return remove(gone)
        .compose(
            done -> {
              next();
              return documentsDone.future();
            })
        .onComplete(done -> vertx.cancelTimer(commits));
  }

  private Void commit() throws IOException {
    index.commit();
    return null;
  }

  private void commitSoon() {
    blocking.write(this::commit).onFailure(this::end);
  }

  private Future<Void> remove(List<String> paths) {
    if (paths.isEmpty()) {
      return Future.succeededFuture();
    }
    removed += paths.size();
    return blocking.write(
        () -> {
          index.remove(paths);
          return null;
        });
  }

  /** Begins as many documents as there is room for. */
  private void next() {
    while (fatal == null
        && left.hasNext()
        && underWay < MOST_UNDER_WAY
        && bytesUnderWay < MOST_BYTES_UNDER_WAY
        && (underWay == 0 || embedder.hungry())) {
      Map.Entry<String, Source> document = left.next();
      long bytes = document.getValue().bytes();
      underWay++;
      bytesUnderWay += bytes;
      document(document.getKey(), document.getValue().file())
          .recover(failure -> refused(document.getKey(), failure))
          .onComplete(
              done -> {
                underWay--;
                bytesUnderWay -= bytes;
                next();
              });
    }
    if (underWay == 0) {
      if (fatal == null) {
        documentsDone.tryComplete();
      } else {
        documentsDone.tryFail(fatal);
      }
    }
  }

  /** A new or changed document, read. */
  private record Loaded(String path, String hash, Chunker chunker) {}

  private Future<Void> document(String path, Path file) {
    String known = hashes.get(path);
    return blocking
        .read(() -> load(path, file, known))
        .compose(
            loaded -> {
              if (loaded.isEmpty()) {
                unchanged++;
                return Future.succeededFuture();
              }
              return index(loaded.get());
            });
  }

  private Optional<Loaded> load(String path, Path file, String known) throws RefusedException {
    Content content = reader.load(file);
    return content.hash().equals(known)
        ? Optional.empty()
        : Optional.of(new Loaded(path, content.hash(), new Chunker(DocumentReader.parse(content))));
  }

  private Future<Void> index(Loaded loaded) {
    return tokenize(loaded.chunker.texts(), 0, new ArrayList<>())
        .compose(starts -> blocking.read(() -> loaded.chunker.chunks(starts, budget)))
        .compose(
            chunks ->
                embedder
                    .embed(chunks.stream().map(Chunk::reading).toList())
                    .map(vectors -> new IndexedDocument(loaded.path, loaded.hash, chunks, vectors)))
        .compose(this::put);
  }

  /**
   * Tokenises part after part, so that a long document does not hold up the others; only where
   * tokens start is kept.
   */
  private Future<List<int[]>> tokenize(List<String> texts, int from, List<int[]> starts) {
    if (fatal != null) {
      return Future.failedFuture(fatal);
    }
    if (from >= texts.size()) {
      return Future.succeededFuture(starts);
    }
    int to = Math.min(texts.size(), from + TOKENIZED_AT_ONCE);
    TokenizeRequest part = new TokenizeRequest(texts.subList(from, to), null, false);
    return calls
        .call(() -> ragbus.tokenize(part))
        .compose(
            reply -> {
              for (List<Token> tokens : reply.tokens()) {
                starts.add(tokens.stream().mapToInt(Token::start).toArray());
              }
              return tokenize(texts, to, starts);
            });
  }

  private Future<Void> put(IndexedDocument document) {
    return blocking
        .write(
            () -> {
              index.put(document);
              return null;
            })
        .<Void>mapEmpty()
        .onSuccess(done -> indexed++);
  }

  /** A document's own failure is told, and what the index has of it removed; others end the run. */
  private Future<Void> refused(String path, Throwable failure) {
    if (failure instanceof RefusedException) {
      tell(new Problem(path, failure.getMessage()));
      return hashes.containsKey(path) ? remove(List.of(path)) : Future.succeededFuture();
    }
    if (failure instanceof RagbusException typed && !PatientCalls.mayPass(typed)) {
      tell(new Problem(path, "could not be embedded: " + typed.detail()));
      return hashes.containsKey(path) ? remove(List.of(path)) : Future.succeededFuture();
    }
    end(failure);
    return Future.succeededFuture();
  }

  private void tell(Problem problem) {
    skipped++;
    LOGGER.log(Level.WARNING, "not indexed: " + problem.path() + " " + problem.reason());
    if (problems.size() < IndexingProgress.MOST_PROBLEMS) {
      problems.add(problem);
    }
  }

  private void end(Throwable reason) {
    if (fatal == null) {
      fatal = reason;
      calls.end();
      embedder.end(reason);
    }
  }

  /**
   * Every document that was written is whole, so all are kept if the index can still be written.
   */
  private Future<Void> failed(Throwable failure) {
    end(failure);
    return blocking.write(this::commit).recover(unwritable -> blocking.write(this::rollback));
  }

  private Void rollback() {
    try {
      index.rollback();
    } catch (IOException e) {
      LOGGER.log(Level.ERROR, "the index could not be opened again", e);
    }
    return null;
  }

  IndexingProgress progress() {
    if (state == State.STARTING) {
      return IndexingProgress.starting();
    }
    long nanos = (endedNanos == 0 ? System.nanoTime() : endedNanos) - startedNanos;
    long perSecond = embedder.embedded() * 1_000_000_000L / Math.max(1, nanos);
    return new IndexingProgress(
        state,
        message(nanos, perSecond),
        found,
        unchanged,
        indexed,
        removed,
        embedder.embedded(),
        perSecond,
        skipped,
        List.copyOf(problems));
  }

  private String message(long nanos, long perSecond) {
    String texts =
        String.format(Locale.ROOT, "%,d texts, %,d texts/s", embedder.embedded(), perSecond);
    return switch (state) {
      case STARTING -> throw new IllegalStateException("nothing is known");
      case INDEXING ->
          String.format(
              Locale.ROOT,
              "indexing: %,d of %,d documents, %s%s",
              unchanged + indexed,
              found,
              texts,
              calls.pauses() == 0 ? "" : ", put off " + calls.pauses() + " times by OVERLOADED");
      case DONE ->
          found == 0
              ? "no documents: " + options.folder() + " has no Markdown, text or HTML file"
              : String.format(
                  Locale.ROOT,
                  "indexed %s in %.1f s: %,d documents new or changed, %,d unchanged, %,d removed,"
                      + " %,d skipped; %s",
                  options.folder(),
                  nanos / 1e9,
                  indexed,
                  unchanged,
                  removed,
                  skipped,
                  embedder.truncated() == 0
                      ? texts
                      : texts + ", " + embedder.truncated() + " of them cut by the model");
      case FAILED -> "indexing stopped: " + reason();
    };
  }

  private String reason() {
    String said = String.valueOf(fatal.getMessage());
    if (said.contains("No space left on device")) {
      return "the disk of "
          + options.indexFolder()
          + " is full; free some space and index again, what is committed is not lost";
    }
    return fatal instanceof RagbusException typed
        ? "the models do not serve: " + typed.getMessage()
        : said;
  }
}
