// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import dev.ragbus.ModelType;
import dev.ragbus.RagbusException;
import dev.ragbus.RagbusException.Kind;
import dev.ragbus.RagbusOptions;
import dev.ragbus.Stats;
import dev.ragbus.Usage;
import dev.ragbus.python.Engine;
import dev.ragbus.python.Engine.DirectCall;
import dev.ragbus.python.Engine.DirectResult;
import dev.ragbus.python.Engine.ForwardCall;
import dev.ragbus.python.Engine.TokenRow;
import dev.ragbus.python.Engine.TokenizeCall;
import dev.ragbus.python.RowValues;
import dev.ragbus.python.TokenizedTexts;
import io.vertx.core.AsyncResult;
import io.vertx.core.Future;
import io.vertx.core.Promise;
import io.vertx.core.Vertx;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.Deque;
import java.util.HashSet;
import java.util.IdentityHashMap;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.LongSupplier;
import java.util.stream.Collectors;

/**
 * Turns jobs into batches and keeps the inference lanes busy.
 *
 * <p>Belongs to one event loop: every method is called there, no field is shared, nothing blocks.
 */
final class Batcher {
  /*
   * A job's texts are tokenised off the inference lanes, a few dozen at a time, jobs taking turns, so
   * that true lengths are known before anything is chosen. Its rows then wait in the queue of their
   * model. Whenever a lane is idle it gets a batch at once ("batch while busy"): there is no delay
   * timer, batches grow by themselves while lanes are busy.
   *
   * Order is self-clocked fair queueing (Golestani 1994) between jobs: a row's turn is the virtual
   * time when its job came plus the tokens of the job's rows before it; virtual time is the end of
   * the row last chosen, its turn plus its tokens. So a job of one text never waits for all of a job
   * of ten thousand; and since every choice moves virtual time on, which is where new jobs start, no
   * stream of new jobs keeps a row from its turn. The row whose turn it is picks the batch;
   * BatchLimits fills it with the lengths nearest to it.
   *
   * A caller may have sent many jobs. Somebody who had nothing under way, a newcomer, does not wait
   * for all of those: every second tokenising call begins with a newcomer's job, and every second
   * batch with a newcomer's first row; the others are as said above, so nobody is kept from running.
   *
   * With the options for it, a row that is the same as another may wait for that one's numbers or
   * have those of an earlier one (RepeatedRows); then it is in no queue either. Whatever becomes of
   * the row that it waits for, its own job is answered: without numbers it runs itself.
   *
   * A paused job's rows are in no queue: they wait with the job, which the slow reader of a stream
   * can so hold up without holding up anybody else.
   *
   * A job comes by Admission, and all that it holds is given back in `settle`, in which every job
   * ends, by success, failure, deadline or cancellation.
   */

  /** Tokenising calls under way at once: one runs, one waits for it. */
  private static final int MAX_TOKENIZE_CALLS = 2;

  /** How long a lane that could not open its interpreter gets nothing; others have one. */
  private static final long LANE_REST_MILLIS = 1_000;

  private final Vertx vertx;
  private final Engine engine;
  private final RagbusOptions options;
  private final ServiceMetrics metrics;
  private final LastRequests requests;
  private final LongSupplier nanoClock;
  private final Admission admission;
  private final BatchLimits embeddingLimits;
  private final BatchLimits rerankLimits;

  private final Map<LoadedModel, LengthQueue> queues = new LinkedHashMap<>();
  private final RepeatedRows repeated;
  private final Deque<Job> untokenized = new ArrayDeque<>();

  /** Those of newcomers, until their first call. */
  private final Deque<Job> untokenizedNewcomers = new ArrayDeque<>();

  /** The first rows of newcomers; also ones that have begun to run, or never will. */
  private final Deque<Row> newcomers = new ArrayDeque<>();

  private final Map<Job, Held> jobs = new LinkedHashMap<>();
  private final Map<String, Set<Job>> jobsById = new LinkedHashMap<>();
  private final BitSet idleLanes = new BitSet();

  /** The jobs that each busy lane is running. */
  private final Map<Integer, Set<Job>> passes = new LinkedHashMap<>();

  private final List<Promise<Void>> drainWaiters = new ArrayList<>();
  private int tokenizeCalls;
  private boolean tokenizedNewcomer;
  private boolean ranNewcomer;
  private long virtualTime;
  private long rowNumber;
  private Counters counters = new Counters(0, 0, 0, 0, 0);

