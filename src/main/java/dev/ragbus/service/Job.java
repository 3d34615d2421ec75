// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import dev.ragbus.RagbusException;
import dev.ragbus.Usage;
import dev.ragbus.python.Engine.TokenRow;
import dev.ragbus.python.Engine.TokenizeCall;
import dev.ragbus.python.RowValues;
import dev.ragbus.python.TokenizedTexts;
import io.vertx.core.Future;
import io.vertx.core.Promise;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;

/**
 * One request's work: its texts, then its rows, then its answer; answered exactly once.
 *
 * <p>Made by the service, then owned by the {@link Batcher} that it is submitted to, on its event
 * loop.
 */
final class Job {
  /** Where results go. */
  @FunctionalInterface
  interface Sink {
    /**
     * Takes a row's result.
     *
     * @param text the index of the text the row is of
     * @param values its numbers, which share arrays with the whole batch
     */
    void accept(int text, RowValues values);

    /** Told after a pass which texts have all their rows by it; each text once. */
    default void finished(List<Integer> texts) {}
  }

  /**
   * What to do.
   *
   * @param model the model to run, held until the job is over
   * @param query for pairs, what every text is paired with; else null
   * @param texts the texts
   * @param seconds what each text is paired with, null for one that is alone; null itself where all
   *     are
   * @param queryFirst whether the first text is the query itself, to be compared with the others
   * @param maxTokens fewer tokens than the model's maximum, for all but the query; 0 for the
   *     model's
   * @param maxChunks windows of a long text, for pairs
   * @param truncateLeft whether the beginning of a long text is cut
   * @param truncate whether a long text may be cut at all
   * @param dimensions leading dimensions to keep, or the largest values of a sparse vector; 0 for
   *     all
   * @param finish whether to normalise, or to apply the activation
   * @param sink where results go
   */
  record Spec(
      LoadedModel model,
      String query,
      List<String> texts,
      List<String> seconds,
      boolean queryFirst,
      int maxTokens,
      int maxChunks,
      boolean truncateLeft,
      boolean truncate,
      int dimensions,
      boolean finish,
      Sink sink) {
    /** The characters of a text and of what it is paired with. */
    int chars(int text) {
      String second = seconds == null ? null : seconds.get(text);
      return texts.get(text).length() + (second == null ? 0 : second.length());
    }

    /** What the caller calls a text. */
    String name(int text) {
      if (!queryFirst) {
        return "texts[" + text + "]";
      }
      return text == 0 ? "query" : "texts[" + (text - 1) + "]";
    }
  }

  private static final int SMALL_TEXTS = 4;

  private static final int SMALL_CHARS = 2_000;

  private final Spec spec;
  private final TokenizedTexts given;
  private final long deadlineNanos;
  private final String requestId;
  private final String caller;
  private final Phases phases;
  private final PassTrace trace;
  private final Promise<Usage> promise = Promise.promise();
  private final Set<Row> waiting = Collections.newSetFromMap(new IdentityHashMap<>());
  private final Set<Integer> truncated = new HashSet<>();
  private final int[] openRowsOfText;
  private List<Integer> finishedTexts = new ArrayList<>();
  private int nextText;
  private int untokenized;
  private int openRows;
  private int promptTokens;
  private boolean started;
  private boolean paused;

  /** Also asked by the lane that a direct call runs on. */
  private volatile boolean over;

  /**
   * Made for a call.
   *
   * @param given the tokens, where they are known: the spec's texts then only count; else null
   */
  Job(Spec spec, TokenizedTexts given, Call call) {
    this.given = given;
    this.nextText = given == null ? 0 : spec.texts.size();
    this.spec = spec;
    this.deadlineNanos = call.deadlineNanos();
    this.requestId = call.requestId();
    this.caller = call.caller();
    this.phases = call.phases();
    this.trace = call.trace();
    this.untokenized = spec.texts.size();
    this.openRowsOfText = new int[spec.texts.size()];
  }

  Spec spec() {
    return spec;
  }

  long deadlineNanos() {
    return deadlineNanos;
  }

  String requestId() {
    return requestId;
  }

  /** Who asks; null where that is not said. */
  String caller() {
    return caller;
  }

  Phases phases() {
    return phases;
  }

  /** Makes spans of its passes; null where nobody traces. */
  PassTrace trace() {
    return trace;
  }

  Future<Usage> future() {
    return promise.future();
  }

  boolean isOver() {
    return over;
  }

  /** Whether a row has begun to run. */
  boolean hasStarted() {
    return started;
  }

  /** The tokens that came with the job; null where its texts are to be tokenised. */
  TokenizedTexts given() {
    return given;
  }

  /** Whether texts are left that no call has tokenised yet. */
  boolean hasTexts() {
    return nextText < spec.texts.size();
  }

  /** Whether one call that is over soon takes all its texts. */
  boolean isSmall() {
    int texts = spec.texts.size();
    return texts > 0
        && texts <= SMALL_TEXTS
        && !(spec.queryFirst && spec.maxTokens > 0)
        && IntStream.range(0, texts).map(spec::chars).sum() <= SMALL_CHARS;
  }

