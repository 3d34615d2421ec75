// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.python;

import dev.ragbus.ModelQuality;
import dev.ragbus.Stats;
import io.vertx.core.Future;
import io.vertx.core.json.JsonObject;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;

/**
 * What runs models: lanes that each do one thing at a time, and the operations on them.
 *
 * <p>Belongs to one event loop: every method is called there and every future completes there.
 * Failures are {@link dev.ragbus.RagbusException}s.
 */
public interface Engine {
  /** The operations that answer in JSON, off the inference lanes. */
  enum Control {
    /** Finds a model's folder on this machine. */
    LOCATE("locate", Place.LOADER),
    /** Finds a model's folder, asking the hub for it and fetching it. */
    FETCH("locate", Place.FETCHER),
    /** Loads a model. */
    LOAD("load", Place.LOADER),
    /**
     * How far the load of a {@code load_id} is, which LOCATE, FETCH and LOAD take; answers while it
     * runs.
     */
    PROGRESS("progress", Place.CONTROL),
    /** Has the load of a {@code load_id} end as CANCELLED at its next checkpoint. */
    CANCEL_LOAD("cancel_load", Place.CONTROL),
    /** Forgets a model. */
    UNLOAD("unload", Place.MEMORY),
    /** Ends a run of a model. */
    CANCEL_RUN("cancel_run", Place.CONTROL),
    /** Texts to tokens, with their places. */
    TOKENS("tokens", Place.CONTROL),
    /** Token ids to texts. */
    DECODE("decode", Place.CONTROL),
    /** Collects garbage and gives memory back. */
    COLLECT("collect", Place.MEMORY),
    /** What Python knows of itself. */
    STATS("stats", Place.CONTROL);

    private final String operation;
    private final Place place;

    Control(String operation, Place place) {
      this.operation = operation;
      this.place = place;
    }

    String operation() {
      return operation;
    }

    Place place() {
      return place;
    }

    /** The lanes an operation runs on: the least busy one of its place. */
    enum Place {
      /** Short work. */
      CONTROL,
      /** Work of seconds, which short work must not wait for. */
      LOADER,
      /** Work that waits for the network, which loads must not wait for. */
      FETCHER,
      /** Giving memory back: what is forgotten first is gone when garbage is collected. */
      MEMORY
    }
  }

  /**
   * A loaded model, as Python describes it.
   *
   * @param handle its number in Python
   * @param outputs the numbers a row makes: dimensions, or labels
   * @param dimensions the dimensions of its vectors; null for one that makes none
   * @param sparse whether of a row's numbers those that are not 0 are given, with their places
   * @param pooling how it pools what it makes of tokens; null for one that makes no vectors
   * @param labels the labels of its scores; null for one that makes vectors
   * @param maxTokens the most tokens of a row
   * @param padId the id that fills rows up
   * @param widthStep what the widths of its batches are multiples of, which the engine says
   * @param packs whether a line of a batch may have several rows behind each other
   * @param engine what runs it
   * @param reason why that engine
   * @param precision the numbers it computes in
   * @param memoryBytes memory taken by loading it
   * @param loadMillis how long loading took
   * @param prompts its named prompts
   * @param defaultPromptName the prompt used where a request names none; null for none
   * @param normalize whether the model itself scales vectors to length 1
   * @param quality how near it comes to float32, where that was measured; null elsewhere
   */
  record Model(
      int handle,
      int outputs,
      Integer dimensions,
      boolean sparse,
      String pooling,
      List<String> labels,
      int maxTokens,
      int padId,
      int widthStep,
      boolean packs,
      String engine,
      String reason,
      String precision,
      long memoryBytes,
      long loadMillis,
      Map<String, String> prompts,
      String defaultPromptName,
      boolean normalize,
      ModelQuality quality) {
    /** The width of the shortest batches. */
    private static final int LEAST_WIDTH = 8;

    /** The width of a batch whose longest row has so many tokens, and its line to itself. */
    public int paddedLength(int length) {
      return Math.min(maxTokens, width(length));
    }

    /** The width of a line of so many tokens. */
    int width(int tokens) {
      int step = tokens > LEAST_WIDTH ? widthStep : LEAST_WIDTH;
      return (tokens + step - 1) / step * step;
    }

    /** What a row of so many tokens takes in a batch where no row is longer. */
    public int space(int length) {
      return packs ? length : paddedLength(length);
    }
  }