  /** What a job holds: its timer, and the turn of its next row. */
  private static final class Held {
    private final long timer;

    /** Whether it is a newcomer's, and has no row yet. */
    private boolean newcomer;

    private long nextTurn;

    Held(long timer, boolean newcomer, long nextTurn) {
      this.timer = timer;
      this.newcomer = newcomer;
      this.nextTurn = nextTurn;
    }
  }

  /** Texts of a job on their way through a tokenising call. */
  private record Part(Job job, int firstText, int texts, TokenizeCall call) {}

  private record Counters(
      long batches, long rows, long realTokens, long paddedTokens, long dropped) {
    Counters ran(int more, long real, long padded) {
      return new Counters(
          batches + 1, rows + more, realTokens + real, paddedTokens + padded, dropped);
    }

    Counters dropped(int count) {
      return new Counters(batches, rows, realTokens, paddedTokens, dropped + count);
    }
  }

  Batcher(
      Vertx vertx,
      Engine engine,
      RagbusOptions options,
      ServiceMetrics metrics,
      LastRequests requests,
      LongSupplier nanoClock) {
    this.vertx = vertx;
    this.engine = engine;
    this.options = options;
    this.metrics = metrics;
    this.requests = requests;
    this.nanoClock = nanoClock;
    this.admission = new Admission(options.batching());
    this.repeated = new RepeatedRows(options.batching());
    this.embeddingLimits = limits(options, "embed_texts");
    this.rerankLimits = limits(options, "rerank_texts");
    idleLanes.set(0, engine.inferenceLanes());
  }

  private static BatchLimits limits(RagbusOptions options, String function) {
    Integer rows = options.python().functions().get(function).maxBatchSize();
    return new BatchLimits(options.batching().maxBatchTokens(), rows);
  }

  /** Admits a job or refuses it at once; the future completes when all its rows have run. */
  Future<Usage> submit(Job job) {
    long nowNanos = nanoClock.getAsLong();
    long millisLeft = (job.deadlineNanos() - nowNanos) / 1_000_000;
    if (millisLeft <= 0) {
      return Future.failedFuture(timeout(job));
    }
    int newcomersBefore = untokenizedNewcomers.size() + newcomers.size();
    RagbusException refusal = admission.refusal(job, millisLeft, newcomersBefore);
    if (refusal != null) {
      return Future.failedFuture(refusal);
    }
    long timer = vertx.setTimer(millisLeft, id -> settle(job, timeout(job)));
    boolean newcomer = admission.isNewcomer(job);
    admission.admit(job);
    jobs.put(job, new Held(timer, newcomer, virtualTime));
    jobsById.computeIfAbsent(job.requestId(), id -> new HashSet<>()).add(job);
    job.phases().submitted(nowNanos);
    if (job.given() != null) {
      tokenized(job, 0, job.spec().texts().size(), Future.succeededFuture(job.given()));
    } else if (mayRunDirectly(job)) {
      runDirectly(job, idleLanes.nextSetBit(0));
    } else {
      (newcomer ? untokenizedNewcomers : untokenized).add(job);
      pumpTokenizer();
    }
    return job.future();
  }

  /** Whether an idle lane may have it as it is: nobody else waits, nothing may be known of it. */
  private boolean mayRunDirectly(Job job) {
    return job.isSmall() && !repeated.concern(job) && !idleLanes.isEmpty() && nothingWaits();
  }

  /** Gives a small job the idle lane that nobody else is waiting for. */
  private void runDirectly(Job job, int lane) {
    Job.Spec spec = job.spec();
    BatchLimits limits = limits(spec.model());
    DirectCall call =
        new DirectCall(
            spec.model().engineModel(),
            job.nextCall(),
            spec.dimensions(),
            spec.finish(),
            nothingElseToRun(),
            batch -> !job.isOver() && limits.suit(batch));
    long startedNanos = nanoClock.getAsLong();
    idleLanes.clear(lane);
    job.started();
    job.phases().passBegins(startedNanos);
    begins(lane, Set.of(job));
    List<PassTrace.Span> spans = PassTrace.begin(Set.of(job));
    engine
        .tokenizeAndForward(lane, call, giveUp(job.deadlineNanos()))
        .onComplete(
            result -> {
              ends(lane, result.cause());
              free(lane, result.cause());
              job.phases().passEnds(nanoClock.getAsLong());
              if (!spans.isEmpty()) {
                PassTrace.end(spans, pass(lane, job, result.result()), result.cause());
              }
              if (!job.isOver()) {
                ranDirectly(job, result, startedNanos);
              }
              pumpLanes();
            });
  }

