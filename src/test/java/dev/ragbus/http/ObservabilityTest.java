// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

import static org.assertj.core.api.Assertions.assertThat;

import dev.ragbus.Await;
import dev.ragbus.EmbedRequest;
import dev.ragbus.FunctionCall;
import dev.ragbus.Ragbus;
import dev.ragbus.RerankRequest;
import dev.ragbus.Timings;
import dev.ragbus.python.environment.TestPython;
import dev.ragbus.service.RagbusVerticle;
import dev.ragbus.service.TestService;
import io.vertx.core.DeploymentOptions;
import io.vertx.core.Vertx;
import io.vertx.core.VertxOptions;
import io.vertx.core.json.JsonObject;
import io.vertx.micrometer.MicrometerMetricsOptions;
import io.vertx.micrometer.VertxPrometheusOptions;
import io.vertx.micrometer.backends.BackendRegistries;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** The real service, seen from outside: its metrics, the dashboard on them, and where time goes. */
class ObservabilityTest {
  private static final Pattern SAMPLE =
      Pattern.compile("(?m)^(ragbus_[a-z_]+)(?:\\{([^}]*)})? ([-+.0-9eENaInf]+)$");
  private static final Pattern METRIC = Pattern.compile("\\b(ragbus_[a-z_]+)(?:\\{([^}]*)})?");
  private static final Pattern LABEL = Pattern.compile("([a-z_]+)(?:=~|=)\"");
  private static final Pattern BY = Pattern.compile("by \\(([a-z_, ]+)\\)");

  private static final HttpClient CLIENT = HttpClient.newHttpClient();
  private static Vertx vertx;
  private static Ragbus ragbus;
  private static String address;

  @BeforeAll
  static void start() {
    TestPython.environment();
    vertx =
        Vertx.vertx(
            new VertxOptions()
                .setMetricsOptions(
                    new MicrometerMetricsOptions()
                        .setPrometheusOptions(new VertxPrometheusOptions().setEnabled(true))
                        .setEnabled(true)));
    DeploymentOptions options =
        new DeploymentOptions()
            .setConfig(TestService.offline().put("http", new JsonObject().put("port", 0)));
    HttpVerticle http = new HttpVerticle();
    Await.result(vertx.deployVerticle(new RagbusVerticle(), options));
    Await.result(vertx.deployVerticle(http, options));
    ragbus = Ragbus.create(vertx);
    address = "http://127.0.0.1:" + http.actualPort();
  }

  @AfterAll
  static void stop() {
    Await.result(vertx.close());
    BackendRegistries.stop(MicrometerMetricsOptions.DEFAULT_REGISTRY_NAME);
  }

  private static HttpResponse<String> send(String path, String body) throws Exception {
    HttpRequest.Builder request =
        HttpRequest.newBuilder(URI.create(address + path))
            .header("Content-Type", "application/json");
    return CLIENT.send(
        (body == null ? request : request.POST(BodyPublishers.ofString(body))).build(),
        BodyHandlers.ofString());
  }

  /** The label names of every sample, by the sample's name. */
  private static Map<String, Set<String>> scrape() throws Exception {
    Map<String, Set<String>> labels = new HashMap<>();
    Matcher sample = SAMPLE.matcher(send("/metrics", null).body());
    while (sample.find()) {
      Set<String> names = labels.computeIfAbsent(sample.group(1), name -> new HashSet<>());
      names.addAll(labels(sample.group(2)));
    }
    return labels;
  }

  private static List<String> labels(String selector) {
    return selector == null
        ? List.of()
        : LABEL.matcher(selector).results().map(label -> label.group(1)).toList();
  }

  private static double value(String sample) throws Exception {
    for (String line : send("/metrics", null).body().lines().toList()) {
      if (line.startsWith(sample + " ")) {
        return Double.parseDouble(line.substring(sample.length() + 1));
      }
    }
    throw new AssertionError("no sample " + sample);
  }

  private static List<String> expressions() throws Exception {
    List<String> expressions = new ArrayList<>();
    JsonObject dashboard =
        new JsonObject(Files.readString(Path.of("docs", "grafana", "ragbus.json")));
    dashboard.getJsonArray("panels").stream()
        .map(JsonObject.class::cast)
        .filter(panel -> panel.containsKey("targets"))
        .flatMap(panel -> panel.getJsonArray("targets").stream())
        .forEach(target -> expressions.add(((JsonObject) target).getString("expr")));
    return expressions;
  }

