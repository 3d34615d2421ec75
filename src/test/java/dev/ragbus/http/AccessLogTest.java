// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

import static org.assertj.core.api.Assertions.assertThat;

import io.vertx.core.Vertx;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpMethod;
import io.vertx.core.json.JsonObject;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.logging.Handler;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class AccessLogTest {
  private static final String KEY = "0123456789-abcdef";

  /** Held, or it could be collected with its handler. */
  private final Logger logger = Logger.getLogger(AccessLog.LOGGER);

  private final List<String> lines = new CopyOnWriteArrayList<>();
  private final Handler handler =
      new Handler() {
        @Override
        public void publish(LogRecord line) {
          lines.add(line.getMessage());
        }

        @Override
        public void flush() {}

        @Override
        public void close() {}
      };
  private Vertx vertx;

  @BeforeEach
  void listen() {
    vertx = Vertx.vertx();
    logger.addHandler(handler);
  }

  @AfterEach
  void close() {
    logger.removeHandler(handler);
    vertx.close().await();
  }

  private Served served(boolean accessLog) {
    return Served.deploy(
        vertx,
        new JsonObject()
            .put("http", new JsonObject().put("access_log", accessLog))
            .put("security", new JsonObject().put("keys", List.of("use:" + KEY))));
  }

  private String line(int number) {
    Awaitility.await().until(() -> lines.size() >= number);
    return lines.get(number - 1);
  }

  @Test
  void aRequestIsALine() {
    Served served = served(true);
    Map<String, String> headers =
        Map.of(
            "Content-Type",
            "application/json",
            "Authorization",
            "Bearer " + KEY,
            "X-Request-Id",
            "mine");
    Buffer body = Buffer.buffer("{\"input\":\"a secret text\"}");
    Served.Answer answer = served.send(HttpMethod.POST, "/v1/embeddings", headers, body);

    assertThat(line(1))
        .matches(
            "method=POST path=/v1/embeddings status=200 bytes="
                + answer.body().length()
                + " millis=[0-9]+\\.[0-9] id=mine caller=\"key 1\"")
        .doesNotContain(KEY, "secret");
  }

  @Test
  void refusalsAreLinesTooWithoutTheQuery() {
    Served served = served(true);
    served.send(HttpMethod.GET, "/v1/models?key=hidden", Map.of(), null);

    assertThat(line(1)).contains("path=/v1/models status=401").contains("caller=\"127.0.0.1\"");
    assertThat(lines).noneMatch(line -> line.contains("hidden"));
  }

  @Test
  void nothingThatAClientSendsEndsALineOrAField() {
    String line =
        AccessLog.line(
            "GET",
            "/a\n2026 forged\" x\u001b[31m\u0085\u2028" + "b".repeat(300),
            200,
            1,
            1,
            "-",
            "a\"\r");

    assertThat(line).matches("[ -~]+");
    assertThat(line)
        .contains("path=/a\\u000a2026\\u0020forged\\u0022\\u0020x\\u001b[31m\\u0085\\u2028bb")
        .contains("... status=200")
        .endsWith("caller=\"a\\u0022\\u000d\"");
  }

  @Test
  void thereAreNoneUnlessAskedFor() {
    served(false).send(HttpMethod.GET, "/health/live", Map.of(), null);

    assertThat(lines).isEmpty();
  }
}
