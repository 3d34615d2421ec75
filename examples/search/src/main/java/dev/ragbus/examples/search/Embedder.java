package dev.ragbus.examples.search;

import dev.ragbus.EmbedRequest;
import dev.ragbus.Embeddings;
import dev.ragbus.InputType;
import dev.ragbus.Ragbus;
import io.vertx.core.Future;
import io.vertx.core.Promise;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;

/**
 * Embeds many texts: enough of them at once to keep the lanes of Ragbus busy, and no more. Texts
 * travel in requests of {@value #REQUEST_TEXTS}, which Ragbus cuts and joins into batches as it
 * likes. A request that waits for its next try keeps its place among those under way, so an
 * overloaded service is sent less and less.
 *
 * <p>Confined to the event loop of the verticle that made it.
 */
final class Embedder {
  static final int REQUEST_TEXTS = 32;

  private record Request(List<String> texts, Promise<List<float[]>> vectors) {}

  private final Ragbus ragbus;
  private final PatientCalls calls;
  private final int maxTextsInFlight;
  private final Deque<Request> waiting = new ArrayDeque<>();
  private int textsWaiting;
  private int textsInFlight;
  private long embedded;
  private long truncated;

  /** Why no more texts are embedded; null while they are. */
  private Throwable ended;

  /**
   * An embedder.
   *
   * @param maxTextsInFlight the most texts under way at once; a single request may exceed it
   */
  Embedder(Ragbus ragbus, PatientCalls calls, int maxTextsInFlight) {
    this.ragbus = ragbus;
    this.calls = calls;
    this.maxTextsInFlight = maxTextsInFlight;
  }

  /** The vectors of texts, in their order; fails with a {@link dev.ragbus.RagbusException}. */
  Future<List<float[]>> embed(List<String> texts) {
    if (ended != null) {
      return Future.failedFuture(ended);
    }
    List<Future<List<float[]>>> parts = new ArrayList<>();
    for (int from = 0; from < texts.size(); from += REQUEST_TEXTS) {
      int to = Math.min(texts.size(), from + REQUEST_TEXTS);
      Request request = new Request(texts.subList(from, to), Promise.promise());
      waiting.add(request);
      textsWaiting += request.texts.size();
      parts.add(request.vectors.future());
    }
    send();
    return Future.all(parts)
        .map(
            done -> {
              List<float[]> vectors = new ArrayList<>(texts.size());
              parts.forEach(part -> vectors.addAll(part.result()));
              return vectors;
            });
  }

  /** Whether the lanes could do with more texts than are here. */
  boolean hungry() {
    return textsWaiting + textsInFlight < 2 * maxTextsInFlight;
  }

  /** How many texts were embedded. */
  long embedded() {
    return embedded;
  }

  /** How many of them were longer than the model reads. */
  long truncated() {
    return truncated;
  }

  /** Fails what waits, and what still comes. */
  void end(Throwable reason) {
    ended = reason;
    textsWaiting = 0;
    waiting.forEach(request -> request.vectors.tryFail(reason));
    waiting.clear();
  }

  private void send() {
    while (!waiting.isEmpty() && fits(waiting.peek().texts.size())) {
      Request request = waiting.poll();
      int texts = request.texts.size();
      textsWaiting -= texts;
      textsInFlight += texts;
      calls
          .call(() -> embed(request))
          .map(this::rows)
          .onComplete(
              result -> {
                textsInFlight -= texts;
                request.vectors.handle(result);
                send();
              });
    }
  }

  private Future<Embeddings> embed(Request request) {
    return ragbus.embed(EmbedRequest.of(request.texts).withInputType(InputType.DOCUMENT));
  }

  private boolean fits(int texts) {
    return textsInFlight == 0 || textsInFlight + texts <= maxTextsInFlight;
  }

  private List<float[]> rows(Embeddings embeddings) {
    embedded += embeddings.count();
    truncated += embeddings.usage().truncated().size();
    List<float[]> rows = new ArrayList<>(embeddings.count());
    for (int row = 0; row < embeddings.count(); row++) {
      rows.add(embeddings.row(row));
    }
    return rows;
  }
}
