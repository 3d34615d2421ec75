// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.langchain4j;

import dev.langchain4j.data.segment.TextSegment;
import dev.langchain4j.model.output.Response;
import dev.langchain4j.model.output.TokenUsage;
import dev.langchain4j.model.scoring.ScoringModel;
import dev.langchain4j.model.scoring.request.ScoringRequest;
import dev.langchain4j.model.scoring.request.ScoringRequestParameters;
import dev.langchain4j.model.scoring.response.ScoringResponse;
import dev.ragbus.Ragbus;
import dev.ragbus.Ranking;
import dev.ragbus.RerankRequest;
import io.vertx.core.Future;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.function.Function;

/**
 * A reranker of a Ragbus deployment, for langchain4j.
 *
 * <p>Scores are those of {@link Ragbus#rerank}: passed through the model's own activation, for most
 * cross-encoders a sigmoid, so that they lie between 0 and 1 as a {@code minScore} expects; its
 * logits with {@link Builder#rawScores}. Where an embedding model ranks, they are cosines.
 *
 * <p>Calls with many texts, failures and threads are as with {@link RagbusEmbeddingModel}; here
 * {@code scoreAsync} is for event loops.
 */
public final class RagbusScoringModel implements ScoringModel {
  private final Ragbus ragbus;
  private final ScoringRequestParameters defaults;
  private final boolean rawScores;
  private final Duration timeout;
  private final RequestLimits limits;

  private RagbusScoringModel(Builder builder) {
    ragbus = builder.ragbus;
    defaults = ScoringRequestParameters.builder().modelName(builder.modelName).build();
    rawScores = builder.rawScores;
    timeout = builder.timeout;
    limits = builder.limits;
  }

  /** The deployment's default reranker. */
  public static RagbusScoringModel create(Ragbus ragbus) {
    return builder(ragbus).build();
  }

  /** A reranker of that deployment, to be described further. */
  public static Builder builder(Ragbus ragbus) {
    return new Builder(ragbus);
  }

  /** Scores texts; higher is better. The answer has the tokens read, those of the query too. */
  @Override
  public Response<List<Double>> scoreAll(List<TextSegment> segments, String query) {
    ScoringRequest request =
        ScoringRequest.builder()
            .documents(segments.stream().map(TextSegment::text).toList())
            .query(query)
            .build();
    ScoringResponse response = Blocking.await(() -> scoreAsync(request), "scoreAsync");
    return Response.from(response.scores(), response.tokenUsage());
  }

  /**
   * Scores texts without waiting; the future completes on the caller's context where there is one.
   * Cancelling it drops the work.
   */
  @Override
  public CompletableFuture<ScoringResponse> doScoreAsync(ScoringRequest request) {
    if (request.documents().isEmpty()) {
      return CompletableFuture.completedFuture(
          ScoringResponse.builder().scores(List.of()).tokenUsage(new TokenUsage(0)).build());
    }
    List<Function<Ragbus, Future<Ranking>>> requests = new ArrayList<>();
    try {
      for (List<String> some : limits.split(request.documents(), request.query().length())) {
        RerankRequest body =
            RerankRequest.of(request.query(), some)
                .withModel(request.modelName())
                .withRawScores(rawScores)
                .withReturnTexts(false);
        requests.add(client -> client.rerank(body));
      }
    } catch (RuntimeException e) {
      return CompletableFuture.failedFuture(Failures.of(e));
    }
    return Requests.send(ragbus, timeout, limits, requests, RagbusScoringModel::response);
  }

  private static ScoringResponse response(List<Ranking> rankings) {
    List<Double> scores = new ArrayList<>();
    int tokens = 0;
    for (Ranking ranking : rankings) {
      Double[] inOrder = new Double[ranking.rankedResults().size()];
      for (Ranking.Result result : ranking.rankedResults()) {
        inOrder[result.index()] = (double) result.score();
      }
      scores.addAll(Arrays.asList(inOrder));
      tokens += ranking.usage().promptTokens();
    }
    return ScoringResponse.builder()
        .scores(scores)
        .modelName(rankings.get(0).model())
        .tokenUsage(new TokenUsage(tokens))
        .build();
  }

  @Override
  public ScoringRequestParameters defaultRequestParameters() {
    return defaults;
  }

  /** A reranker that is being described. */
  public static final class Builder {
    private final Ragbus ragbus;
    private String modelName;
    private boolean rawScores;
    private Duration timeout = Duration.ofSeconds(60);
    private RequestLimits limits = RequestLimits.SCORING;

    private Builder(Ragbus ragbus) {
      this.ragbus = Objects.requireNonNull(ragbus, "ragbus");
    }

    /** The model of requests that name none; null for the deployment's default reranker. */
    public Builder modelName(String modelName) {
      this.modelName = modelName;
      return this;
    }

    /** Whether scores are the model's logits; default false. */
    public Builder rawScores(boolean rawScores) {
      this.rawScores = rawScores;
      return this;
    }

    /**
     * The time that each request has, whatever the client's own; default 60 s, at least a
     * millisecond. A deployment caps it at its own limit.
     */
    public Builder timeout(Duration timeout) {
      if (timeout.toMillis() < 1) {
        throw new IllegalArgumentException("timeout must be at least 1 ms, not " + timeout);
      }
      this.timeout = timeout;
      return this;
    }

    /** How calls are cut into requests; default {@link RequestLimits#SCORING}. */
    public Builder limits(RequestLimits limits) {
      this.limits = Objects.requireNonNull(limits, "limits");
      return this;
    }

    /** The reranker; nothing is sent yet. */
    public RagbusScoringModel build() {
      return new RagbusScoringModel(this);
    }
  }
}
