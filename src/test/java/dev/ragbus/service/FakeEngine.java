// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import dev.ragbus.OptionsReader;
import dev.ragbus.RagbusException;
import dev.ragbus.RagbusException.Kind;
import dev.ragbus.RagbusOptions;
import dev.ragbus.Stats;
import dev.ragbus.python.Engine;
import dev.ragbus.python.RowValues;
import dev.ragbus.python.TokenizedTexts;
import io.vertx.core.Future;
import io.vertx.core.Promise;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.IntStream;

/**
 * An engine whose calls end when the test says so.
 *
 * <p>A character is a token, its code the id; {@code ""} is one token with id 0; in a pair the
 * query's tokens, or the first text's, go first. A row's numbers are its length, its first token
 * after the query, its last token, then ones. Calls of a kind that is held stay open; others are
 * answered at once.
 */
final class FakeEngine implements Engine {
  /** What can be held. */
  enum Held {
    TOKENIZE,
    FORWARD,
    LOAD,
    CONTROL
  }

  /** A batch that a lane is running. */
  record Running(int lane, ForwardCall call, long giveUpNanos, Promise<List<RowValues>> promise) {}

  /** A tokenising call. */
  record Tokenizing(TokenizeCall call, Promise<TokenizedTexts> promise) {}

  /** A load. */
  record Load(JsonObject body, Promise<Model> promise) {}

  /** A control operation. */
  record Controlled(Control operation, JsonObject body, Promise<JsonObject> promise) {}

  final Set<Held> held = EnumSet.of(Held.FORWARD);
  final List<Running> running = new ArrayList<>();
  final List<Running> cancelled = new ArrayList<>();
  final List<ForwardCall> forwarded = new ArrayList<>();
  final List<Tokenizing> tokenizing = new ArrayList<>();
  final List<TokenizeCall> tokenized = new ArrayList<>();
  final List<Load> loads = new ArrayList<>();
  final List<Controlled> controls = new ArrayList<>();

  /** What LOCATE knows: what models may be by name, several types with spaces between them. */
  final Map<String, String> models = new LinkedHashMap<>();

  /** What only FETCH knows. */
  final Map<String, String> hub = new LinkedHashMap<>();

  /** What PROGRESS answers. */
  JsonObject progress = new JsonObject().put("phase", "loading");

  /** What models look like when loaded, by name; others have {@link #model}'s defaults. */
  final Map<String, Model> described = new HashMap<>();

  private final Map<Integer, Model> byHandle = new HashMap<>();
  private final int lanes;
  private int nextHandle = 1;

  FakeEngine(int lanes) {
    this.lanes = lanes;
  }

  /** A model as Python would describe it: 4 outputs, or one for a cross-encoder; 64 tokens. */
  static Model model(int handle, boolean crossEncoder) {
    return new Model(
        handle,
        crossEncoder ? 1 : 4,
        crossEncoder ? null : 4,
        false,
        crossEncoder ? null : "mean",
        crossEncoder ? List.of("LABEL_0") : null,
        64,
        0,
        8,
        false,
        "fake",
        "it was asked for",
        "f32",
        1_000,
        5,
        Map.of(),
        null,
        true,
        null);
  }

  /** Options that no environment and no system property changes. */
  static RagbusOptions options(JsonObject config) {
    return OptionsReader.read(config, Map.of(), Map.of());
  }

  /** For lanes as many as there ever are. */
  static LastRequests requests() {
    return new LastRequests(64, 0, System::nanoTime);
  }

  static Model withHandle(Model model, int handle) {
    return with(model, handle, model.packs(), model.maxTokens());
  }

  /** An embedding model that has several rows in a line. */
  static Model packing(int handle) {
    return packing(handle, 64);
  }

  /** The same with so many tokens a row at most. */
  static Model packing(int handle, int maxTokens) {
    return with(model(handle, false), handle, true, maxTokens);
  }

  private static Model with(Model model, int handle, boolean packs, int maxTokens) {
    return new Model(
        handle,
        model.outputs(),
        model.dimensions(),
        model.sparse(),
        model.pooling(),
        model.labels(),
        maxTokens,
        model.padId(),
        model.widthStep(),
        packs,
        model.engine(),
        model.reason(),
        model.precision(),
        model.memoryBytes(),
        model.loadMillis(),
        model.prompts(),
        model.defaultPromptName(),
        model.normalize(),
        model.quality());
  }

  /** Makes a model known without loading it. */
  Model add(boolean crossEncoder) {
    return add(model(nextHandle++, crossEncoder));
  }

  /** Makes a model that packs known. */
  Model addPacking() {
    return add(packing(nextHandle++));
  }

  private Model add(Model model) {
    byHandle.put(model.handle(), model);
    return model;
  }

  @Override
  public int inferenceLanes() {
    return lanes;
  }

