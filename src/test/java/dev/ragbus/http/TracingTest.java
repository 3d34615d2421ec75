// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

import static org.assertj.core.api.Assertions.assertThat;

import dev.ragbus.Await;
import dev.ragbus.Ragbus;
import dev.ragbus.python.environment.TestPython;
import dev.ragbus.service.RagbusVerticle;
import dev.ragbus.service.TestService;
import io.opentelemetry.api.common.AttributeKey;
import io.opentelemetry.api.trace.SpanKind;
import io.opentelemetry.api.trace.propagation.W3CTraceContextPropagator;
import io.opentelemetry.context.propagation.ContextPropagators;
import io.opentelemetry.sdk.OpenTelemetrySdk;
import io.opentelemetry.sdk.testing.exporter.InMemorySpanExporter;
import io.opentelemetry.sdk.trace.SdkTracerProvider;
import io.opentelemetry.sdk.trace.data.SpanData;
import io.opentelemetry.sdk.trace.export.SimpleSpanProcessor;
import io.vertx.core.DeploymentOptions;
import io.vertx.core.Vertx;
import io.vertx.core.json.JsonObject;
import io.vertx.tracing.opentelemetry.OpenTelemetryTracingFactory;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** One trace from a client through HTTP and the bus to the lane, by OpenTelemetry. */
class TracingTest {
  private static final String TRACE = "0af7651916cd43dd8448eb211c80319c";

  private static final InMemorySpanExporter SPANS = InMemorySpanExporter.create();
  private static Vertx vertx;
  private static String address;

  @BeforeAll
  static void start() {
    TestPython.environment();
    OpenTelemetrySdk sdk =
        OpenTelemetrySdk.builder()
            .setTracerProvider(
                SdkTracerProvider.builder()
                    .addSpanProcessor(SimpleSpanProcessor.create(SPANS))
                    .build())
            .setPropagators(ContextPropagators.create(W3CTraceContextPropagator.getInstance()))
            .build();
    vertx = Vertx.builder().withTracer(new OpenTelemetryTracingFactory(sdk)).build();
    DeploymentOptions options =
        new DeploymentOptions()
            .setConfig(TestService.offline().put("http", new JsonObject().put("port", 0)));
    HttpVerticle http = new HttpVerticle();
    Await.result(vertx.deployVerticle(new RagbusVerticle(), options));
    Await.result(vertx.deployVerticle(http, options));
    address = "http://127.0.0.1:" + http.actualPort();
  }

  @BeforeEach
  void forget() {
    SPANS.reset();
  }

  @AfterAll
  static void stop() {
    Await.result(vertx.close());
  }

  private static void embed(List<String> texts) throws Exception {
    HttpRequest request =
        HttpRequest.newBuilder(URI.create(address + "/v1/embeddings"))
            .header("Content-Type", "application/json")
            .header("traceparent", "00-" + TRACE + "-b7ad6b7169203331-01")
            .POST(BodyPublishers.ofString(new JsonObject().put("input", texts).encode()))
            .build();
    assertThat(HttpClient.newHttpClient().send(request, BodyHandlers.ofString()).statusCode())
        .isEqualTo(200);
  }

  private static List<SpanData> passes() {
    return SPANS.getFinishedSpanItems().stream()
        .filter(span -> span.getName().equals("ragbus.pass"))
        .toList();
  }

  private static SpanData parent(SpanData of) {
    return SPANS.getFinishedSpanItems().stream()
        .filter(span -> span.getSpanId().equals(of.getParentSpanId()))
        .findFirst()
        .orElseThrow();
  }

  private static long attribute(SpanData span, String name) {
    return Long.parseLong(span.getAttributes().get(AttributeKey.stringKey(name)));
  }

  /** The reply is out before the last spans have ended. */
  private static void awaitServerSpan() {
    Awaitility.await()
        .until(
            () ->
                SPANS.getFinishedSpanItems().stream()
                    .anyMatch(span -> span.getParentSpanId().equals("b7ad6b7169203331")));
  }

  @Test
  void aRequestIsOneTraceFromHttpToTheLane() throws Exception {
    embed(List.of("a text", "another"));
    awaitServerSpan();

    assertThat(SPANS.getFinishedSpanItems()).extracting(SpanData::getTraceId).containsOnly(TRACE);
    SpanData pass = passes().get(0);
    assertThat(passes()).hasSize(1);
    assertThat(attribute(pass, "ragbus.rows")).isEqualTo(2);
    assertThat(attribute(pass, "ragbus.tokens")).isBetween(6L, 20L);
    assertThat(pass.getAttributes().get(AttributeKey.stringKey("ragbus.model")))
        .isEqualTo("all-MiniLM-L6-v2");
    SpanData consumer = parent(pass);
    SpanData producer = parent(consumer);
    SpanData server = parent(producer);
    assertThat(consumer.getKind()).isIn(SpanKind.CONSUMER, SpanKind.SERVER);
    assertThat(server.getKind()).isEqualTo(SpanKind.SERVER);
    assertThat(server.getParentSpanId()).isEqualTo("b7ad6b7169203331");
  }

  @Test
  void everyPassOfALongRequestIsASpan() throws Exception {
    embed(IntStream.range(0, 100).mapToObj(i -> "text number " + i).toList());
    awaitServerSpan();

    assertThat(passes()).hasSizeGreaterThan(2);
    assertThat(passes().stream().mapToLong(pass -> attribute(pass, "ragbus.rows")).sum())
        .isEqualTo(100);
    assertThat(passes().stream().map(SpanData::getParentSpanId).collect(Collectors.toSet()))
        .hasSize(1);
  }

  @Test
  void whatNobodyTracesHasNoSpans() {
    Await.result(Ragbus.create(vertx).embed("a text"));

    assertThat(passes()).isEmpty();
  }
}
