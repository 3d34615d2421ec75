package dev.ragbus.examples.search;

import dev.ragbus.service.RagbusVerticle;
import io.vertx.core.DeploymentOptions;
import io.vertx.core.Future;
import io.vertx.core.Vertx;
import io.vertx.core.json.JsonObject;
import java.nio.file.Files;
import java.util.Deque;
import java.util.concurrent.ConcurrentLinkedDeque;
import org.apache.lucene.store.FSDirectory;

/**
 * The application: the index, the page, Ragbus and indexing, started in this order, so that the
 * page tells from the beginning how far everything is.
 */
final class SearchApplication {
  private final Vertx vertx;
  private final SearchOptions options;
  private final SearchIndex index;
  private final QueryVerticle queries;

  /** What was deployed, the last first. */
  private final Deque<String> deployments = new ConcurrentLinkedDeque<>();

  private SearchApplication(Vertx vertx, SearchOptions options, SearchIndex index) {
    this.vertx = vertx;
    this.options = options;
    this.index = index;
    this.queries = new QueryVerticle(options, index);
  }

  /**
   * Opens the index and serves the page; {@link #start} does the rest.
   *
   * @param options what is searched
   */
  static Future<SearchApplication> open(Vertx vertx, SearchOptions options) {
    return vertx
        .executeBlocking(
            () -> {
              Files.createDirectories(options.indexFolder());
              return SearchIndex.open(FSDirectory.open(options.indexFolder()));
            })
        .compose(index -> open(vertx, options, index));
  }

  /** The same with an index that is open; it becomes this one's. */
  static Future<SearchApplication> open(Vertx vertx, SearchOptions options, SearchIndex index) {
    SearchApplication application = new SearchApplication(vertx, options, index);
    return application.deployed(vertx.deployVerticle(application.queries)).map(application);
  }

  /**
   * Starts Ragbus, and indexing, which goes on after this future has completed.
   *
   * @param ragbusConfig the configuration of Ragbus; environment variables and system properties go
   *     before it
   */
  Future<Void> start(JsonObject ragbusConfig) {
    DeploymentOptions deployment = new DeploymentOptions().setConfig(ragbusConfig);
    return deployed(vertx.deployVerticle(new RagbusVerticle(), deployment))
        .compose(done -> deployed(vertx.deployVerticle(new IndexingVerticle(options, index))));
  }

  private Future<Void> deployed(Future<String> deployment) {
    return deployment.onSuccess(deployments::push).mapEmpty();
  }

  /** Where the page is. */
  String address() {
    return "http://127.0.0.1:" + queries.port();
  }

  /** Stops everything in the opposite order; what was indexed is committed. */
  Future<Void> close() {
    String last = deployments.poll();
    return last == null
        ? vertx.executeBlocking(
            () -> {
              index.close();
              return null;
            })
        : vertx.undeploy(last).compose(done -> close());
  }
}