  @Override
  public Future<TokenizedTexts> tokenize(TokenizeCall call, long giveUpNanos) {
    Promise<TokenizedTexts> promise = Promise.promise();
    tokenized.add(call);
    Tokenizing open = new Tokenizing(call, promise);
    if (held.contains(Held.TOKENIZE)) {
      tokenizing.add(open);
    } else {
      promise.complete(tokens(call));
    }
    return promise.future();
  }

  /** Ends the oldest open tokenising call. */
  void finishTokenizing() {
    Tokenizing open = tokenizing.remove(0);
    open.promise.complete(tokens(open.call));
  }

  /** The tokens of texts. */
  TokenizedTexts tokens(TokenizeCall call) {
    Model model = byHandle.get(call.handle());
    String query = call.pair() ? call.texts().get(0) : "";
    int limit = model.maxTokens() - query.length();
    if (call.maxTokens() > 0) {
      limit = Math.min(limit, call.maxTokens());
    }
    List<int[]> headers = new ArrayList<>();
    List<int[]> rows = new ArrayList<>();
    int first = call.pair() ? 1 : 0;
    for (int text = first; text < call.texts().size(); text++) {
      String second = call.seconds() == null ? null : call.seconds().get(text);
      String whole = call.texts().get(text) + (second == null ? "" : second);
      int[] ids = whole.chars().toArray();
      ids = ids.length == 0 ? new int[1] : ids;
      int chunks =
          call.maxChunks() == 1 ? 1 : Math.min(call.maxChunks(), (ids.length - 1) / limit + 1);
      for (int chunk = 0; chunk < chunks; chunk++) {
        int length = Math.min(limit, ids.length - chunk * limit);
        int from = call.truncateLeft() ? ids.length - length : chunk * limit;
        int[] row = new int[query.length() + length];
        System.arraycopy(query.chars().toArray(), 0, row, 0, query.length());
        System.arraycopy(ids, from, row, query.length(), length);
        int boundary =
            call.pair() || second != null
                ? query.length() + (second == null ? 0 : call.texts().get(text).length())
                : row.length;
        int lost = chunk == chunks - 1 ? Math.max(0, ids.length - chunks * limit) : 0;
        headers.add(new int[] {text - first, row.length, boundary, row.length + lost});
        rows.add(row);
      }
    }
    return new TokenizedTexts(flat(headers, rows));
  }

  private static int[] flat(List<int[]> headers, List<int[]> rows) {
    int size = 1 + 4 * headers.size() + rows.stream().mapToInt(row -> row.length).sum();
    int[] data = new int[size];
    data[0] = rows.size();
    int at = 1;
    for (List<int[]> part : List.of(headers, rows)) {
      for (int[] each : part) {
        System.arraycopy(each, 0, data, at, each.length);
        at += each.length;
      }
    }
    return data;
  }

  @Override
  public Future<List<RowValues>> forward(int lane, ForwardCall call, long giveUpNanos) {
    if (running.stream().anyMatch(other -> other.lane == lane)) {
      throw new AssertionError("lane " + lane + " is busy");
    }
    Promise<List<RowValues>> promise = Promise.promise();
    forwarded.add(call);
    if (held.contains(Held.FORWARD)) {
      running.add(new Running(lane, call, giveUpNanos, promise));
    } else {
      promise.complete(rows(call, results(call)));
    }
    return promise.future();
  }

  @Override
  public Future<DirectResult> tokenizeAndForward(int lane, DirectCall call, long giveUpNanos) {
    return tokenize(call.texts(), giveUpNanos)
        .compose(
            tokens -> {
              ForwardCall batch = call.batch(tokens);
              return call.suits().test(batch)
                  ? forward(lane, batch, giveUpNanos)
                      .map(values -> new DirectResult(tokens, values, 0))
                  : Future.succeededFuture(new DirectResult(tokens, null, 0));
            });
  }

  @Override
  public void cancel(int lane) {
    running.stream().filter(batch -> batch.lane == lane).forEach(cancelled::add);
  }

  /** Ends a running batch that was cancelled. */
  void endCancelled(Running batch) {
    running.remove(batch);
    batch.promise.fail(RagbusException.of(Kind.CANCELLED, "the run was cancelled"));
  }

  /** Ends the oldest running batch with its results. */
  Running finish() {
    return finish(0);
  }

  /** Ends a running batch with its results. */
  Running finish(int index) {
    Running batch = running.remove(index);
    batch.promise.complete(rows(batch.call, results(batch.call)));
    return batch;
  }

  /** Ends a running batch with these results. */
  void finishWith(int index, float[] results) {
    Running batch = running.remove(index);
    batch.promise.complete(rows(batch.call, results));
  }

  /** Fails a running batch. */
  void fail(int index, Kind kind) {
    running.remove(index).promise.fail(RagbusException.of(kind, "the fake was asked to"));
  }

