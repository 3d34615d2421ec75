// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

import static dev.ragbus.http.Served.await;
import static dev.ragbus.http.Served.failure;
import static org.assertj.core.api.Assertions.assertThat;

import io.vertx.core.DeploymentOptions;
import io.vertx.core.Future;
import io.vertx.core.Vertx;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpClient;
import io.vertx.core.http.HttpClientOptions;
import io.vertx.core.http.HttpClientRequest;
import io.vertx.core.http.HttpClientResponse;
import io.vertx.core.http.HttpMethod;
import io.vertx.core.http.HttpVersion;
import io.vertx.core.http.RequestOptions;
import io.vertx.core.json.JsonObject;
import io.vertx.core.net.PemTrustOptions;
import io.vertx.junit5.VertxExtension;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;

@ExtendWith(VertxExtension.class)
class TlsTest {
  @TempDir static Path folder;
  private static TestCertificate certificate;

  @BeforeAll
  static void make() throws Exception {
    certificate = TestCertificate.in(folder);
  }

  private static Served deploy(Vertx vertx, JsonObject http) {
    return Served.deploy(vertx, new JsonObject().put("http", certificate.options().mergeIn(http)));
  }

  private static HttpClient client(Vertx vertx, HttpVersion version) {
    return vertx.createHttpClient(
        new HttpClientOptions()
            .setSsl(true)
            .setUseAlpn(true)
            .setProtocolVersion(version)
            .setTrustOptions(
                new PemTrustOptions().addCertPath(certificate.certificate().toString())));
  }

  private static HttpVersion spoken(Vertx vertx, Served served, HttpVersion wanted) {
    RequestOptions options =
        new RequestOptions()
            .setMethod(HttpMethod.POST)
            .setHost("localhost")
            .setPort(served.port())
            .setURI("/v1/embeddings")
            .putHeader("Content-Type", "application/json")
            .putHeader("Origin", "https://localhost:" + served.port());
    HttpClient client = client(vertx, wanted);
    HttpClientResponse response =
        await(
            client
                .request(options)
                .compose(request -> request.send(Buffer.buffer("{\"input\": \"abc\"}"))));
    assertThat(response.statusCode()).isEqualTo(200);
    await(client.close());
    return response.version();
  }

  @Test
  void it_speaks_http_2_and_1_over_tls(Vertx vertx) {
    Served served = deploy(vertx, new JsonObject());
    assertThat(spoken(vertx, served, HttpVersion.HTTP_2)).isEqualTo(HttpVersion.HTTP_2);
    assertThat(spoken(vertx, served, HttpVersion.HTTP_1_1)).isEqualTo(HttpVersion.HTTP_1_1);
    assertThat(failure(served.sending(HttpMethod.GET, "/health/live", Served.JSON, null)))
        .as("without TLS")
        .isNotNull();
  }

  @Test
  void headers_alone_are_sent_without_a_body_over_http_2(Vertx vertx) {
    Served served = deploy(vertx, new JsonObject());
    HttpClient client = client(vertx, HttpVersion.HTTP_2);
    for (String path : List.of("/", "/openapi.json", "/health/live", "/v1/models", "/nothing")) {
      RequestOptions head =
          new RequestOptions()
              .setMethod(HttpMethod.HEAD)
              .setHost("localhost")
              .setPort(served.port())
              .setURI(path);
      String told =
          await(
              client
                  .request(head)
                  .compose(HttpClientRequest::send)
                  .compose(
                      reply ->
                          reply
                              .body()
                              .map(
                                  body ->
                                      reply.version()
                                          + " "
                                          + reply.statusCode()
                                          + " "
                                          + body.length())));
      assertThat(told).as(path).isEqualTo("HTTP_2 " + (path.equals("/nothing") ? 404 : 200) + " 0");
    }
    await(client.close());
  }

  @Test
  void http_2_can_be_left_out(Vertx vertx) {
    Served served = deploy(vertx, new JsonObject().put("http2", false));
    assertThat(spoken(vertx, served, HttpVersion.HTTP_2)).isEqualTo(HttpVersion.HTTP_1_1);
  }

  @Test
  void a_stream_that_is_reset_cancels_its_request_and_no_other(Vertx vertx) {
    Served served = deploy(vertx, new JsonObject());
    HttpClient client = client(vertx, HttpVersion.HTTP_2);
    RequestOptions options =
        new RequestOptions()
            .setMethod(HttpMethod.POST)
            .setHost("localhost")
            .setPort(served.port())
            .setURI("/v1/embeddings")
            .putHeader("Content-Type", "application/json");
    Future<String> otherHeld = served.service.holding();
    Future<HttpClientResponse> other =
        client
            .request(options)
            .compose(request -> request.send(Buffer.buffer("{\"input\": \"hold\"}")));
    await(otherHeld);
    Future<String> held = served.service.holding();
    Future<String> cancelled = served.service.cancelled();
    HttpClientRequest request = await(client.request(options));
    request.send(Buffer.buffer("{\"input\": \"hold\"}"));
    String id = await(held);
    request.reset();
    assertThat(await(cancelled)).isEqualTo(id);
    served.service.release();
    assertThat(await(other).statusCode()).isEqualTo(200);
  }

  @Test
  void a_certificate_that_is_none_stops_the_start(Vertx vertx) {
    JsonObject http =
        new JsonObject()
            .put("port", 0)
            .put("tls_certificate", folder.resolve("none.pem").toString())
            .put("tls_key", folder.resolve("none.pem").toString());
    assertThat(
            failure(
                vertx.deployVerticle(
                    new HttpVerticle(),
                    new DeploymentOptions().setConfig(new JsonObject().put("http", http)))))
        .isNotNull();
  }
}