  private void ranDirectly(Job job, AsyncResult<DirectResult> result, long startedNanos) {
    int texts = job.spec().texts().size();
    if (result.succeeded()) {
      job.phases().tokenizedOnLane(result.result().tokenizeNanos());
    }
    if (result.failed()
        || result.result().values() == null
        || mayHaveSpread(job.spec().model(), result.result().values())) {
      tokenized(job, 0, texts, result.map(DirectResult::tokens));
      return;
    }
    List<Row> batch = rows(job, 0, texts, result.map(DirectResult::tokens));
    if (!job.isOver()) {
      batch.forEach(job::started);
      ran(
          call(batch, false),
          nanoClock.getAsLong() - startedNanos - result.result().tokenizeNanos());
      deliver(batch, result.result().values());
    }
  }

  private static RagbusException timeout(Job job) {
    return RagbusException.of(
        Kind.TIMEOUT,
        job.hasStarted()
            ? "the deadline passed while the work was running"
            : "the deadline passed before the work had started");
  }

  /** Drops the jobs of a request id. */
  void cancel(String requestId) {
    for (Job job : List.copyOf(jobsById.getOrDefault(requestId, Set.of()))) {
      settle(job, RagbusException.of(Kind.CANCELLED, "the caller cancelled " + requestId));
    }
  }

  /** Ends a job that is not over yet. */
  void end(Job job, RagbusException failure) {
    settle(job, failure);
  }

  /** Keeps the waiting rows of a job from running; its time goes on. */
  void pause(Job job) {
    if (!jobs.containsKey(job) || job.isPaused()) {
      return;
    }
    job.pause();
    takeOut(job);
  }

  /** Lets the rows of a paused job run, with no turn that has gone by in between. */
  void resume(Job job) {
    Held held = jobs.get(job);
    if (held == null || !job.isPaused()) {
      return;
    }
    long firstTurn = job.waiting().stream().mapToLong(Row::turn).min().orElse(held.nextTurn);
    long missed = Math.max(0, virtualTime - firstTurn);
    held.nextTurn += missed;
    job.resume(missed);
    lineUp(List.copyOf(job.waiting()));
    pumpLanes();
  }

  /** Forgets what came of earlier rows. */
  void clearCache() {
    repeated.clear();
  }

  /** Completes when no job is left. */
  Future<Void> drained() {
    if (jobs.isEmpty()) {
      return Future.succeededFuture();
    }
    Promise<Void> promise = Promise.promise();
    drainWaiters.add(promise);
    return promise.future();
  }

  /** Fails every job that is left. */
  void failAll(RagbusException failure) {
    List.copyOf(jobs.keySet()).forEach(job -> settle(job, failure));
  }

  Stats.Queue stats() {
    return new Stats.Queue(
        (int) admission.texts(),
        admission.tokens(),
        counters.batches,
        counters.rows,
        counters.realTokens,
        counters.paddedTokens,
        counters.dropped,
        repeated.coalesced(),
        repeated.cached());
  }

  /** The speed of the lanes together; 0 while it is not known. */
  double tokensPerSecond() {
    return admission.tokensPerSecond();
  }

  private void pumpTokenizer() {
    while (tokenizeCalls < MAX_TOKENIZE_CALLS) {
      tokenizedNewcomer =
          !untokenizedNewcomers.isEmpty() && (untokenized.isEmpty() || !tokenizedNewcomer);
      Job job = (tokenizedNewcomer ? untokenizedNewcomers : untokenized).poll();
      if (job == null) {
        return;
      }
      if (job.isOver()) {
        continue;
      }
      if (!job.hasTexts()) {
        completeIfDone(job);
        continue;
      }
      tokenize(withOthers(job));
      if (job.hasTexts()) {
        untokenized.add(job);
      }
    }
  }

