package dev.ragbus.examples.search;

import dev.ragbus.EmbedRequest;
import dev.ragbus.Embeddings;
import dev.ragbus.InputType;
import dev.ragbus.Ragbus;
import dev.ragbus.RagbusException;
import dev.ragbus.RerankFrame;
import dev.ragbus.RerankFrame.Score;
import dev.ragbus.RerankRequest;
import dev.ragbus.RerankStream;
import io.vertx.core.Future;
import io.vertx.core.Vertx;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import java.io.IOException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.util.List;

/**
 * A query being answered, as events:
 *
 * <ol>
 *   <li>{@code candidates}: the hits of the hybrid search, best first by fused rank, and the
 *       milliseconds of each phase so far
 *   <li>{@code scores}, several: what the reranker says of some of them, by index in that list; how
 *       many have a score by this
 *   <li>{@code end}: the ranking as indices, best first, with all milliseconds
 * </ol>
 *
 * <p>{@code failure} ends the stream instead. A reader that lags makes the reranking wait; one that
 * goes ends it, and frees the lanes for others.
 */
final class SearchStream {
  private static final Logger LOGGER = System.getLogger(SearchStream.class.getName());

  private final Vertx vertx;
  private final Ragbus ragbus;
  private final SearchIndex index;
  private final EventStream events;
  private final String query;
  private final long startNanos = System.nanoTime();
  private final JsonObject millis = new JsonObject();

  SearchStream(Vertx vertx, Ragbus ragbus, SearchIndex index, EventStream events, String query) {
    this.vertx = vertx;
    this.ragbus = ragbus;
    this.index = index;
    this.events = events;
    this.query = query;
  }

  /** Answers; {@code candidates} is the most hits that are ranked. */
  void run(int candidates) {
    ragbus
        .embed(EmbedRequest.of(query).withInputType(InputType.QUERY))
        .compose(
            vector -> {
              lap("embed", startNanos);
              return vertx.executeBlocking(() -> find(vector, candidates), false);
            })
        .compose(this::rank)
        .onFailure(this::fail);
  }

  private SearchIndex.Found find(Embeddings vector, int candidates) throws IOException {
    return index.search(query, vector.row(0), vector.model(), candidates);
  }

  private Future<Void> rank(SearchIndex.Found found) {
    millis
        .put("lexical", found.lexicalNanos() / 1e6)
        .put("vector", found.vectorNanos() / 1e6)
        .put("fusion", found.fusionNanos() / 1e6);
    JsonArray hits = new JsonArray();
    found.hits().forEach(hit -> hits.add(json(hit)));
    JsonObject candidates =
        new JsonObject()
            .put("hits", hits)
            .put("documents", found.searched().documents())
            .put("chunks", found.searched().chunks())
            .put("millis", millis);
    events.send("candidates", candidates);
    if (found.hits().isEmpty()) {
      lap("total", startNanos);
      events.end("end", new JsonObject().put("ranking", new JsonArray()).put("millis", millis));
      return Future.succeededFuture();
    }
    List<String> texts = found.hits().stream().map(hit -> hit.chunk().reading()).toList();
    long rankedFrom = System.nanoTime();
    return ragbus
        .rerankStream(RerankRequest.of(query, texts).withReturnTexts(false))
        .onSuccess(ranking -> forward(ranking, rankedFrom))
        .mapEmpty();
  }

  private static JsonObject json(Hit hit) {
    return new JsonObject()
        .put("path", hit.path())
        .put("heading", hit.chunk().heading())
        .put("text", hit.chunk().text())
        .put("lexical_rank", hit.lexicalRank())
        .put("vector_rank", hit.vectorRank());
  }

  private void forward(RerankStream ranking, long rankedFrom) {
    events.onClose(ranking::cancel);
    if (events.closed()) {
      ranking.cancel();
    }
    ranking.exceptionHandler(this::fail);
    JsonObject about = new JsonObject();
    ranking.handler(
        frame -> {
          if (frame instanceof RerankFrame.Start start) {
            about.put("model", start.model()).put("method", start.method());
          } else if (frame instanceof RerankFrame.Partial partial) {
            if (!millis.containsKey("first_score")) {
              lap("first_score", rankedFrom);
            }
            events.send("scores", json(partial));
          } else if (frame instanceof RerankFrame.End end) {
            JsonArray order = new JsonArray();
            end.rankedResults().forEach(result -> order.add(result.index()));
            lap("rerank", rankedFrom);
            lap("total", startNanos);
            events.end("end", about.put("ranking", order).put("millis", millis));
          }
          if (events.full()) {
            ranking.pause();
            events.onDrain(ranking::resume);
          }
        });
  }

  private static JsonObject json(RerankFrame.Partial partial) {
    JsonArray scores = new JsonArray();
    for (Score score : partial.results()) {
      scores.add(new JsonObject().put("index", score.index()).put("score", score.score()));
    }
    return new JsonObject().put("results", scores).put("done", partial.done());
  }

  private void lap(String phase, long sinceNanos) {
    millis.put(phase, (System.nanoTime() - sinceNanos) / 1e6);
  }

  private void fail(Throwable failure) {
    if (events.closed()) {
      return;
    }
    if (failure instanceof RagbusException typed) {
      events.end(
          "failure",
          new JsonObject()
              .put("message", typed.getMessage())
              .put("retryable", typed.retryable())
              .put("retry_after_millis", typed.retryAfterMillis()));
    } else {
      LOGGER.log(Level.ERROR, "a query failed", failure);
      events.end(
          "failure",
          new JsonObject()
              .put("message", "the index could not be searched; see the log")
              .put("retryable", false));
    }
  }
}
