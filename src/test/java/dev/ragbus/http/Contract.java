// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import io.vertx.core.Vertx;
import io.vertx.core.http.HttpMethod;
import io.vertx.core.json.JsonObject;
import io.vertx.openapi.contract.OpenAPIContract;
import io.vertx.openapi.contract.Operation;
import io.vertx.openapi.validation.ResponseValidator;
import io.vertx.openapi.validation.ValidatableResponse;
import java.io.InputStream;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;

/** The OpenAPI description that replies must keep to. */
final class Contract {
  private static final Vertx VERTX = Vertx.vertx();
  static final JsonObject JSON = json();
  private static final OpenAPIContract CONTRACT =
      Served.await(OpenAPIContract.from(VERTX, validated()));
  private static final ResponseValidator VALIDATOR = ResponseValidator.create(VERTX, CONTRACT);

  private Contract() {}

  private static JsonObject json() {
    try (InputStream in = HttpVerticle.class.getResourceAsStream("openapi.yaml")) {
      return new JsonObject(new ObjectMapper().writeValueAsString(new YAMLMapper().readTree(in)));
    } catch (Exception e) {
      throw new AssertionError(e);
    }
  }

  /** The validator knows no HTML. */
  private static JsonObject validated() {
    JsonObject copy = JSON.copy();
    copy.getJsonObject("paths").getJsonObject("/").remove("get");
    copy.getJsonObject("paths").remove("/docs");
    return copy;
  }

  /** Fails unless the answer is one that the description allows; other paths are not its matter. */
  static void check(HttpMethod method, String uri, Served.Answer answer) {
    String type = answer.headers().get("Content-Type");
    if (answer.body().length() == 0
        || !"application/json".equals(type)
        || answer.headers().contains("Content-Encoding")) {
      return;
    }
    String path = uri.replaceFirst("\\?.*", "").replaceAll("(?i)%2f", "/");
    Optional<Operation> described =
        CONTRACT.operations().stream()
            .filter(each -> each.getHttpMethod().equals(method))
            .filter(each -> path.matches(each.getOpenAPIPath().replaceAll("\\{\\w+}", ".+")))
            .min((a, b) -> Boolean.compare(isPattern(a), isPattern(b)));
    described.ifPresent(
        operation ->
            Served.await(
                VALIDATOR.validate(
                    ValidatableResponse.create(
                        answer.status(), headers(answer), answer.body(), type),
                    operation.getOperationId())));
  }

  private static Map<String, String> headers(Served.Answer answer) {
    Map<String, String> headers = new HashMap<>();
    answer.headers().forEach((name, value) -> headers.put(name, value));
    return headers;
  }

  private static boolean isPattern(Operation operation) {
    return operation.getOpenAPIPath().contains("{");
  }
}