  /** A job's next texts and, if it is a small one, those of small ones next in line like it. */
  private List<Part> withOthers(Job job) {
    List<Part> parts = new ArrayList<>();
    parts.add(nextPart(job));
    if (!job.isSmall()) {
      return parts;
    }
    int texts = addSmall(parts, job.nextText(), untokenizedNewcomers);
    addSmall(parts, texts, untokenized);
    return parts;
  }

  private static int addSmall(List<Part> parts, int textsBefore, Deque<Job> line) {
    Job job = parts.get(0).job;
    int texts = textsBefore;
    Job other = line.peek();
    while (other != null && texts < CallBounds.MAX_TEXTS) {
      if (!other.isOver()) {
        if (!other.isSmall() || !other.tokenizesLike(job)) {
          break;
        }
        parts.add(nextPart(other));
        texts += other.nextText();
      }
      line.poll();
      other = line.peek();
    }
    return texts;
  }

  private static Part nextPart(Job job) {
    int firstText = job.nextText();
    TokenizeCall call = job.nextCall();
    return new Part(job, firstText, job.nextText() - firstText, call);
  }

  private void tokenize(List<Part> parts) {
    TokenizeCall call = parts.get(0).call;
    long deadlineNanos = parts.get(0).job.deadlineNanos();
    if (parts.size() > 1) {
      List<String> texts = new ArrayList<>();
      List<String> seconds = call.seconds() == null ? null : new ArrayList<>();
      for (Part part : parts) {
        texts.addAll(part.call.texts());
        if (seconds != null) {
          seconds.addAll(part.call.seconds());
        }
        deadlineNanos = Math.max(deadlineNanos, part.job.deadlineNanos());
      }
      call =
          new TokenizeCall(
              call.handle(),
              texts,
              seconds,
              false,
              call.maxTokens(),
              call.maxChunks(),
              call.truncateLeft());
    }
    tokenizeCalls++;
    long startedNanos = nanoClock.getAsLong();
    parts.forEach(part -> part.job.phases().tokenizingBegins(startedNanos));
    engine
        .tokenize(call, giveUp(deadlineNanos))
        .onComplete(
            result -> {
              tokenizeCalls--;
              long endedNanos = nanoClock.getAsLong();
              parts.forEach(part -> part.job.phases().tokenizingEnds(endedNanos));
              tokenized(parts, result);
              pumpTokenizer();
            });
  }

  /** Deals the tokens of a call out; a call of several jobs that failed is made again for each. */
  private void tokenized(List<Part> parts, AsyncResult<TokenizedTexts> result) {
    if (parts.size() > 1 && result.failed()) {
      parts.forEach(part -> tokenize(List.of(part)));
      return;
    }
    int row = 0;
    for (Part part : parts) {
      int firstRow = row;
      row += part.texts;
      if (!part.job.isOver()) {
        AsyncResult<TokenizedTexts> own =
            parts.size() == 1 ? result : result.map(all -> all.slice(firstRow, part.texts));
        tokenized(part.job, part.firstText, part.texts, own);
      }
    }
  }

  private void tokenized(Job job, int firstText, int texts, AsyncResult<TokenizedTexts> tokens) {
    List<Row> rows = rows(job, firstText, texts, tokens);
    if (!job.isPaused()) {
      lineUp(rows);
    }
    completeIfDone(job);
    pumpLanes();
  }

  /** The rows that a job's tokens are; none where it is over by them. */
  private List<Row> rows(Job job, int firstText, int texts, AsyncResult<TokenizedTexts> tokens) {
    if (tokens.failed()) {
      settle(job, typed(tokens.cause()));
      return List.of();
    }
    try {
      List<Row> rows = job.tokenized(tokens.result(), firstText, texts, this::makeRow);
      if (job.isTokenized()) {
        admission.holdTrueTokens(job);
      }
      return rows;
    } catch (RagbusException refused) {
      settle(job, refused);
      return List.of();
    }
  }

  /** Rows begin to wait, for a lane or for a row that is the same; some need not. */
  private void lineUp(List<Row> rows) {
    IdentityHashMap<Row, RowValues> known = new IdentityHashMap<>();
    for (Row row : rows) {
      RowValues values = repeated.known(row);
      if (values == null) {
        enqueue(row);
      } else {
        known.put(row, values);
      }
    }
    known.forEach(this::answer);
  }

