// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowable;

import dev.ragbus.JsonBodies;
import dev.ragbus.OptionsReader;
import dev.ragbus.RagbusOptions;
import io.vertx.core.Vertx;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpMethod;
import io.vertx.core.json.JsonObject;
import io.vertx.ext.auth.JWTOptions;
import io.vertx.ext.auth.PubSecKeyOptions;
import io.vertx.ext.auth.jwt.JWTAuth;
import io.vertx.ext.auth.jwt.JWTAuthOptions;
import io.vertx.junit5.VertxExtension;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.logging.Handler;
import java.util.logging.Level;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import java.util.logging.SimpleFormatter;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** No key, token or shared secret is in a log, an answer, a failure or a print of the options. */
@ExtendWith(VertxExtension.class)
class SecretsTest {
  private static final String KEY = "key-4f1d8c03b7a92e65";
  private static final String WRONG = "key-4f1d8c03b7a92e66";
  private static final String SHARED = "shared-0123456789abcdef-0123456789abcdef";

  @TempDir Path folder;

  private final Logger ours = Logger.getLogger("dev.ragbus");
  private final Logger vertxs = Logger.getLogger("io.vertx");
  private final List<String> logged = new CopyOnWriteArrayList<>();
  private final SimpleFormatter formatter = new SimpleFormatter();
  private final Handler handler =
      new Handler() {
        @Override
        public void publish(LogRecord line) {
          logged.add(formatter.format(line));
        }

        @Override
        public void flush() {}

        @Override
        public void close() {}
      };

  @BeforeEach
  void listenToEverything() {
    for (Logger logger : List.of(ours, vertxs)) {
      logger.setLevel(Level.ALL);
      logger.addHandler(handler);
    }
  }

  @AfterEach
  void stopListening() {
    for (Logger logger : List.of(ours, vertxs)) {
      logger.setLevel(null);
      logger.removeHandler(handler);
    }
  }

  private JsonObject config() throws Exception {
    Path shared = Files.writeString(folder.resolve("shared"), SHARED);
    return new JsonObject()
        .put("http", new JsonObject().put("access_log", true))
        .put(
            "security",
            new JsonObject()
                .put("keys", List.of("use:" + KEY))
                .put("jwt_algorithm", "HS256")
                .put("jwt_key_file", shared.toString()));
  }

  @Test
  void whatWasSentOrConfiguredIsNotRepeated(Vertx vertx) throws Exception {
    Served served = Served.deploy(vertx, config());
    JWTAuth signer =
        JWTAuth.create(
            vertx,
            new JWTAuthOptions()
                .addPubSecKey(new PubSecKeyOptions().setAlgorithm("HS256").setBuffer(SHARED)));
    String good =
        signer.generateToken(
            new JsonObject().put("sub", "me").put("role", "use"),
            new JWTOptions().setAlgorithm("HS256"));
    String broken = good.substring(0, good.length() - 4) + "AAAA";
    String basic =
        Base64.getEncoder().encodeToString(("me:" + KEY).getBytes(StandardCharsets.UTF_8));
    List<String> secrets = List.of(KEY, WRONG, SHARED, good, broken, basic);
    List<String> headers =
        List.of(
            "Bearer " + KEY,
            "Bearer " + WRONG,
            "Bearer " + good,
            "Bearer " + broken,
            KEY,
            "Basic " + basic,
            "Basic " + KEY);
    int sent = 0;
    for (String header : headers) {
      for (String body : List.of("{\"inputs\": \"a\"}", "{\"input", "{\"" + KEY + "\": 1}")) {
        Map<String, String> all = new HashMap<>(Served.JSON);
        all.put("Authorization", header);
        Served.Answer answer = served.send(HttpMethod.POST, "/embed", all, Buffer.buffer(body));
        // A client's own field name is told to it, and is in no log.
        if (!body.contains(KEY)) {
          assertThat(answer.body() + answer.headers().toString()).doesNotContain(secrets);
        }
        sent++;
      }
    }
    int lines = sent;
    Awaitility.await()
        .until(() -> logged.stream().filter(it -> it.contains("method=POST")).count() == lines);
    assertThat(logged).anyMatch(it -> it.contains("caller=\"key 1\""));
    assertThat(logged).anyMatch(it -> it.contains("caller=\"token of me\""));
    assertThat(String.join("\n", logged)).doesNotContain(secrets);
  }

  @Test
  void optionsPrintWithoutThem() throws Exception {
    RagbusOptions options = OptionsReader.read(config(), Map.of(), Map.of());
    assertThat(options.security().keys()).containsExactly("use:" + KEY);
    assertThat(options.toString() + JsonBodies.format(options)).doesNotContain(KEY);
  }

  /** Misspelt, of a wrong type, or in a wrong place. */
  @ParameterizedTest
  @ValueSource(
      strings = {
        "{\"security\": {\"key\": \"use:KEY\"}}",
        "{\"security\": {\"keys\": \"use:KEY\"}}",
        "{\"security\": {\"keys\": {\"use\": \"KEY\"}}}",
        "{\"security\": {\"keys\": [[\"use:KEY\"]]}}",
        "{\"security\": \"use:KEY\"}",
        "{\"security\": [\"use:KEY\"]}",
        "{\"securty\": {\"keys\": [\"use:KEY\"]}}",
        "{\"keys\": [\"use:KEY\"]}",
        "{\"http\": {\"keys\": [\"use:KEY\"]}}",
        "{\"models\": {\"hf_token\": \"KEY\"}}",
        "{\"http\": {\"tls_key_password\": \"KEY\"}}",
      })
  void aConfigurationThatIsRefusedIsNotRepeated(String config) {
    Throwable failure =
        catchThrowable(
            () ->
                OptionsReader.read(new JsonObject(config.replace("KEY", KEY)), Map.of(), Map.of()));
    assertThat(failure).isInstanceOf(IllegalArgumentException.class);
    assertThat(failure.toString() + failure.getCause()).doesNotContain(KEY);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"RAGBUS_SECURITY_KEY", "RAGBUS_KEYS", "RAGBUS_API_KEY", "RAGBUS_HF_TOKEN"})
  void neitherIsAVariableThatIsUnknown(String name) {
    assertThat(
            catchThrowable(
                () -> OptionsReader.read(new JsonObject(), Map.of(name, "use:" + KEY), Map.of())))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining(name)
        .message()
        .doesNotContain(KEY);
  }
}
