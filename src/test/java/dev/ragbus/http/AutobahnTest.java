// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

import static org.assertj.core.api.Assertions.assertThat;

import dev.ragbus.Await;
import io.vertx.core.Vertx;
import io.vertx.core.http.HttpServer;
import io.vertx.core.http.HttpServerOptions;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import io.vertx.junit5.VertxExtension;
import java.lang.ProcessBuilder.Redirect;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.assertj.core.api.Assumptions;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;

/**
 * The Autobahn test suite against a socket that gives back what {@link TextMessages} reads; where
 * {@code AUTOBAHN_WSTEST} names its program (autobahntestsuite 0.8.2, on Python 2.7).
 */
@ExtendWith(VertxExtension.class)
@Tag("slow")
class AutobahnTest {
  private static final int MAX_BYTES = 1 << 25;
  private static final short PROTOCOL_ERROR = 1002;
  private static final List<String> PASSED = List.of("OK", "NON-STRICT", "INFORMATIONAL");

  @TempDir Path folder;

  @Test
  void no_case_of_text_fails(Vertx vertx) throws Exception {
    String program = System.getenv("AUTOBAHN_WSTEST");
    Assumptions.assumeThat(program).as("AUTOBAHN_WSTEST").isNotNull();
    HttpServer server =
        Await.result(
            vertx
                .createHttpServer(
                    new HttpServerOptions()
                        .setPort(0)
                        .setHost("127.0.0.1")
                        .setMaxWebSocketFrameSize(MAX_BYTES)
                        .setPerFrameWebSocketCompressionSupported(false)
                        .setPerMessageWebSocketCompressionSupported(false))
                .webSocketHandler(
                    socket ->
                        socket
                            .exceptionHandler(failure -> socket.close(PROTOCOL_ERROR))
                            .frameHandler(
                                new TextMessages(
                                    socket,
                                    new Bodies(MAX_BYTES, MAX_BYTES),
                                    socket::writeTextMessage,
                                    () -> {})))
                .listen());
    JsonObject cases =
        new JsonObject()
            .put("outdir", folder.resolve("reports").toString())
            .put("cases", cases("1.1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"))
            .put("exclude-cases", cases())
            .put("exclude-agent-cases", new JsonObject())
            .put(
                "servers",
                new JsonArray()
                    .add(
                        new JsonObject()
                            .put("agent", "ragbus")
                            .put("url", "ws://127.0.0.1:" + server.actualPort())));
    Path file = Files.writeString(folder.resolve("cases.json"), cases.encode());
    Process process =
        new ProcessBuilder(program, "-m", "fuzzingclient", "-s", file.toString())
            .directory(folder.toFile())
            .redirectErrorStream(true)
            .redirectOutput(Redirect.DISCARD)
            .start();
    assertThat(process.waitFor()).isZero();

    JsonObject results =
        new JsonObject(Files.readString(folder.resolve("reports").resolve("index.json")))
            .getJsonObject("ragbus");
    List<String> failed = new ArrayList<>();
    for (String name : results.fieldNames()) {
      JsonObject result = results.getJsonObject(name);
      if (!PASSED.contains(result.getString("behavior"))
          || result.getString("behaviorClose").equals("FAILED")) {
        failed.add(name + " " + result.getString("behavior"));
      }
    }
    System.out.println("Autobahn: " + results.size() + " cases");
    assertThat(results.size()).isGreaterThan(200);
    assertThat(failed).isEmpty();
  }

  private static JsonArray cases(String... names) {
    return new JsonArray(List.of((Object[]) names));
  }
}
