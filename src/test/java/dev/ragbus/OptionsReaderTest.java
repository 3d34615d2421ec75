// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.vertx.core.json.JsonObject;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class OptionsReaderTest {
  private static RagbusOptions read(String json) {
    return OptionsReader.read(new JsonObject(json), Map.of(), Map.of());
  }

  private static RagbusOptions readProperty(String name, String value) {
    return OptionsReader.read(new JsonObject(), Map.of(), Map.of(name, value));
  }

  private static RagbusOptions readVariable(String name, String value) {
    return OptionsReader.read(new JsonObject(), Map.of(name, value), Map.of());
  }

  private static RagbusOptions.Http http(String host, int port) {
    return new RagbusOptions.Http(
        host, port, null, null, null, null, null, null, null, null, null, null, null, null, null,
        null, null, null, null);
  }

  @Test
  void whatIsSecretIsReadAndNeverWritten() {
    RagbusOptions options =
        OptionsReader.read(
            new JsonObject(),
            Map.of("RAGBUS_SECURITY_KEYS", "use:hidden-1,use:hidden-2"),
            Map.of());
    assertThat(options.security().keys()).containsExactly("use:hidden-1", "use:hidden-2");
    assertThat(options.toString() + options.toJson().encode()).doesNotContain("hidden");
    assertThatThrownBy(
            () ->
                OptionsReader.read(
                    new JsonObject(), Map.of("RAGBUS_SECURITY_KEY", "use:hidden-1"), Map.of()))
        .hasMessage("RAGBUS_SECURITY_KEY is not an option; did you mean RAGBUS_SECURITY_KEYS?");
    JsonObject wrong = new JsonObject().put("security", new JsonObject().put("keys", 1234567890));
    assertThatThrownBy(() -> OptionsReader.read(wrong, Map.of(), Map.of()))
        .message()
        .startsWith("security.keys must be a list")
        .doesNotContain("1234567890");
  }

  @Test
  void nothing_given_means_the_defaults() {
    RagbusOptions options =
        OptionsReader.read(
            new JsonObject(),
            Map.of("PATH", "/bin", "RAGBUS_CONFIG", "x.toml", "ragbus_http_port", "1"),
            Map.of("java.home", "/", "ragbus.config", "x.toml", "ragbusted", "1"));
    assertThat(options).isEqualTo(RagbusOptions.defaults());
  }

  @Test
  void written_options_read_back_the_same() {
    RagbusOptions options =
        read(
            """
            {"python": {"default_timeout": "1.5s", "functions": {"mine": {"timeout": "2m"}}},
             "lanes": {"inference": 3},
             "models": {"dir": "models", "embedding": ["a", "b"], "preload": [{"model_name": "m",
               "model_type": "cross-encoder", "prompts": {"query": "q: "}, "pinned": true}]},
             "cluster": {"role": "worker"}}
            """);
    assertThat(options.python().defaultTimeout()).isEqualTo(Duration.ofMillis(1500));
    assertThat(options.python().timeout("mine")).isEqualTo(Duration.ofMinutes(2));
    assertThat(options.python().timeout("embed_texts")).isEqualTo(Duration.ofSeconds(30));
    assertThat(options.models().preload().get(0).cacheKey()).isEqualTo("cross-encoder:m");
    assertThat(options.cluster().role()).isEqualTo(RagbusOptions.Cluster.Role.WORKER);
    assertThat(OptionsReader.read(options.toJson(), Map.of(), Map.of())).isEqualTo(options);
    assertThat(RagbusOptions.from(options.toJson())).isEqualTo(options);
  }

  @Test
  void system_properties_go_before_the_environment_and_that_before_the_configuration() {
    JsonObject config = new JsonObject("{\"http\": {\"host\": \"::1\", \"port\": 1}}");
    Map<String, String> environment = Map.of("RAGBUS_HTTP_PORT", "2");
    assertThat(OptionsReader.read(config, environment, Map.of()).http()).isEqualTo(http("::1", 2));
    assertThat(OptionsReader.read(config, environment, Map.of("ragbus.http.port", "3")).http())
        .isEqualTo(http("::1", 3));
    assertThat(config.getJsonObject("http").getInteger("port")).isEqualTo(1);
  }

  @Test
  void text_becomes_what_the_key_wants() {
    assertThat(readVariable("RAGBUS_MODELS_EMBEDDING", " a , b,").models().embedding())
        .containsExactly("a", "b");
    assertThat(readVariable("RAGBUS_MODELS_ALLOW", "").models().allow()).isEmpty();
    assertThat(readProperty("ragbus.models.offline", "true").models().offline()).isTrue();
    assertThat(readProperty("ragbus.python.gpu_memory_fraction", "1").python().gpuMemoryFraction())
        .isEqualTo(1.0);
    assertThat(readProperty("ragbus.lanes.switch_interval", "0.5ms").lanes().switchInterval())
        .isEqualTo(Duration.ofNanos(500_000));
    assertThat(readVariable("RAGBUS_CLUSTER_ROLE", "front").cluster().role())
        .isEqualTo(RagbusOptions.Cluster.Role.FRONT);
    assertThat(readVariable("RAGBUS_PYTHON_PYTHON_PATH", "python3.12").python().pythonPath())
        .isEqualTo("python3.12");
  }

  @Test
  void limits_of_functions_can_be_given_everywhere() {
    assertThat(
            readVariable("RAGBUS_PYTHON_FUNCTIONS_EMBED_TEXTS_MAX_BATCH_SIZE", "7")
                .python()
                .functions()
                .get("embed_texts"))
        .isEqualTo(new RagbusOptions.FunctionLimits(Duration.ofSeconds(30), 7));
    assertThat(
            readProperty("ragbus.python.functions.my.Own.timeout", "1s").python().timeout("my.Own"))
        .isEqualTo(Duration.ofSeconds(1));
  }

  @Test
  void no_two_keys_share_a_variable() {
    List<String> variables =
        OptionsReader.keys().stream()
            .map(key -> key.replace('.', '_').toUpperCase(Locale.ROOT))
            .toList();
    assertThat(variables).doesNotHaveDuplicates().contains("HTTP_PORT");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "{\"htp\": {\"port\": 1}} | htp (= a section) is not an option; did you mean http?",
        "{\"http\": {\"prot\": 1}} | http.prot (= 1) is not an option; did you mean http.port?",
        "{\"http\": {\"gc_interval\": \"1s\"}} | did you mean",
        "{\"security\": {\"key\": \"1\"}} | security.key",
        "{\"models\": {\"preload\": [{\"model_nme\": \"x\"}]}} | models.preload[0].model_nme",
        "{\"python\": {\"functions\": {\"f\": {\"timeot\": \"1s\"}}}} | python.functions.f.timeout?",
        "{\"http\": 5} | http must be a section of its own, not 5",
        "{\"python\": {\"functions\": {\"f\": 5}}} | python.functions.f must be a section",
        "{\"http\": {\"port\": \"80\"}} | http.port must be an integer in range, not \"80\"",
        "{\"http\": {\"port\": 1.5}} | http.port must be an integer in range, not 1.5",
        "{\"http\": {\"port\": 70000}} | http.port must be between 0 and 65535, not 70000",
        "{\"lanes\": {\"inference\": 0}} | lanes.inference must be at least 1, not 0",
        "{\"lanes\": {\"drain_timeout\": \"0s\"}} | drain_timeout must be longer than 0, not 0ns",
        "{\"lanes\": {\"drain_timeout\": 10}} | lanes.drain_timeout must be a number and a unit",
        "{\"lanes\": {\"drain_timeout\": \"10\"}} | such as \"30s\", not \"10\"",
        "{\"models\": {\"offline\": \"yes\"}} | models.offline must be true or false, not \"yes\"",
        "{\"models\": {\"allow\": \"x\"}} | models.allow must be a list, not \"x\"",
        "{\"models\": {\"allow\": [1]}} | models.allow[0] must be a string, not 1",
        "{\"cluster\": {\"role\": \"boss\"}} | must be one of [all, front, worker], not \"boss\"",
        "{\"python\": {\"gpu_memory_fraction\": 2}} | above 0 and at most 1, not 2.0",
        "{\"bus\": {\"address_prefix\": \"a b\"}} | bus.address_prefix must match",
        "{\"models\": {\"preload\": [{\"model_name\": \" \"}]}} | preload[0].model_name must not be",
        "{\"models\": {\"preload\": [{\"model_name\": \"m\", \"max_tokens\": 0}]}} | .max_tokens",
      })
  void a_bad_configuration_is_refused(String json, String message) {
    assertThatThrownBy(() -> read(json))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining(message);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "RAGBUS_HTTP_PROT | 1 | RAGBUS_HTTP_PROT (= 1) is not an option; did you mean"
            + " RAGBUS_HTTP_PORT?",
        "RAGBUS_HTTP_PORT | x | http.port must be an integer in range, not \"x\" (from"
            + " RAGBUS_HTTP_PORT)",
        "RAGBUS_HTTP_PORT | -1 | not -1 (from RAGBUS_HTTP_PORT)",
        "RAGBUS_MODELS_PRELOAD | m | models.preload can only be given in the configuration file",
        "RAGBUS_MODELS_OFFLINE | TRUE | models.offline must be true or false, not \"TRUE\"",
        "RAGBUS_PYTHON_FUNCTIONS_F | 1s | is not an option",
        "RAGBUS_PYTHON_GPU_MEMORY_FRACTION | much | must be a number, not \"much\"",
      })
  void a_bad_variable_is_refused(String name, String value, String message) {
    assertThatThrownBy(() -> readVariable(name, value))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining(message);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "ragbus.http.prot | did you mean ragbus.http.port?",
        "ragbus.http | is not an option",
        "ragbus.python.functions.*.timeout.x | is not an option",
        "ragbus.Http.Port | did you mean ragbus.http.port?",
      })
  void a_bad_property_is_refused(String name, String message) {
    assertThatThrownBy(() -> readProperty(name, "1"))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining(message);
  }

  @Test
  void the_floor_of_int8_is_a_cosine() {
    assertThat(readProperty("ragbus.models.min_int8_cosine", "0.9").models().minInt8Cosine())
        .isEqualTo(0.9);
    assertThatThrownBy(() -> readProperty("ragbus.models.min_int8_cosine", "99"))
        .hasMessageContaining("models.min_int8_cosine must be between 0 and 1, not 99.0");
  }

  @Test
  void extras_are_a_list_of_known_names() {
    assertThat(readProperty("ragbus.python.extras", "torch, quantize").python().extras())
        .containsExactly("torch", "quantize");
    assertThatThrownBy(
            () -> read("{'python': {'extras': ['torch', 'quantise']}}".replace('\'', '"')))
        .hasMessage(
            "python.extras must be some of cuda, quantize, torch, not quantise; did you mean quantize?");
  }

  @Test
  void a_cluster_leaves_the_machine_only_with_tls_and_a_secret() {
    String tls =
        "'tls_certificate': 'c', 'tls_key': 'k', 'tls_authority': 'a', ".replace('\'', '"');
    String secret = "\"secret\": \"sixteen-and-more\", ";
    for (String some : List.of("", tls, secret)) {
      assertThatThrownBy(() -> read("{\"cluster\": {" + some + "\"host\": \"10.0.0.1\"}}"))
          .hasMessage(
              "cluster.host must be loopback without cluster.tls_certificate and cluster.secret,"
                  + " not 10.0.0.1");
    }
    assertThat(read("{\"cluster\": {" + tls + secret + "\"host\": \"10.0.0.1\"}}").cluster().host())
        .isEqualTo("10.0.0.1");
    assertThat(read("{\"cluster\": {\"host\": \"127.1.2.3\"}}").cluster().members())
        .containsExactly("127.1.2.3");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "{'tls_key': 'k'} | must be given together",
        "{'port': 0} | cluster.port must be between 1 and 65535, not 0",
        "{'bus_port': -1} | cluster.bus_port must be between 0 and 65535, not -1",
        "{'workers': 0} | cluster.workers must be at least 1, not 0",
        "{'worker_max_requests': -1} | cluster.worker_max_requests must be 0 or more, not -1",
        "{'role': 'worker', 'isolation': 'process'} | cluster.isolation must be none",
      },
      quoteCharacter = '!')
  void what_a_cluster_cannot_be_is_said(String section, String message) {
    assertThatThrownBy(() -> read("{\"cluster\": " + section.replace('\'', '"') + "}"))
        .hasMessageContaining(message);
  }
}