  @Test
  void everythingOnTheDashboardIsInAScrape() throws Exception {
    Await.result(ragbus.embed("a text"));
    Await.result(ragbus.rerank(RerankRequest.of("a query", "one", "two")));
    Await.result(ragbus.call(FunctionCall.of("list_models", new JsonObject())));
    Await.failure(ragbus.call(FunctionCall.of("embed_texts", new JsonObject().put("texts", 1))));
    Awaitility.await()
        .untilAsserted(() -> assertThat(scrape()).containsKey("ragbus_model_memory_bytes"));
    Map<String, Set<String>> scraped = scrape();

    List<String> expressions = expressions();
    assertThat(expressions).hasSizeGreaterThan(20);
    for (String expression : expressions) {
      Matcher by = BY.matcher(expression);
      List<String> grouped = by.find() ? List.of(by.group(1).split(", ")) : List.of();
      Matcher metric = METRIC.matcher(expression);
      while (metric.find()) {
        assertThat(scraped).as(expression).containsKey(metric.group(1));
        assertThat(scraped.get(metric.group(1)))
            .as(expression)
            .containsAll(grouped)
            .containsAll(labels(metric.group(2)));
      }
    }
  }

  @Test
  void everyMetricIsInTheDocument() throws Exception {
    String document = Files.readString(Path.of("docs", "operations.md"));
    Await.result(ragbus.embed("a text"));
    Set<String> meters = new HashSet<>();
    for (var meter : BackendRegistries.getDefaultNow().getMeters()) {
      if (meter.getId().getName().startsWith("ragbus.")) {
        meters.add("`" + meter.getId().getName() + "`");
      }
    }
    assertThat(meters).hasSizeGreaterThan(25).allMatch(document::contains);
  }

  @Test
  void metersCountWhatWasRun() throws Exception {
    String tokens = "ragbus_tokens_total{operation=\"embed\",prefix=\"rag\"}";
    String requests = "ragbus_inference_time_seconds_count{operation=\"embed\",prefix=\"rag\"}";
    String rows = "ragbus_pass_rows_sum{prefix=\"rag\"}";
    String real = "ragbus_pass_tokens_sum{prefix=\"rag\"}";
    String padded = "ragbus_pass_padded_tokens_sum{prefix=\"rag\"}";
    double tokensBefore = value(tokens);
    double requestsBefore = value(requests);
    double rowsBefore = value(rows);
    double realBefore = value(real);
    double paddedBefore = value(padded);

    int ran = Await.result(ragbus.embed("one", "two words")).usage().promptTokens();

    assertThat(value(tokens) - tokensBefore).isEqualTo(ran);
    assertThat(value(requests) - requestsBefore).isEqualTo(1);
    assertThat(value(rows) - rowsBefore).isEqualTo(2);
    assertThat(value(real) - realBefore).isEqualTo(ran);
    assertThat(value(padded) - paddedBefore).isGreaterThanOrEqualTo(ran);
  }

  @Test
  void repliesSayWhereTheTimeWent() throws Exception {
    String header =
        send("/v1/embeddings", "{\"input\":[\"a text\",\"another\"]}")
            .headers()
            .firstValue("Server-Timing")
            .orElseThrow();
    Timings timings = Timings.parse(header);

    assertThat(header)
        .matches(
            "queue;dur=[0-9.]+, tokenize;dur=[0-9.]+, inference;dur=[0-9.]+, total;dur=[0-9.]+");
    assertThat(timings.tokenizeMillis()).isPositive();
    assertThat(timings.inferenceMillis()).isPositive();
    assertThat(timings.totalMillis())
        .isGreaterThan(
            timings.queueMillis() + timings.tokenizeMillis() + timings.inferenceMillis());
    assertThat(send("/v1/models", null).headers().firstValue("Server-Timing").orElseThrow())
        .matches("total;dur=[0-9.]+");
    assertThat(send("/v1/embeddings", "{\"input\":7}").headers().firstValue("Server-Timing"))
        .get()
        .asString()
        .matches("total;dur=[0-9.]+");
  }

  @Test
  void applicationsAreToldToo() {
    List<Timings> told = new ArrayList<>();
    Ragbus timed = ragbus.withTimings(told::add);
    Await.result(timed.embed(EmbedRequest.of("a text")));
    Await.result(timed.listModels());

    assertThat(told)
        .singleElement()
        .satisfies(timings -> assertThat(timings.inferenceMillis()).isPositive());
  }
}
