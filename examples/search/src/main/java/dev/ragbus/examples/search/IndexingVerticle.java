package dev.ragbus.examples.search;

import dev.ragbus.Ragbus;
import io.vertx.core.Future;
import io.vertx.core.VerticleBase;
import io.vertx.core.WorkerExecutor;
import io.vertx.core.eventbus.Message;
import io.vertx.core.json.JsonObject;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.util.concurrent.Callable;

/**
 * Keeps the index equal to the folder: once at start, and whenever a message to {@link #START} asks
 * for it. How far it is, is published to {@link #PROGRESS}, as {@link IndexingProgress} in JSON.
 *
 * <p>The event loop only decides. Files are read and parsed on {@value #READERS} worker threads;
 * the index is written on one of its own, in order.
 */
final class IndexingVerticle extends VerticleBase {
  /** Starts indexing; fails with 409 if it is under way. */
  static final String START = "search.indexing.start";

  /** Where progress is published. */
  static final String PROGRESS = "search.indexing.progress";

  private static final Logger LOGGER = System.getLogger(IndexingVerticle.class.getName());
  private static final long PUBLISH_MILLIS = 200;
  private static final long LOG_MILLIS = 2_000;
  private static final int READERS = 2;
  private static final int CONFLICT = 409;

  private final SearchOptions options;
  private final SearchIndex index;
  private WorkerExecutor readers;
  private WorkerExecutor writer;
  private IndexingRun run;
  private IndexingProgress published;
  private Future<Void> running = Future.succeededFuture();

  IndexingVerticle(SearchOptions options, SearchIndex index) {
    this.options = options;
    this.index = index;
  }

  @Override
  public Future<?> start() {
    readers = vertx.createSharedWorkerExecutor("search-reader-" + deploymentID(), READERS);
    writer = vertx.createSharedWorkerExecutor("search-writer-" + deploymentID(), 1);
    vertx.eventBus().<JsonObject>consumer(START, this::start);
    vertx.setPeriodic(PUBLISH_MILLIS, timer -> publish());
    vertx.setPeriodic(LOG_MILLIS, timer -> log());
    begin();
    return Future.succeededFuture();
  }

  private void start(Message<JsonObject> message) {
    if (running.isComplete()) {
      begin();
      message.reply(run.progress().toJson());
    } else {
      message.fail(CONFLICT, "indexing is under way");
    }
  }

  private void begin() {
    run =
        new IndexingRun(
            vertx,
            Ragbus.create(vertx),
            options,
            index,
            new IndexingRun.Blocking() {
              @Override
              public <T> Future<T> read(Callable<T> work) {
                return readers.executeBlocking(work, false);
              }

              @Override
              public <T> Future<T> write(Callable<T> work) {
                return writer.executeBlocking(work);
              }
            });
    running = run.run().onComplete(ended -> ended());
  }

  private void ended() {
    IndexingProgress progress = run.progress();
    boolean failed = progress.state() == IndexingProgress.State.FAILED;
    LOGGER.log(failed ? Level.ERROR : Level.INFO, progress.message());
    publish();
  }

  private void publish() {
    IndexingProgress progress = run.progress();
    if (!progress.equals(published)) {
      published = progress;
      vertx.eventBus().publish(PROGRESS, progress.toJson());
    }
  }

  private void log() {
    if (!running.isComplete()) {
      LOGGER.log(Level.INFO, run.progress().message());
    }
  }

  @Override
  public Future<?> stop() {
    run.cancel();
    return running.compose(ended -> readers.close()).compose(closed -> writer.close());
  }
}
