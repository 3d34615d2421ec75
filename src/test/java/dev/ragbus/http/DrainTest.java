// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

import static dev.ragbus.http.Served.JSON;
import static dev.ragbus.http.Served.await;
import static dev.ragbus.http.Served.failure;
import static org.assertj.core.api.Assertions.assertThat;

import dev.ragbus.http.Served.Answer;
import io.vertx.core.Future;
import io.vertx.core.Promise;
import io.vertx.core.Vertx;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpClient;
import io.vertx.core.http.HttpClientOptions;
import io.vertx.core.http.HttpClientRequest;
import io.vertx.core.http.HttpClientResponse;
import io.vertx.core.http.HttpMethod;
import io.vertx.core.http.HttpVersion;
import io.vertx.core.http.RequestOptions;
import io.vertx.core.http.WebSocketClient;
import io.vertx.core.json.JsonObject;
import io.vertx.core.net.NetClient;
import io.vertx.core.net.PemTrustOptions;
import io.vertx.junit5.VertxExtension;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;

/** What clients see of a server that shuts down while it has a request to answer. */
@ExtendWith(VertxExtension.class)
class DrainTest {
  private static final Buffer HOLD = Buffer.buffer("{\"input\": \"hold\"}");
  private static final JsonObject PATIENT =
      new JsonObject().put("lanes", new JsonObject().put("drain_timeout", "1h"));

  @TempDir private Path folder;

  private static Future<Answer> held(Served served) {
    Future<String> held = served.service.holding();
    Future<Answer> answer = served.sending(HttpMethod.POST, "/v1/embeddings", JSON, HOLD);
    await(held);
    return answer;
  }

  /** Undeploying begins in its own time, on the verticle's own thread. */
  private static void awaitDraining(Callable<Integer> readiness) {
    // A client of HTTP/2 may find its connection gone in between.
    Awaitility.await().ignoreExceptions().until(readiness, status -> status == 503);
  }

  @Test
  void new_requests_get_503_and_the_accepted_one_its_answer(Vertx vertx) {
    Served served = Served.deploy(vertx, PATIENT);
    Future<Answer> accepted = held(served);
    Future<Void> undeployed = served.undeployHttp();
    awaitDraining(() -> served.get("/health/ready").status());

    Answer refused = served.post("/v1/embeddings", "{\"input\": \"late\"}");
    assertThat(refused.status()).isEqualTo(503);
    assertThat(refused.json().getJsonObject("error").getString("code")).isEqualTo("unavailable");
    assertThat(refused.headers().get("Retry-After")).isEqualTo("1");
    assertThat(refused.headers().get("Connection")).isEqualTo("close");
    assertThat(undeployed.isComplete()).isFalse();
    served.service.release();
    Answer answer = await(accepted);
    assertThat(answer.status()).isEqualTo(200);
    assertThat(answer.headers().get("Connection")).isEqualTo("close");
    await(undeployed);
    NetClient late = vertx.createNetClient();
    assertThat(failure(late.connect(served.port(), "127.0.0.1"))).isNotNull();
  }

  @Test
  void readiness_is_down_and_liveness_is_not(Vertx vertx) {
    Served served = Served.deploy(vertx, PATIENT);
    held(served);
    Answer before = served.get("/health/ready");
    Future<Void> undeployed = served.undeployHttp();
    awaitDraining(() -> served.get("/health/ready").status());

    assertThat(before.status()).isEqualTo(200);
    Answer ready = served.get("/health/ready");
    assertThat(ready.status()).isEqualTo(503);
    assertThat(ready.json().getString("status")).isEqualTo("DOWN");
    assertThat(served.get("/health").status()).isEqualTo(503);
    assertThat(served.get("/health/live").status()).isEqualTo(200);
    served.service.release();
    await(undeployed);
  }

  @Test
  void open_sockets_and_connections_hold_nothing_up(Vertx vertx) {
    Served served = Served.deploy(vertx, PATIENT);
    NetClient connections = vertx.createNetClient();
    await(connections.connect(served.port(), "127.0.0.1"));
    WebSocketClient sockets = SocketClient.client(vertx);
    SocketClient socket = SocketClient.connect(sockets, served.port(), "/v1/rerank/stream", null);
    Promise<Short> closed = Promise.promise();
    socket.socket.closeHandler(v -> closed.complete(socket.socket.closeStatusCode()));

    await(served.undeployHttp());

    assertThat(await(closed.future())).isEqualTo((short) 1001);
  }

  @Test
  void clients_of_http_2_are_told_to_go_away(Vertx vertx) throws Exception {
    TestCertificate certificate = TestCertificate.in(folder);
    Served served =
        Served.deploy(vertx, PATIENT.copy().put("http", certificate.options().put("port", 0)));
    Promise<Void> toldToGo = Promise.promise();
    HttpClient client =
        vertx
            .httpClientBuilder()
            .with(
                new HttpClientOptions()
                    .setSsl(true)
                    .setUseAlpn(true)
                    .setProtocolVersion(HttpVersion.HTTP_2)
                    .setTrustOptions(
                        new PemTrustOptions().addCertPath(certificate.certificate().toString())))
            .withConnectHandler(
                connection -> connection.goAwayHandler(away -> toldToGo.tryComplete()))
            .build();
    RequestOptions request =
        new RequestOptions()
            .setMethod(HttpMethod.POST)
            .setHost("localhost")
            .setPort(served.port())
            .setURI("/v1/embeddings")
            .putHeader("Content-Type", "application/json");
    Future<String> held = served.service.holding();
    Future<HttpClientResponse> accepted = client.request(request).compose(made -> made.send(HOLD));
    await(held);
    Future<Void> undeployed = served.undeployHttp();
    RequestOptions ready =
        new RequestOptions().setHost("localhost").setPort(served.port()).setURI("/health/ready");
    awaitDraining(() -> await(client.request(ready).compose(HttpClientRequest::send)).statusCode());
    await(toldToGo.future());
    served.service.release();
    assertThat(await(accepted).statusCode()).isEqualTo(200);
    await(undeployed);
  }
}
