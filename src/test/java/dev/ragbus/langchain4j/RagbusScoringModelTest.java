// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.langchain4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.langchain4j.data.segment.TextSegment;
import dev.langchain4j.exception.ModelNotFoundException;
import dev.langchain4j.exception.RateLimitException;
import dev.langchain4j.model.output.Response;
import dev.langchain4j.model.scoring.request.ScoringRequest;
import dev.langchain4j.model.scoring.request.ScoringRequestParameters;
import dev.langchain4j.model.scoring.response.ScoringResponse;
import dev.ragbus.Await;
import dev.ragbus.FakeService;
import dev.ragbus.Ragbus;
import io.vertx.core.Future;
import io.vertx.core.Promise;
import io.vertx.core.Vertx;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class RagbusScoringModelTest {
  private final Vertx vertx = Vertx.vertx();
  private final FakeService service = new FakeService();
  private final Ragbus ragbus = Ragbus.create(vertx);

  @BeforeEach
  void start() {
    Await.result(vertx.deployVerticle(service));
  }

  @AfterEach
  void stop() {
    Await.result(vertx.close());
  }

  @Test
  void scoresComeInTheOrderOfTheTexts() {
    List<TextSegment> segments =
        IntStream.of(5, 1, 9, 3, 7)
            .mapToObj(length -> TextSegment.from("x".repeat(length)))
            .toList();
    RagbusScoringModel model =
        RagbusScoringModel.builder(ragbus).limits(new RequestLimits(2, 1_000, 2, 0)).build();

    Response<List<Double>> scores = model.scoreAll(segments, "query");

    assertThat(scores.content())
        .containsExactly(
            (double) (1f / 6),
            (double) (1f / 2),
            (double) (1f / 10),
            (double) (1f / 4),
            (double) (1f / 8));
    assertThat(scores.tokenUsage().inputTokenCount()).isEqualTo(3 * 7);
    assertThat(service.ids).hasSize(3);
  }

  @Test
  void noTextsNeedNoRequest() {
    assertThat(RagbusScoringModel.create(ragbus).scoreAll(List.of(), "query").content()).isEmpty();
    assertThat(service.ids).isEmpty();
  }

  @Test
  void theRequestsModelGoesBeforeTheDefault() {
    RagbusScoringModel model = RagbusScoringModel.builder(ragbus).modelName("one").build();
    ScoringRequest request = ScoringRequest.builder().documents(List.of("a")).query("q").build();
    ScoringRequest other =
        ScoringRequest.builder()
            .documents(List.of("a"))
            .query("q")
            .parameters(ScoringRequestParameters.builder().modelName("other").build())
            .build();

    assertThat(answer(model, request).modelName()).isEqualTo("one");
    assertThat(answer(model, other).modelName()).isEqualTo("other");
  }

  private static ScoringResponse answer(RagbusScoringModel model, ScoringRequest request) {
    return Await.result(Future.fromCompletionStage(model.scoreAsync(request)));
  }

  @Test
  void failuresAreLangchain4jsOwn() {
    RagbusScoringModel model =
        RagbusScoringModel.builder(ragbus).limits(new RequestLimits(2, 1_000, 2, 0)).build();

    assertThatThrownBy(() -> model.score("text", "fail:OVERLOADED"))
        .isExactlyInstanceOf(RateLimitException.class);
    assertThatThrownBy(
            () ->
                RagbusScoringModel.builder(ragbus)
                    .modelName("unknown")
                    .build()
                    .score("text", "query"))
        .isExactlyInstanceOf(ModelNotFoundException.class);
  }

  @Test
  void anEventLoopIsRefused() {
    Promise<Throwable> refusal = Promise.promise();
    vertx.runOnContext(
        v -> {
          try {
            RagbusScoringModel.create(ragbus).score("text", "query");
          } catch (RuntimeException e) {
            refusal.complete(e);
          }
        });

    assertThat(Await.result(refusal.future()))
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("scoreAsync");
  }
}
