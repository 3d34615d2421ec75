package dev.ragbus.http;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import io.vertx.core.Future;
import io.vertx.core.Vertx;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpHeaders;
import io.vertx.ext.web.RoutingContext;
import java.io.IOException;
import java.io.InputStream;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Properties;

/**
 * {@code /openapi.json}, which describes every route, and {@code /docs}, which shows it with
 * Swagger UI. All that the page needs comes from the class path, so that it works without a network
 * and under a content security policy that lets nothing else in.
 *
 * @param description the OpenAPI document as JSON
 * @param files what is on the class path for each path of the page
 */
record ApiPages(Buffer description, Map<String, String> files) {
  private static final String DESCRIPTION = "openapi.yaml";
  private static final String SWAGGER_UI = "META-INF/maven/org.webjars/swagger-ui/pom.properties";
  private static final String POLICY =
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
          + " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

  /** Reads the description, off the event loop. */
  static Future<ApiPages> read(Vertx vertx) {
    return vertx.executeBlocking(() -> new ApiPages(Buffer.buffer(json()), pages()));
  }

  private static byte[] json() throws IOException {
    YAMLMapper yaml = new YAMLMapper();
    try (InputStream in = ApiPages.class.getResourceAsStream(DESCRIPTION)) {
      return new ObjectMapper().writeValueAsBytes(yaml.readTree(in));
    }
  }

  private static Map<String, String> pages() throws IOException {
    Properties webjar = new Properties();
    try (InputStream in = ApiPages.class.getClassLoader().getResourceAsStream(SWAGGER_UI)) {
      webjar.load(in);
    }
    String assets = "META-INF/resources/webjars/swagger-ui/" + webjar.getProperty("version") + "/";
    Map<String, String> files = new LinkedHashMap<>();
    files.put("/docs", "dev/ragbus/http/docs.html");
    files.put("/docs/start.js", "dev/ragbus/http/docs.js");
    files.put("/docs/swagger-ui.css", assets + "swagger-ui.css");
    files.put("/docs/swagger-ui-bundle.js", assets + "swagger-ui-bundle.js");
    return files;
  }

  void sendDescription(RoutingContext ctx) {
    ctx.response().putHeader(HttpHeaders.CONTENT_TYPE, "application/json").end(description);
  }

  void sendFile(RoutingContext ctx, String file) {
    ctx.response().putHeader("Content-Security-Policy", POLICY).sendFile(file).onFailure(ctx::fail);
  }
}