  /** Whether one tokenising call may take the texts of both. */
  boolean tokenizesLike(Job other) {
    return spec.query == null
        && other.spec.query == null
        && spec.model == other.spec.model
        && (spec.seconds == null) == (other.spec.seconds == null)
        && spec.maxTokens == other.spec.maxTokens
        && spec.truncateLeft == other.spec.truncateLeft;
  }

  /** The index of the next text to tokenise. */
  int nextText() {
    return nextText;
  }

  /** The next texts to tokenise, bounded in number and characters. */
  TokenizeCall nextCall() {
    int first = nextText;
    boolean queryAlone = spec.queryFirst && first == 0 && spec.maxTokens > 0;
    int most = queryAlone ? 1 : CallBounds.MAX_TEXTS;
    nextText = CallBounds.end(spec::chars, spec.texts.size(), first, most);
    List<String> texts = spec.texts.subList(first, nextText);
    boolean pair = spec.query != null;
    if (pair) {
      List<String> withQuery = new ArrayList<>(texts.size() + 1);
      withQuery.add(spec.query);
      withQuery.addAll(texts);
      texts = withQuery;
    }
    return new TokenizeCall(
        spec.model.engineModel().handle(),
        texts,
        spec.seconds == null ? null : spec.seconds.subList(first, nextText),
        pair,
        queryAlone ? 0 : spec.maxTokens,
        spec.maxChunks,
        spec.truncateLeft);
  }

  /**
   * Takes the tokens of a call.
   *
   * @param firstText the index of the call's first text
   * @param texts how many texts the call had
   * @param maker makes a row, given its text and its tokens
   * @return the rows, which wait to be run
   */
  List<Row> tokenized(TokenizedTexts tokens, int firstText, int texts, RowMaker maker) {
    List<Row> rows = new ArrayList<>(tokens.rows());
    untokenized -= texts;
    for (int i = 0; i < tokens.rows(); i++) {
      int text = firstText + tokens.text(i);
      promptTokens += tokens.length(i);
      if (tokens.total(i) > tokens.length(i)) {
        if (!spec.truncate) {
          throw tooLong(text, tokens.total(i), tokens.length(i));
        }
        truncated.add(text);
      }
      openRows++;
      openRowsOfText[text]++;
      rows.add(maker.make(this, text, tokens.row(i, spec.dimensions, spec.finish)));
    }
    waiting.addAll(rows);
    return rows;
  }

  private RagbusException tooLong(int text, int total, int length) {
    String size =
        spec.maxChunks == 1
            ? " has " + total + " tokens, the limit is " + length
            : " is "
                + (total - length)
                + " tokens too long for max_chunks_per_doc "
                + spec.maxChunks;
    return RagbusException.of(
        RagbusException.Kind.TOO_LARGE, name(text) + size + " and truncate is false");
  }

  private String name(int text) {
    return given == null ? spec.name(text) : "tokens[" + text + "]";
  }

  /** Makes a row of this job. */
  interface RowMaker {
    Row make(Job job, int text, TokenRow tokens);
  }

  /** The rows that wait to be run. */
  Set<Row> waiting() {
    return waiting;
  }

  /** Rows, and texts that are no rows yet, that have not begun to run. */
  int notRun() {
    return waiting.size() + untokenized;
  }

  /** A lane begins with its texts. */
  void started() {
    started = true;
  }

  /** A row begins to run. */
  void started(Row row) {
    started = true;
    waiting.remove(row);
  }

  /** A row has run. */
  void finished(Row row, RowValues values) {
    spec.sink.accept(row.text(), values);
    openRows--;
    openRowsOfText[row.text()]--;
    if (openRowsOfText[row.text()] == 0) {
      finishedTexts.add(row.text());
    }
  }

  /** The rows of a pass have been taken: tells which texts are finished by that. */
  void passed() {
    if (!over && !finishedTexts.isEmpty()) {
      List<Integer> finished = finishedTexts;
      finishedTexts = new ArrayList<>();
      spec.sink.finished(finished);
    }
  }

  /** Whether its rows are kept from running. */
  boolean isPaused() {
    return paused;
  }

  /** Its rows wait until they are {@link #resume}d. */
  void pause() {
    paused = true;
  }

  /** Its waiting rows get their turn so much later. */
  void resume(long turns) {
    paused = false;
    if (turns == 0) {
      return;
    }
    List<Row> later = waiting.stream().map(row -> row.later(turns)).toList();
    waiting.clear();
    waiting.addAll(later);
  }

  /** Tokens of the rows known so far. */
  int promptTokens() {
    return promptTokens;
  }

  /** Whether all rows are known. */
  boolean isTokenized() {
    return untokenized == 0;
  }

  /** Whether everything has run. */
  boolean isComplete() {
    return isTokenized() && openRows == 0;
  }

  /** Ends the job with its answer. */
  void succeed() {
    passed();
    over = true;
    promise.complete(new Usage(promptTokens, truncated.stream().sorted().toList()));
  }

  /** Ends the job without an answer. */
  void fail(RagbusException failure) {
    over = true;
    promise.fail(failure);
  }
}
