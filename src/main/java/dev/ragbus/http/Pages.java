// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import io.vertx.core.Future;
import io.vertx.core.Vertx;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpHeaders;
import io.vertx.core.http.HttpMethod;
import io.vertx.core.http.HttpServerResponse;
import io.vertx.core.http.MimeMapping;
import io.vertx.ext.web.RoutingContext;
import java.io.IOException;
import java.io.InputStream;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;

/**
 * What browsers look at: {@code /}, to try the service and watch it; {@code /docs}, which shows
 * {@code /openapi.json}, the description of every route, with Swagger UI. All that they need comes
 * from the class path, so that they work without a network and under a content security policy that
 * lets nothing else in.
 *
 * @param description the OpenAPI document as JSON
 * @param files what is on the class path for each path
 */
record Pages(Buffer description, Map<String, String> files) {
  private static final String DESCRIPTION = "openapi.yaml";
  private static final String SWAGGER_UI = "META-INF/maven/org.webjars/swagger-ui/pom.properties";
  private static final List<String> PAGE =
      List.of(
          "api.js",
          "dom.js",
          "embeddings.js",
          "functions.js",
          "live.js",
          "models.js",
          "page.css",
          "page.js",
          "paths.js",
          "rerank.js");
  private static final String POLICY =
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
          + " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

  /** Reads the description, off the event loop. */
  static Future<Pages> read(Vertx vertx) {
    return vertx.executeBlocking(() -> new Pages(Buffer.buffer(json()), onClassPath()));
  }

  private static byte[] json() throws IOException {
    YAMLMapper yaml = new YAMLMapper();
    try (InputStream in = Pages.class.getResourceAsStream(DESCRIPTION)) {
      return new ObjectMapper().writeValueAsBytes(yaml.readTree(in));
    }
  }

  private static Map<String, String> onClassPath() throws IOException {
    Properties webjar = new Properties();
    try (InputStream in = Pages.class.getClassLoader().getResourceAsStream(SWAGGER_UI)) {
      webjar.load(in);
    }
    String assets = "META-INF/resources/webjars/swagger-ui/" + webjar.getProperty("version") + "/";
    Map<String, String> files = new LinkedHashMap<>();
    files.put("/", "dev/ragbus/http/page/index.html");
    for (String name : PAGE) {
      files.put("/page/" + name, "dev/ragbus/http/page/" + name);
    }
    files.put("/docs", "dev/ragbus/http/docs.html");
    files.put("/docs/start.js", "dev/ragbus/http/docs.js");
    files.put("/docs/swagger-ui.css", assets + "swagger-ui.css");
    files.put("/docs/swagger-ui-bundle.js", assets + "swagger-ui-bundle.js");
    return files;
  }

  void sendDescription(RoutingContext ctx) {
    ctx.response().putHeader(HttpHeaders.CONTENT_TYPE, "application/json");
    Reply.send(ctx, description);
  }

  void sendFile(RoutingContext ctx, String file) {
    HttpServerResponse response = ctx.response().putHeader("Content-Security-Policy", POLICY);
    if (ctx.request().method().equals(HttpMethod.HEAD)) {
      response.putHeader(HttpHeaders.CONTENT_TYPE, MimeMapping.mimeTypeForFilename(file)).end();
    } else {
      response.sendFile(file).onFailure(ctx::fail);
    }
  }
}
