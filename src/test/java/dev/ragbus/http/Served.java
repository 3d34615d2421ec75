// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

import dev.ragbus.FakeService;
import dev.ragbus.service.TestService;
import io.vertx.core.Context;
import io.vertx.core.DeploymentOptions;
import io.vertx.core.Future;
import io.vertx.core.MultiMap;
import io.vertx.core.Promise;
import io.vertx.core.Vertx;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpClient;
import io.vertx.core.http.HttpMethod;
import io.vertx.core.http.RequestOptions;
import io.vertx.core.json.JsonObject;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/** An HttpVerticle on a free port before a stand-in for the service, and a client for it. */
final class Served {
  static final Map<String, String> JSON = Map.of("Content-Type", "application/json");

  final FakeService service = new FakeService();
  final HttpVerticle http = new HttpVerticle();
  final HttpClient client;
  private final Vertx vertx;
  private final Context context;
  private String httpId;

  private Served(Vertx vertx) {
    this.vertx = vertx;
    this.context = vertx.getOrCreateContext();
    this.client = vertx.createHttpClient();
  }

  /** Deploys both; {@code config} is added to a free port and a prefix. */
  static Served deploy(Vertx vertx, JsonObject config) {
    Served served = new Served(vertx);
    JsonObject all =
        new JsonObject()
            .put("bus", new JsonObject().put("address_prefix", "test"))
            .put("http", new JsonObject().put("port", 0))
            .mergeIn(config, true);
    DeploymentOptions options = new DeploymentOptions().setConfig(all);
    served.httpId =
        await(
            vertx
                .deployVerticle(served.service, options)
                .compose(id -> vertx.deployVerticle(served.http, options)));
    return served;
  }

  /** Deploys an HttpVerticle beside the real service that has the same configuration; its port. */
  static int beside(Vertx vertx, JsonObject config) {
    HttpVerticle http = new HttpVerticle();
    JsonObject all = TestService.offline().mergeIn(config, true);
    await(vertx.deployVerticle(http, new DeploymentOptions().setConfig(all)));
    return http.actualPort();
  }

  Future<Void> undeployHttp() {
    return vertx.undeploy(httpId);
  }

  int port() {
    return http.actualPort();
  }

  record Answer(int status, MultiMap headers, Buffer body) {
    JsonObject json() {
      return body.toJsonObject();
    }
  }

  Answer get(String path) {
    return send(HttpMethod.GET, path, Map.of(), null);
  }

  Answer post(String path, String body) {
    return send(HttpMethod.POST, path, JSON, Buffer.buffer(body));
  }

  Answer send(HttpMethod method, String path, Map<String, String> headers, Buffer body) {
    Answer answer = await(sending(method, path, headers, body));
    Contract.check(method, path, answer);
    return answer;
  }

  Future<Answer> sending(HttpMethod method, String path, Map<String, String> headers, Buffer body) {
    RequestOptions options =
        new RequestOptions()
            .setMethod(method)
            .setHost("127.0.0.1")
            .setPort(port())
            .setURI(path)
            .setTimeout(20_000);
    headers.forEach(options::putHeader);
    // On one context: from a thread that is none of Vert.x's, the reply's body may be missed.
    Promise<Answer> answer = Promise.promise();
    context.runOnContext(v -> sending(options, body).onComplete(answer));
    return answer.future();
  }

  private Future<Answer> sending(RequestOptions options, Buffer body) {
    return client
        .request(options)
        .compose(request -> body == null ? request.send() : request.send(body))
        .compose(
            response ->
                response
                    .body()
                    .map(bytes -> new Answer(response.statusCode(), response.headers(), bytes)));
  }

  /** What a future fails with; null when it does not. */
  static Throwable failure(Future<?> future) {
    return await(future.transform(ended -> Future.succeededFuture(ended.cause())));
  }

  static <T> T await(Future<T> future) {
    try {
      return future.toCompletionStage().toCompletableFuture().get(10, TimeUnit.SECONDS);
    } catch (Exception e) {
      throw new AssertionError(e);
    }
  }
}