  /** Ends batches until none runs; returns how many there were. */
  int finishAll() {
    int count = 0;
    while (!running.isEmpty()) {
      finish();
      count++;
    }
    return count;
  }

  private static List<RowValues> rows(ForwardCall call, float[] results) {
    int outputs = call.model().outputs();
    List<RowValues> rows = RowValues.dense(results, outputs);
    if (!call.model().sparse()) {
      return rows;
    }
    int[] places = IntStream.range(0, results.length).map(at -> at % outputs).toArray();
    return rows.stream()
        .map(row -> new RowValues(results, places, row.offset(), row.length()))
        .toList();
  }

  /** What a batch comes to. */
  static float[] results(ForwardCall call) {
    int outputs = call.model().outputs();
    float[] results = new float[call.rows().size() * outputs];
    for (int i = 0; i < call.rows().size(); i++) {
      TokenRow row = call.rows().get(i);
      int boundary = row.boundary() == row.length() ? 0 : row.boundary();
      float[] numbers = {
        row.length(), row.ids()[row.offset() + boundary], row.ids()[row.offset() + row.length() - 1]
      };
      for (int j = 0; j < outputs; j++) {
        results[i * outputs + j] = outputs == 1 ? numbers[1] : j < 3 ? numbers[j] : 1;
      }
    }
    return results;
  }

  /** The text that a row was made of, as far as it was read. */
  static String text(TokenRow row) {
    return new String(row.ids(), row.offset(), row.length());
  }

  /** The texts of a batch. */
  static List<String> texts(ForwardCall call) {
    return call.rows().stream().map(FakeEngine::text).toList();
  }

  @Override
  public Future<JsonObject> control(Control operation, JsonObject body) {
    Promise<JsonObject> promise = Promise.promise();
    Controlled open = new Controlled(operation, body, promise);
    controls.add(open);
    if (!held.contains(Held.CONTROL)) {
      answer(open);
    }
    return promise.future();
  }

  /** Answers a control operation. */
  void answer(Controlled open) {
    JsonObject body = open.body;
    switch (open.operation) {
      case LOCATE, FETCH -> {
        boolean fetch = open.operation == Control.FETCH;
        String name = body.getString("name");
        String type = models.getOrDefault(name, fetch ? hub.get(name) : null);
        if (type == null) {
          open.promise.fail(
              RagbusException.of(
                  Kind.MODEL_NOT_FOUND, "no model '" + body.getString("name") + "'"));
        } else {
          open.promise.complete(
              new JsonObject()
                  .put("path", "/at/" + body.getString("name"))
                  .put("types", new JsonArray(List.of(type.split(" ")))));
        }
      }
      case COLLECT ->
          open.promise.complete(
              new JsonObject()
                  .put("collected", 7)
                  .put("resident_bytes_before", 200)
                  .put("resident_bytes_after", 100));
      case PROGRESS -> open.promise.complete(progress);
      case TOKENS -> open.promise.complete(new JsonObject().put("tokens", tokensOf(body)));
      case DECODE -> open.promise.complete(new JsonObject().put("texts", new JsonArray().add("a")));
      default -> open.promise.complete(new JsonObject());
    }
  }

  private static JsonArray tokensOf(JsonObject body) {
    JsonArray tokens = new JsonArray();
    for (Object text : body.getJsonArray("texts")) {
      JsonArray own = new JsonArray();
      for (int i = 0; i < ((String) text).length(); i++) {
        own.add(
            new JsonObject()
                .put("id", (int) ((String) text).charAt(i))
                .put("text", ((String) text).substring(i, i + 1))
                .put("special", false)
                .put("start", i)
                .put("stop", i + 1));
      }
      tokens.add(own);
    }
    return tokens;
  }

  /** The bodies of the control operations of a kind. */
  List<JsonObject> controls(Control operation) {
    return controls.stream()
        .filter(each -> each.operation == operation)
        .map(Controlled::body)
        .toList();
  }

  /** The handles that were unloaded. */
  List<Integer> unloaded() {
    return controls(Control.UNLOAD).stream().map(body -> body.getInteger("handle")).toList();
  }

  @Override
  public Future<Model> load(JsonObject body) {
    Load load = new Load(body, Promise.promise());
    loads.add(load);
    if (!held.contains(Held.LOAD)) {
      finish(load);
    }
    return load.promise.future();
  }

  /** Ends a load; the model's handle is new. */
  void finish(Load load) {
    Model template = described.get(load.body.getString("name"));
    if (template == null) {
      template = model(0, load.body.getString("type").equals("cross-encoder"));
    }
    Model model = withHandle(template, nextHandle++);
    byHandle.put(model.handle(), model);
    load.promise.complete(model);
  }

  @Override
  public List<Stats.Lane> lanes() {
    return List.of();
  }
}