  /** A row that no lane runs has its numbers. */
  private void answer(Row row, RowValues values) {
    Job job = row.job();
    if (!job.isOver()) {
      job.started(row);
      job.finished(row, values);
      job.passed();
      completeIfDone(job);
    }
  }

  private Row makeRow(Job job, int text, TokenRow tokens) {
    Held held = jobs.get(job);
    Row row = new Row(job, text, tokens, held.nextTurn, rowNumber++);
    held.nextTurn += tokens.length();
    if (held.newcomer) {
      held.newcomer = false;
      newcomers.add(row);
    }
    return row;
  }

  /** A row waits for a lane; of those that are the same, the one whose turn comes first. */
  private void enqueue(Row row) {
    Row leader = repeated.leader(row);
    if (leader != null) {
      LengthQueue queue = queues.get(row.job().spec().model());
      if (Row.BY_TURN.compare(row, leader) > 0 || queue == null || !queue.remove(leader)) {
        return;
      }
      repeated.changePlaces(row, leader);
    }
    queue(row);
  }

  private void queue(Row row) {
    queues.computeIfAbsent(row.job().spec().model(), first -> new LengthQueue()).add(row);
  }

  /** A row has run; those that waited for it have its numbers. */
  private void ended(Row row, RowValues values) {
    repeated.ended(row, values).forEach(same -> answer(same, values));
  }

  /**
   * A row waits no more, or ran in vain; the first of those that waited for it does in its place.
   */
  private void gone(Row row) {
    Row next = repeated.gone(row);
    if (next != null) {
      queue(next);
    }
  }

  private void pumpLanes() {
    for (int lane = idleLanes.nextSetBit(0); lane >= 0; lane = idleLanes.nextSetBit(lane + 1)) {
      Row first = nextNewcomer();
      ranNewcomer = first != null;
      if (first == null) {
        first = nextByTurn();
        if (first == null) {
          return;
        }
        virtualTime = Math.max(virtualTime, first.turn() + first.tokens().length());
      }
      LoadedModel model = first.job().spec().model();
      List<Row> batch = queues.get(model).take(limits(model), first);
      removeIfEmpty(model);
      batch.forEach(row -> row.job().started(row));
      idleLanes.clear(lane);
      run(lane, batch);
    }
  }

  private BatchLimits limits(LoadedModel model) {
    return model.type() == ModelType.CROSS_ENCODER ? rerankLimits : embeddingLimits;
  }

  /** The newcomer's row that goes before all others; null for none, which is every second time. */
  private Row nextNewcomer() {
    if (ranNewcomer) {
      return null;
    }
    for (Iterator<Row> rows = newcomers.iterator(); rows.hasNext(); ) {
      Row row = rows.next();
      Row runs = repeated.runsFor(row);
      LengthQueue queue = queues.get(runs.job().spec().model());
      boolean waits = queue != null && queue.contains(runs);
      if (waits || runs.equals(row)) {
        rows.remove(); // else the same row is being run, maybe in vain
      }
      if (waits) {
        return runs;
      }
    }
    return null;
  }

  /** The row whose turn it is; null when no row waits. */
  private Row nextByTurn() {
    Row first = null;
    for (LengthQueue queue : queues.values()) {
      Row row = queue.first();
      if (row != null && (first == null || Row.BY_TURN.compare(row, first) < 0)) {
        first = row;
      }
    }
    return first;
  }

  private void run(int lane, List<Row> batch) {
    long startedNanos = nanoClock.getAsLong();
    ForwardCall call = call(batch, nothingElseToRun());
    forward(lane, batch, call, latestDeadline(batch))
        .onComplete(
            result -> {
              if (result.failed()) {
                failed(lane, batch, typed(result.cause()));
              } else if (mayHaveSpread(batch.get(0).job().spec().model(), result.result())) {
                runApart(
                    lane,
                    batch.stream().map(List::of).collect(Collectors.toCollection(ArrayDeque::new)));
              } else {
                ran(call, nanoClock.getAsLong() - startedNanos);
                laneIdle(lane); // which need not wait for what follows
                deliver(batch, result.result());
                pumpLanes(); // rows that waited for one without numbers are in a queue now
              }
            });
  }

  private static ForwardCall call(List<Row> rows, boolean alone) {
    Engine.Model model = rows.get(0).job().spec().model().engineModel();
    return ForwardCall.of(model, rows.stream().map(Row::tokens).toList(), alone);
  }

