package dev.ragbus.examples.search;

import dev.ragbus.Ragbus;
import io.vertx.core.Future;
import io.vertx.core.VerticleBase;
import io.vertx.core.eventbus.ReplyException;
import io.vertx.core.http.HttpHeaders;
import io.vertx.core.http.HttpServer;
import io.vertx.core.json.JsonObject;
import io.vertx.core.net.HostAndPort;
import io.vertx.ext.web.Router;
import io.vertx.ext.web.RoutingContext;
import io.vertx.ext.web.handler.StaticHandler;
import java.util.HashSet;
import java.util.Set;

/**
 * Serves the page and what it asks for, on loopback:
 *
 * <ul>
 *   <li>{@code GET /search?q=…}: the events of a {@link SearchStream}
 *   <li>{@code GET /progress}: the progress of indexing, as events named {@code progress}
 *   <li>{@code POST /index}: index again; 202, or 409 while indexing is under way
 * </ul>
 *
 * <p>Requests whose {@code Host} is not a loopback name, or that come from another origin's page,
 * are refused: what is indexed may be nobody else's business.
 */
final class QueryVerticle extends VerticleBase {
  private static final int MOST_QUERY_CHARS = 1_000;
  private static final Set<String> LOOPBACK = Set.of("localhost", "127.0.0.1");
  private static final String POLICY =
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:;"
          + " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

  private final SearchOptions options;
  private final SearchIndex index;
  private final Set<EventStream> watchers = new HashSet<>();
  private JsonObject progress = IndexingProgress.starting().toJson();
  private HttpServer server;
  private Ragbus ragbus;

  QueryVerticle(SearchOptions options, SearchIndex index) {
    this.options = options;
    this.index = index;
  }

  @Override
  public Future<?> start() {
    ragbus = Ragbus.create(vertx);
    vertx.eventBus().<JsonObject>consumer(IndexingVerticle.PROGRESS, m -> tell(m.body()));
    Router router = Router.router(vertx);
    router.route().handler(QueryVerticle::guard);
    router.get("/search").handler(this::search);
    router.get("/progress").handler(this::watch);
    router.post("/index").handler(this::startIndexing);
    router.get().handler(StaticHandler.create("webroot").setMaxAgeSeconds(0));
    return vertx
        .createHttpServer()
        .requestHandler(router)
        .listen(options.port(), "127.0.0.1")
        .onSuccess(listening -> server = listening);
  }

  /** The port it listens on. */
  int port() {
    return server.actualPort();
  }

  private static void guard(RoutingContext ctx) {
    HostAndPort asked = ctx.request().authority();
    String origin = ctx.request().getHeader(HttpHeaders.ORIGIN);
    ctx.response()
        .putHeader("Content-Security-Policy", POLICY)
        .putHeader("X-Content-Type-Options", "nosniff");
    if (asked == null
        || !LOOPBACK.contains(asked.host())
        || origin != null && !origin.equals("http://" + asked.host() + ":" + asked.port())) {
      refuse(ctx, 403, "only pages of this server may ask, by a loopback name");
    } else {
      ctx.next();
    }
  }

  private static void refuse(RoutingContext ctx, int status, String message) {
    ctx.response().setStatusCode(status);
    ctx.json(new JsonObject().put("message", message));
  }

  private void search(RoutingContext ctx) {
    String query = ctx.request().getParam("q", "").strip();
    if (query.isEmpty() || query.length() > MOST_QUERY_CHARS) {
      refuse(ctx, 400, "q must be 1 to " + MOST_QUERY_CHARS + " characters");
      return;
    }
    new SearchStream(vertx, ragbus, index, new EventStream(ctx.response()), query)
        .run(options.candidates());
  }

  private void watch(RoutingContext ctx) {
    EventStream watcher = new EventStream(ctx.response());
    watchers.add(watcher);
    watcher.onClose(() -> watchers.remove(watcher));
    watcher.send("progress", progress);
  }

  /** Who reads slowly misses some progress, but not the last. */
  private void tell(JsonObject progress) {
    this.progress = progress;
    for (EventStream watcher : watchers) {
      if (watcher.full()) {
        watcher.onDrain(() -> watcher.send("progress", this.progress));
      } else {
        watcher.send("progress", progress);
      }
    }
  }

  private void startIndexing(RoutingContext ctx) {
    vertx
        .eventBus()
        .<JsonObject>request(IndexingVerticle.START, new JsonObject())
        .onSuccess(
            reply -> {
              ctx.response().setStatusCode(202);
              ctx.json(reply.body());
            })
        .onFailure(
            failure ->
                refuse(
                    ctx,
                    failure instanceof ReplyException refused && refused.failureCode() > 0
                        ? refused.failureCode()
                        : 503,
                    failure.getMessage()));
  }
}