  /**
   * Texts to tokenise; at most a few dozen, since a call cannot be interrupted.
   *
   * @param handle the model
   * @param texts the texts; for pairs the query first
   * @param seconds what each text is paired with, null for one that is alone; null itself where all
   *     are
   * @param pair whether each text after the first is paired with the first
   * @param maxTokens fewer tokens than the model's maximum; 0 for the model's. For pairs it bounds
   *     the text alone
   * @param maxChunks windows of a long text, for pairs
   * @param truncateLeft whether the beginning is cut rather than the end
   */
  record TokenizeCall(
      int handle,
      List<String> texts,
      List<String> seconds,
      boolean pair,
      int maxTokens,
      int maxChunks,
      boolean truncateLeft) {}

  /**
   * A batch to run, as rows of tokens.
   *
   * @param model the model
   * @param rows the rows
   * @param layout where they lie
   * @param alone whether no other lane has anything to run now, so that it may have the compute
   *     threads of all
   */
  record ForwardCall(Model model, List<TokenRow> rows, Layout layout, boolean alone) {
    /** With the cheapest layout. */
    public static ForwardCall of(Model model, List<TokenRow> rows, boolean alone) {
      int[] lengths = rows.stream().mapToInt(TokenRow::length).toArray();
      return new ForwardCall(model, rows, Layout.of(model, lengths), alone);
    }

    /** What the rows take where none is longer. */
    public int[] spaces() {
      return rows.stream().mapToInt(row -> model.space(row.length())).toArray();
    }
  }

  /**
   * One row's tokens and what to do with its result.
   *
   * @param ids an array that holds the ids
   * @param offset where they start in it
   * @param length how many there are
   * @param boundary leading tokens of the first segment; the length where there is one segment
   * @param dimensions leading dimensions to keep, or of a sparse vector the largest values; 0 for
   *     all
   * @param finish whether to normalise the vector, or to apply the model's activation to the scores
   */
  record TokenRow(
      int[] ids, int offset, int length, int boundary, int dimensions, boolean finish) {}

  /**
   * Texts that have an idle lane to themselves: tokenised and run there in one go.
   *
   * @param model the model
   * @param texts the texts
   * @param dimensions as in {@link TokenRow}
   * @param finish as in {@link TokenRow}
   * @param alone as in {@link ForwardCall}
   * @param suits asked on the lane's thread whether the rows are to be run together, now
   */
  record DirectCall(
      Model model,
      TokenizeCall texts,
      int dimensions,
      boolean finish,
      boolean alone,
      Predicate<ForwardCall> suits) {
    /** The rows as one batch. */
    public ForwardCall batch(TokenizedTexts tokens) {
      return ForwardCall.of(model, tokens.rowList(dimensions, finish), alone);
    }
  }

  /**
   * What a direct call came to.
   *
   * @param tokens the rows
   * @param values what came of each row; null where the rows did not suit
   * @param tokenizeNanos how long tokenising took
   */
  record DirectResult(TokenizedTexts tokens, List<RowValues> values, long tokenizeNanos) {}

  /** How many inference lanes there are; they are numbered from 0. */
  int inferenceLanes();

  /**
   * Tokenises texts.
   *
   * @param giveUpNanos when, by {@link System#nanoTime}, the lane is given up
   */
  Future<TokenizedTexts> tokenize(TokenizeCall call, long giveUpNanos);

  /**
   * Runs a batch on a lane that is idle.
   *
   * @param giveUpNanos when, by {@link System#nanoTime}, the lane is given up
   * @return what came of each row
   */
  Future<List<RowValues>> forward(int lane, ForwardCall call, long giveUpNanos);

  /**
   * Tokenises texts on a lane that is idle and runs them there: two changes of thread less than one
   * after the other.
   *
   * @param giveUpNanos when, by {@link System#nanoTime}, the lane is given up
   */
  Future<DirectResult> tokenizeAndForward(int lane, DirectCall call, long giveUpNanos);

  /**
   * Cuts short what a lane is running, where its engine can; the call then fails with {@code
   * CANCELLED}, unless it ends by itself just before. Without effect on a lane that runs nothing.
   */
  void cancel(int lane);

  /** Runs a control operation. */
  Future<JsonObject> control(Control operation, JsonObject body);

  /** Loads a model from a folder. */
  Future<Model> load(JsonObject body);

  /** What the lanes are doing, for statistics and health. */
  List<Stats.Lane> lanes();
}