  /** Whether a row's numbers may be none because those of another one, packed with it, are none. */
  private static boolean mayHaveSpread(LoadedModel model, List<RowValues> values) {
    return model.engineModel().packs()
        && values.size() > 1
        && values.stream().anyMatch(row -> !row.isFinite());
  }

  /** Runs rows of one model. */
  private Future<List<RowValues>> forward(
      int lane, List<Row> rows, ForwardCall call, long deadlineNanos) {
    Set<Job> running = rows.stream().map(Row::job).collect(Collectors.toSet());
    long startedNanos = nanoClock.getAsLong();
    running.forEach(job -> job.phases().passBegins(startedNanos));
    begins(lane, running);
    List<PassTrace.Span> spans = PassTrace.begin(running);
    return engine
        .forward(lane, call, giveUp(deadlineNanos))
        .onComplete(
            ended -> {
              ends(lane, ended.cause());
              long endedNanos = nanoClock.getAsLong();
              running.forEach(job -> job.phases().passEnds(endedNanos));
              if (!spans.isEmpty()) {
                PassTrace.end(spans, pass(lane, rows), ended.cause());
              }
            });
  }

  /** Whether no lane runs anything, and nothing waits to be run. */
  private boolean nothingElseToRun() {
    return passes.isEmpty() && nothingWaits();
  }

  private boolean nothingWaits() {
    return untokenizedNewcomers.isEmpty()
        && untokenized.isEmpty()
        && tokenizeCalls == 0
        && queues.isEmpty();
  }

  private void begins(int lane, Set<Job> jobs) {
    passes.put(lane, jobs);
    requests.runs(LastRequests.Role.INFERENCE, lane, jobs.stream().map(Job::requestId).toList());
  }

  private void ends(int lane, Throwable failure) {
    passes.remove(lane);
    requests.rests(LastRequests.Role.INFERENCE, lane, failure);
  }

  private static PassTrace.Pass pass(int lane, List<Row> rows) {
    int tokens = rows.stream().mapToInt(row -> row.tokens().length()).sum();
    return new PassTrace.Pass(rows.get(0).job().spec().model().name(), lane, rows.size(), tokens);
  }

  private static PassTrace.Pass pass(int lane, Job job, DirectResult result) {
    TokenizedTexts tokens = result == null ? null : result.tokens();
    return new PassTrace.Pass(
        job.spec().model().name(),
        lane,
        tokens == null ? 0 : tokens.rows(),
        tokens == null ? 0 : tokens.tokens());
  }

  private void laneIdle(int lane) {
    idleLanes.set(lane);
    pumpLanes();
  }

  /** A lane's run has ended; one without an interpreter rests, lest it fails all that waits. */
  private void free(int lane, Throwable failure) {
    if (failure instanceof RagbusException typed && typed.kind() == Kind.NOT_INITIALIZED) {
      vertx.setTimer(LANE_REST_MILLIS, rested -> laneIdle(lane));
    } else {
      idleLanes.set(lane);
    }
  }

  private static long latestDeadline(List<Row> batch) {
    long latest = batch.get(0).job().deadlineNanos();
    for (Row row : batch) {
      latest = Math.max(latest, row.job().deadlineNanos());
    }
    return latest;
  }

  private long giveUp(long deadlineNanos) {
    return deadlineNanos + options.lanes().stuckTimeout().toNanos();
  }

  /** Counts a pass, and how fast it was. */
  private void ran(ForwardCall call, long nanos) {
    int rows = call.rows().size();
    long tokens = call.rows().stream().mapToLong(TokenRow::length).sum();
    long padded = call.layout().tokens();
    counters = counters.ran(rows, tokens, padded);
    metrics.ran(rows, tokens, padded, nanos);
    admission.ran(padded, nanos, engine.inferenceLanes());
  }

  private void deliver(List<Row> batch, List<RowValues> values) {
    if (values.size() != batch.size()) {
      RagbusException failure =
          RagbusException.of(Kind.RUNTIME, batch.size() + " rows came back as " + values.size());
      batch.forEach(row -> settle(row.job(), failure));
      batch.forEach(this::gone);
      return;
    }
    for (int i = 0; i < batch.size(); i++) {
      deliver(batch.get(i), values.get(i));
    }
    batch.forEach(row -> row.job().passed());
  }

