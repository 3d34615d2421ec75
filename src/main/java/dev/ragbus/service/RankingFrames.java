// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import dev.ragbus.JsonBodies;
import dev.ragbus.Ranking;
import dev.ragbus.RerankFrame.End;
import dev.ragbus.RerankFrame.Partial;
import dev.ragbus.RerankFrame.Score;
import dev.ragbus.RerankFrame.Start;
import dev.ragbus.RerankFrame.Top;
import dev.ragbus.Usage;
import dev.ragbus.python.RowValues;
import io.vertx.core.Future;
import java.util.List;

/** Writes a ranking to its stream while it is made. Belongs to the service's event loop. */
final class RankingFrames implements Job.Sink {
  private final Reranking reranking;
  private final BusStream stream;
  private final String id;
  private final boolean runningTop;

  RankingFrames(Reranking reranking, BusStream stream, String id, boolean runningTop) {
    this.reranking = reranking;
    this.stream = stream;
    this.id = id;
    this.runningTop = runningTop;
  }

  /** Says that ranking begins. */
  void start() {
    write(new Start(id, reranking.model().name(), reranking.method(), reranking.total()));
  }

  @Override
  public void accept(int text, RowValues values) {
    reranking.accept(text, values);
  }

  @Override
  public void finished(List<Integer> texts) {
    List<Score> results = reranking.finished(texts);
    if (results.isEmpty()) {
      return;
    }
    write(new Partial(id, results, reranking.told()));
    if (runningTop) {
      write(new Top(id, reranking.best(results)));
    }
  }

  /** Ends the stream as the work ended. */
  void end(Future<Usage> done) {
    if (done.succeeded()) {
      Ranking ranking = reranking.ranking(done.result());
      write(new End(id, ranking.rankedResults(), ranking.usage()));
      stream.end();
    } else {
      stream.fail(BusEndpoint.typed(done.cause()));
    }
  }

  private void write(Record frame) {
    stream.write(JsonBodies.format(frame));
  }
}
