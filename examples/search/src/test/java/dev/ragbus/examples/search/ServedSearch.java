package dev.ragbus.examples.search;

import io.vertx.core.Vertx;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.apache.lucene.store.Directory;

/** The application in this JVM, with the real Python and the packaged model, off line. */
final class ServedSearch implements AutoCloseable {
  private final Vertx vertx;
  private final SearchApplication application;

  private ServedSearch(Vertx vertx, SearchApplication application) {
    this.vertx = vertx;
    this.application = application;
  }

  /** Serves the page; {@link #start} starts the rest. */
  static ServedSearch open(Path folder, Directory index) throws IOException {
    Vertx vertx = Vertx.vertx();
    SearchOptions options =
        new SearchOptions(
            folder, List.of(), folder, 0, 128, 1_000_000, 512, 50, Duration.ofMillis(200));
    return new ServedSearch(
        vertx, Await.result(SearchApplication.open(vertx, options, SearchIndex.open(index))));
  }

  void start() {
    JsonArray packaged = new JsonArray().add("all-MiniLM-L6-v2");
    JsonObject config =
        new JsonObject()
            .put(
                "models",
                new JsonObject()
                    .put("offline", true)
                    .put("embedding", packaged)
                    .put("reranker", packaged.copy()))
            .put("python", new JsonObject().put("module_path", new JsonArray()));
    Await.result(application.start(config));
  }

  String address() {
    return application.address();
  }

  @Override
  public void close() {
    Await.result(application.close());
    Await.result(vertx.close());
  }
}