  private void deliver(Row row, RowValues values) {
    Job job = row.job();
    boolean finite = values.isFinite();
    if (!job.isOver() && finite) {
      job.finished(row, values);
      completeIfDone(job);
    } else if (!job.isOver()) {
      settle(
          job,
          RagbusException.of(
              Kind.RUNTIME,
              "model '"
                  + job.spec().model().name()
                  + "' gave a result that is not finite for "
                  + job.spec().name(row.text())));
    }
    if (finite) {
      ended(row, values);
    } else {
      gone(row);
    }
  }

  /**
   * A failed batch of several jobs is run again, each job by itself: one's fault stays its own. So
   * is what is left of one that was cancelled; and, each row by itself, one that gave numbers that
   * are none where rows share lines.
   */
  private void failed(int lane, List<Row> batch, RagbusException failure) {
    Map<Job, List<Row>> byJob = new LinkedHashMap<>();
    batch.forEach(row -> byJob.computeIfAbsent(row.job(), job -> new ArrayList<>()).add(row));
    boolean oneAlone = byJob.size() == 1 && failure.kind() != Kind.CANCELLED;
    if (oneAlone || failure.kind() == Kind.LANE_LOST || failure.kind() == Kind.NOT_INITIALIZED) {
      byJob.keySet().forEach(job -> settle(job, failure));
      batch.forEach(this::gone);
      free(lane, failure);
      pumpLanes();
    } else {
      runApart(lane, new ArrayDeque<>(byJob.values()));
    }
  }

  private void runApart(int lane, Deque<List<Row>> groups) {
    List<Row> rows = groups.poll();
    if (rows == null) {
      laneIdle(lane);
      return;
    }
    Job job = rows.get(0).job();
    if (job.isOver()) {
      rows.forEach(this::gone);
      runApart(lane, groups);
      return;
    }
    forward(lane, rows, call(rows, nothingElseToRun()), job.deadlineNanos())
        .onComplete(
            result -> {
              if (result.succeeded()) {
                deliver(rows, result.result());
              } else {
                settle(job, typed(result.cause()));
                rows.forEach(this::gone);
              }
              pumpLanes();
              runApart(lane, groups);
            });
  }

  private static RagbusException typed(Throwable failure) {
    return failure instanceof RagbusException typed
        ? typed
        : RagbusException.of(Kind.RUNTIME, String.valueOf(failure));
  }

  private void completeIfDone(Job job) {
    if (!job.isOver() && job.isComplete()) {
      settle(job, null);
    }
  }

  /** Ends a job, by a failure or (null) with its answer, and gives back all it holds. */
  private void settle(Job job, RagbusException failure) {
    Held held = jobs.remove(job);
    if (held == null) {
      return;
    }
    vertx.cancelTimer(held.timer);
    admission.leave(job);
    Set<Job> sameId = jobsById.get(job.requestId());
    sameId.remove(job);
    if (sameId.isEmpty()) {
      jobsById.remove(job.requestId());
    }
    if (!job.isPaused()) {
      takeOut(job);
    }
    counters = counters.dropped(job.notRun());
    job.phases().over(nanoClock.getAsLong(), job.promptTokens());
    if (failure == null) {
      job.succeed();
    } else {
      job.fail(failure);
      cancelPassesFor(job);
    }
    if (jobs.isEmpty()) {
      List<Promise<Void>> waiters = List.copyOf(drainWaiters);
      drainWaiters.clear();
      waiters.forEach(Promise::complete);
    }
  }

  /** A pass that nobody waits for any more is cut short. */
  private void cancelPassesFor(Job ended) {
    passes.forEach(
        (lane, running) -> {
          if (running.contains(ended) && running.stream().allMatch(Job::isOver)) {
            engine.cancel(lane);
          }
        });
  }

  /** The rows of a job that is over or held up wait no more, and nobody waits for them. */
  private void takeOut(Job job) {
    LoadedModel model = job.spec().model();
    for (Row row : List.copyOf(job.waiting())) {
      LengthQueue queue = queues.get(model);
      if (queue != null) {
        queue.remove(row);
      }
      gone(row);
    }
    removeIfEmpty(model);
  }

  private void removeIfEmpty(LoadedModel model) {
    LengthQueue queue = queues.get(model);
    if (queue != null && queue.isEmpty()) {
      queues.remove(model);
    }
  }
}
