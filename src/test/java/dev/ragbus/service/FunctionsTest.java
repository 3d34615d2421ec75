// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.ragbus.Await;
import dev.ragbus.FunctionCall;
import dev.ragbus.FunctionInfo;
import dev.ragbus.FunctionList;
import dev.ragbus.FunctionQuery;
import dev.ragbus.FunctionSpec;
import dev.ragbus.ModelType;
import dev.ragbus.Ragbus;
import dev.ragbus.RagbusException;
import dev.ragbus.RagbusException.Kind;
import dev.ragbus.Tensor;
import io.vertx.core.Future;
import io.vertx.core.Vertx;
import io.vertx.core.eventbus.ReplyException;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.logging.Handler;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Functions through the bus, in real Python. */
class FunctionsTest {
  private static final AtomicInteger NAMES = new AtomicInteger();

  private static Vertx vertx;
  private static TestService service;
  private static Ragbus ragbus;

  @BeforeAll
  static void deploy() {
    vertx = Vertx.vertx();
    service =
        TestService.start(
            vertx,
            new JsonObject()
                .put("functions", new JsonObject().put("allow_source", true))
                .put("lanes", new JsonObject().put("inference", 1)));
    ragbus = service.ragbus();
  }

  @AfterAll
  static void undeploy() {
    service.close();
    Await.result(vertx.close());
  }

  /** Registers source under a name of its own; {@code def f} in it becomes that name. */
  private static String register(String code) {
    return register(code, spec -> spec);
  }

  private static String register(String code, java.util.function.UnaryOperator<FunctionSpec> with) {
    String name = "f" + NAMES.incrementAndGet();
    Await.result(
        ragbus.register(
            with.apply(FunctionSpec.ofCode(name, code.replace("def f(", "def " + name + "(")))));
    return name;
  }

  private static Object call(String name, Object... args) {
    return Await.result(ragbus.call(name, args)).result();
  }

  private static RagbusException failure(String name, Object... args) {
    return Await.ragbusFailure(ragbus.call(name, args));
  }

  private static Handler collecting(List<String> lines) {
    return new Handler() {
      @Override
      public void publish(LogRecord record) {
        lines.add(record.getMessage());
      }

      @Override
      public void flush() {}

      @Override
      public void close() {}
    };
  }

  @Test
  void theContextIsInitialised() {
    assertThat(Await.result(ragbus.health()).initialized()).isTrue();
  }

  @Test
  void whatIsRegisteredCanBeHad() {
    String code = "def f(a: int, b: int = 2) -> int:\n    'Adds.'\n    return a + b\n";
    String name = register(code, spec -> spec.withTimeout(Duration.ofSeconds(7)));

    FunctionInfo info = Await.result(ragbus.function(new FunctionQuery(name, true)));

    assertThat(info.description()).isEqualTo("Adds.");
    assertThat(info.kind()).isEqualTo("function");
    assertThat(info.timeout()).isEqualTo(Duration.ofSeconds(7));
    assertThat(info.sourceSha256()).hasSize(64);
    assertThat(info.code()).isEqualTo(code.replace("def f(", "def " + name + "("));
    assertThat(info.inputSchema().getJsonObject("properties").fieldNames())
        .containsExactly("a", "b");
    assertThat(Await.result(ragbus.function(name)).code()).isNull();
    assertThat(call(name, 40)).isEqualTo(42);
    assertThat(
            Await.result(ragbus.call(FunctionCall.of(name, 40).withKwargs(Map.of("b", 3))))
                .result())
        .isEqualTo(43);
    assertThat(Await.result(ragbus.functions()).functions())
        .extracting(FunctionInfo::name)
        .contains(name, "embed_texts");
  }

  @Test
  void anExpressionIsCalculated() {
    assertThat(call(register("2 + 2"))).isEqualTo(4);
    assertThat(call(register("args[0] * 3"), 14)).isEqualTo(42);
  }

  @Test
  void sleepingLongerThanAllowedIsATimeout() {
    String name =
        register(
            "import time\ndef f():\n    time.sleep(0.2)\n",
            spec -> spec.withTimeout(Duration.ofMillis(100)));

    RagbusException failure = failure(name);

    assertThat(failure.kind()).isEqualTo(Kind.TIMEOUT);
    assertThat(failure.getMessage()).contains("while the work was running");
    assertThat(call(register("2 + 2"))).isEqualTo(4);
  }

  @Test
  void twoTextsGiveTwoVectorsByThePlainName() {
    Map<?, ?> result =
        (Map<?, ?>) call("embed_texts", Map.of("texts", List.of("one text", "another")));

    assertThat((List<?>) result.get("embeddings"))
        .hasSize(2)
        .allSatisfy(vector -> assertThat((List<?>) vector).hasSize(384));
    assertThat(result.get("count")).isEqualTo(2);
    assertThat(result.get("dimensions")).isEqualTo(384);
    assertThat(result.get("model")).isEqualTo("all-MiniLM-L6-v2");
    float[] direct = Await.result(ragbus.embed("one text")).row(0);
    List<?> first = (List<?>) ((List<?>) result.get("embeddings")).get(0);
    for (int i = 0; i < direct.length; i++) {
      assertThat(((Number) first.get(i)).floatValue())
          .isCloseTo(direct[i], org.assertj.core.data.Offset.offset(1e-3f));
    }
  }

  @Test
  void thePlainNamesTakeArgumentsByPositionAndByName() {
    Map<?, ?> ranked =
        (Map<?, ?>)
            Await.result(
                    ragbus.call(
                        FunctionCall.of("rerank_texts", "cat sounds")
                            .withKwargs(
                                Map.of(
                                    "texts", List.of("Stocks fell.", "Cats purr."), "top_n", 1))))
                .result();
    Map<?, ?> loaded = (Map<?, ?>) call("load_model", "all-MiniLM-L6-v2", "embedding");
    Map<?, ?> listed = (Map<?, ?>) call("list_models");

    assertThat((List<?>) ranked.get("ranked_results"))
        .singleElement()
        .extracting(row -> ((Map<?, ?>) row).get("text"))
        .isEqualTo("Cats purr.");
    assertThat(loaded.get("status")).isIn("loaded", "already_loaded");
    assertThat((List<?>) loaded.get("cached_models"))
        .asString()
        .contains("embedding:all-MiniLM-L6-v2");
    assertThat(listed.get("total_count")).isEqualTo(1);
  }

  @Test
  void anUnknownModelTypeIsAResultOfThePlainName() {
    assertThat(call("load_model", "all-MiniLM-L6-v2", "x"))
        .isEqualTo(Map.of("error", "Unknown model type: x", "error_type", "ValueError"));
  }

  @Test
  void thePlainNamesCheckAndAreKept() {
    assertThat(failure("embed_texts", Map.of("texts", List.of("a", 1))))
        .hasMessageStartingWith("INVALID: args[0].texts[1] ");
    assertThat(failure("embed_texts", Map.of("texts", List.of("a"), "size", 1)).kind())
        .isEqualTo(Kind.INVALID);
    assertThat(failure("embed_texts").getMessage()).contains("texts");
    assertThat(failure("embed_texts", Map.of("texts", List.of(), "model", "none")).kind())
        .isEqualTo(Kind.MODEL_NOT_FOUND);
    FunctionSpec spec = FunctionSpec.ofCode("embed_texts", "1").withReplace(true);
    assertThat(Await.ragbusFailure(ragbus.register(spec)).kind()).isEqualTo(Kind.CONFLICT);
    assertThat(Await.ragbusFailure(ragbus.unregister("embed_texts")).kind())
        .isEqualTo(Kind.FORBIDDEN);
  }

  @Test
  void modelsCanBeEnsuredAndClearedAgain() {
    Await.result(ragbus.ensureModelLoaded("all-MiniLM-L6-v2", ModelType.EMBEDDING));
    assertThat(Await.result(ragbus.clearMemory()).clearedModels())
        .contains("embedding:all-MiniLM-L6-v2");
    assertThat((Map<?, ?>) call("clear_cache"))
        .isEqualTo(
            Map.of(
                "status", "cleared", "cleared_models", List.of(), "remaining_models", List.of()));
  }

  @Test
  void aNameIsTakenUnlessItIsReplaced() {
    String name = register("1");
    FunctionSpec again = FunctionSpec.ofCode(name, "2");

    assertThat(Await.ragbusFailure(ragbus.register(again)).kind()).isEqualTo(Kind.CONFLICT);
    Await.result(ragbus.register(again.withReplace(true)));
    assertThat(call(name)).isEqualTo(2);
    assertThat(Await.result(ragbus.unregister(name)).name()).isEqualTo(name);
    assertThat(failure(name).kind()).isEqualTo(Kind.FUNCTION_NOT_FOUND);
    assertThat(Await.ragbusFailure(ragbus.unregister(name)).kind())
        .isEqualTo(Kind.FUNCTION_NOT_FOUND);
    assertThat(Await.ragbusFailure(ragbus.function(name)).kind())
        .isEqualTo(Kind.FUNCTION_NOT_FOUND);
  }

  @Test
  void aReplacedFunctionServesTheCallsThatHadComeBefore() {
    String name = register("import time\ndef f(x):\n    time.sleep(0.05)\n    return ('old', x)\n");
    List<Future<Object>> before =
        java.util.stream.IntStream.range(0, 5)
            .<Future<Object>>mapToObj(i -> ragbus.call(name, i).map(r -> r.result()))
            .toList();
    Await.result(
        ragbus.register(
            FunctionSpec.ofCode(name, "def " + name + "(x):\n    return ('new', x)\n")
                .withReplace(true)));

    for (int i = 0; i < 5; i++) {
      assertThat(Await.result(before.get(i))).isEqualTo(List.of("old", i));
    }
    assertThat(call(name, 5)).isEqualTo(List.of("new", 5));
  }

  @Test
  void valuesOfEveryShapeComeBackAsTheyWent() {
    String echo = register("args[0]");
    Object value =
        Arrays.asList(
            null,
            true,
            1,
            -(1L << 40),
            new java.math.BigInteger("123456789012345678901234567890"),
            0.1,
            "é 中 😀 \u0000 \uFFFE \uFEFF",
            Map.of("k", List.of(Map.of())),
            List.of());

    assertThat(call(echo, value)).isEqualTo(value);
    assertThat(call(echo, "\ud83d lone")).isEqualTo("\uFFFD lone");
    assertThat(call(echo, new JsonObject().put("a", new JsonArray().add(1))))
        .isEqualTo(Map.of("a", List.of(1)));
  }

  @Test
  void numbersOfNumPyComeBackWhateverTheirWidth() {
    String scalars =
        register(
            """
            import numpy as np
            def f():
                half, byte = np.float16(0.5), np.uint8(200)
                return [half, byte, np.uint64(2**63), np.bool_(True), {"at": half}]
            """);

    assertThat(call(scalars))
        .isEqualTo(
            List.of(0.5, 200, java.math.BigInteger.ONE.shiftLeft(63), true, Map.of("at", 0.5)));
  }

  @Test
  void aFunctionThatClosesStdoutSilencesNobody() {
    List<String> lines = new CopyOnWriteArrayList<>();
    Handler handler = collecting(lines);
    Logger logger = Logger.getLogger("dev.ragbus.python.output");
    logger.addHandler(handler);
    try {
      call(
          register(
              "import sys\ndef f():\n    sys.stdout.close()\n    sys.stderr.close()\n"
                  + "    print('closed it')\n"));
      call(register("def f(): print('still heard')"));
      await().untilAsserted(() -> assertThat(lines).anyMatch(line -> line.endsWith("still heard")));
    } finally {
      logger.removeHandler(handler);
    }
  }

  @ParameterizedTest
  @CsvSource({
    "bool,1",
    "int8,-3",
    "int16,-300",
    "int32,-70000",
    "int64,-5000000000",
    "uint8,200",
    "uint16,60000",
    "uint32,4000000000",
    "uint64,18000000000000000000",
    "float16,0.5",
    "float32,0.25",
    "float64,1e300"
  })
  void arraysTravelAsTensors(String dtype, String number) {
    String make =
        register(
            "import numpy as np\ndef f(n, dtype):\n"
                + "    return {'a': np.full((2, 3), n, dtype), 'plain': 1}\n");
    String describe = register("def f(a):\n    return [str(a.dtype), a.shape, a.sum().item()]\n");
    Object n =
        dtype.startsWith("float") ? Double.valueOf(number) : new java.math.BigInteger(number);

    Map<?, ?> made = (Map<?, ?>) call(make, n, dtype);
    Tensor tensor = (Tensor) made.get("a");
    List<?> described = (List<?>) call(describe, tensor);
    JsonObject json = json(make, new JsonArray().add(n).add(dtype));

    assertThat(tensor.dtype().name()).isEqualToIgnoringCase(dtype);
    assertThat(tensor.shape()).containsExactly(2, 3);
    assertThat(tensor.doubles()).containsOnly(Double.parseDouble(number)).hasSize(6);
    assertThat(described.get(0)).isEqualTo(dtype);
    assertThat(described.get(1)).isEqualTo(List.of(2, 3));
    JsonArray rows = json.getJsonObject("result").getJsonArray("a");
    assertThat(rows).hasSize(2);
    Object first = rows.getJsonArray(1).getValue(2);
    assertThat(first.toString())
        .isEqualTo(dtype.equals("bool") ? "true" : n.toString().replace("1.0E300", "1.0E300"));
  }

  private static JsonObject json(String name, Object args) {
    return Await.result(
            vertx
                .eventBus()
                .<JsonObject>request(
                    "rag.functions.call", new JsonObject().put("name", name).put("args", args)))
        .body();
  }

  private static ReplyException jsonFailure(JsonObject body) {
    return (ReplyException) Await.failure(vertx.eventBus().request("rag.functions.call", body));
  }

  @Test
  void jsonCallersGetTheContractsReplies() {
    String name = register("def f(*args, **kwargs):\n    return [args, kwargs]\n");

    assertThat(json(name, new JsonArray().add(1)).encode()).isEqualTo("{\"result\":[[1],{}]}");
    assertThat(json(name, new JsonObject().put("a", 1)).encode())
        .isEqualTo("{\"result\":[[{\"a\":1}],{}]}");
    assertThat(jsonFailure(new JsonObject().put("name", "nobody")).failureCode()).isEqualTo(404);
    assertThat(jsonFailure(new JsonObject().put("name", "x").put("arg", 1)).getMessage())
        .startsWith("INVALID: arg ");
    JsonObject registered =
        Await.result(
                vertx
                    .eventBus()
                    .<JsonObject>request(
                        "rag.functions.register",
                        new JsonObject()
                            .put("name", "from_json")
                            .put("module", "mine")
                            .put("code", "def from_json(): return 1")
                            .put("timeout", "30s")))
            .body();
    assertThat(registered.getString("timeout")).isEqualTo("30s");
    assertThat(registered.getString("source_sha256")).hasSize(64);
    assertThat(registered.getString("module")).isEqualTo("mine");
    assertThat(registered.containsKey("code")).isFalse();
  }

  @Test
  void argumentsAreHeldAgainstTheInputSchema() {
    String name =
        register(
            "def f(texts: list[str], limit: int = 3):\n    return limit\n",
            spec ->
                spec.withSchemas(
                    new JsonObject(
                        """
                        {"type": "object", "required": ["texts"], "properties": {
                          "texts": {"type": "array", "items": {"type": "string"}},
                          "limit": {"type": "integer", "minimum": 1}}}
                        """),
                    null));

    assertThat(call(name, List.of("a"), 2)).isEqualTo(2);
    assertThat(failure(name, List.of("a", 5)))
        .hasMessageStartingWith("INVALID: args[0][1] breaks the input schema");
    assertThat(failure(name, List.of(), 0)).hasMessageStartingWith("INVALID: args[1] ");
    assertThat(failure(name)).hasMessageContaining("texts");
    assertThat(
            Await.ragbusFailure(
                ragbus.call(FunctionCall.of(name, List.of()).withKwargs(Map.of("limit", "x")))))
        .hasMessageStartingWith("INVALID: kwargs.limit ");
  }

  @Test
  void oneDictionaryIsHeldAgainstASchemaOfItself() {
    String name =
        register(
            "def f(body):\n    return body['x']\n",
            spec ->
                spec.withSchemas(
                    new JsonObject(
                        """
                        {"type": "object", "required": ["x"],
                         "properties": {"x": {"type": "integer"}}}
                        """),
                    null));

    assertThat(call(name, Map.of("x", 7))).isEqualTo(7);
    assertThat(failure(name, Map.of("x", "7"))).hasMessageStartingWith("INVALID: args[0].x ");
    assertThat(jsonFailure(new JsonObject().put("name", name).put("args", new JsonObject())))
        .hasMessageStartingWith("INVALID: args breaks the input schema");
  }

  @Test
  void resultsAreHeldAgainstTheOutputSchema() {
    String name =
        register(
            "def f(x):\n    return [1, x]\n",
            spec ->
                spec.withSchemas(
                    null,
                    new JsonObject("{\"type\": \"array\", \"items\": {\"type\": \"integer\"}}")));

    assertThat(call(name, 2)).isEqualTo(List.of(1, 2));
    RagbusException failure = failure(name, "2");
    assertThat(failure.kind()).isEqualTo(Kind.TYPE_CONVERSION);
    assertThat(failure).hasMessageContaining("result[1] breaks the output schema");
  }

  @Test
  void whatIsNoSchemaIsRefused() {
    FunctionSpec spec = FunctionSpec.ofCode("unschemed", "1");
    JsonObject odd = new JsonObject("{\"properties\": {\"x\": {\"type\": \"strin\"}}}");

    assertThat(Await.ragbusFailure(ragbus.register(spec.withSchemas(odd, null))))
        .hasMessageStartingWith("INVALID: input_schema.properties.x.type is no JSON Schema");
    assertThat(Await.ragbusFailure(ragbus.register(spec.withSchemas(null, odd))))
        .hasMessageStartingWith("INVALID: output_schema.properties.x.type is no JSON Schema");
    assertThat(Await.ragbusFailure(ragbus.function("unschemed")).kind())
        .isEqualTo(Kind.FUNCTION_NOT_FOUND);
  }

  @Test
  void anExceptionReachesTheCallerWithTypeAndMessageAndTheLogOnce() {
    List<String> lines = new CopyOnWriteArrayList<>();
    Handler handler = collecting(lines);
    Logger logger = Logger.getLogger("dev.ragbus.python.Bridge");
    logger.addHandler(handler);
    String name =
        register(
            """
            def f():
                try:
                    {}['key']
                except KeyError as error:
                    raise ValueError('é 中 😀 \\x00') from error
            """);
    RagbusException failure;
    try {
      failure = Await.ragbusFailure(ragbus.withRequestId("my-request").call(name));
      await()
          .untilAsserted(
              () -> assertThat(lines).filteredOn(line -> line.contains("my-request")).hasSize(1));
    } finally {
      logger.removeHandler(handler);
    }

    assertThat(failure.kind()).isEqualTo(Kind.PYTHON);
    assertThat(failure.pythonType()).isEqualTo("ValueError");
    assertThat(failure.detail()).isEqualTo("ValueError: é 中 😀 \u0000");
    assertThat(failure.getMessage()).doesNotContain("Traceback");
    assertThat(lines.get(0)).contains("Traceback", "KeyError", "direct cause");
    FunctionInfo.Usage usage = Await.result(ragbus.function(name)).usage();
    assertThat(usage.calls()).isOne();
    assertThat(usage.errors()).isOne();
    assertThat(usage.lastError().kind()).isEqualTo(Kind.PYTHON);
    assertThat(usage.lastError().message()).startsWith("ValueError");
  }

  @Test
  void sourceThatDoesNotCompileIsRefused() {
    RagbusException syntax =
        Await.ragbusFailure(ragbus.register(FunctionSpec.ofCode("broken", "def broken(:\n")));
    RagbusException module =
        Await.ragbusFailure(ragbus.register(FunctionSpec.ofModule("absent", "no_such_module:f")));
    RagbusException attribute =
        Await.ragbusFailure(ragbus.register(FunctionSpec.ofModule("absent", "math:no_such")));
    RagbusException raising =
        Await.ragbusFailure(ragbus.register(FunctionSpec.ofCode("raising", "raise KeyError(1)")));

    assertThat(syntax.kind()).isEqualTo(Kind.INVALID);
    assertThat(syntax.getMessage()).contains("line 1");
    assertThat(module.kind()).isEqualTo(Kind.MODULE_NOT_FOUND);
    assertThat(attribute.kind()).isEqualTo(Kind.FUNCTION_NOT_FOUND);
    assertThat(raising.kind()).isEqualTo(Kind.PYTHON);
    assertThat(raising.pythonType()).isEqualTo("KeyError");
    String most = "#" + "x".repeat(FunctionSpec.MAX_CODE_BYTES);
    assertThat(
            Await.failure(
                vertx
                    .eventBus()
                    .request(
                        "rag.functions.register",
                        new JsonObject().put("name", "big").put("code", most))))
        .hasMessageContaining("TOO_LARGE");
  }

  @Test
  void whatDoesNotConvertIsSaid() {
    assertThat(
            org.assertj.core.api.Assertions.catchThrowableOfType(
                    RagbusException.class, () -> FunctionCall.of("f", List.of(new Object())))
                .getMessage())
        .startsWith("TYPE_CONVERSION: args[0][0] is a java.lang.Object");
    assertThat(
            org.assertj.core.api.Assertions.catchThrowableOfType(
                    RagbusException.class, () -> FunctionCall.of("f", Double.NaN))
                .kind())
        .isEqualTo(Kind.TYPE_CONVERSION);
    assertThat(failure(register("def f(): return object()")).kind())
        .isEqualTo(Kind.TYPE_CONVERSION);
    assertThat(failure(register("float('nan')")).kind()).isEqualTo(Kind.SERIALIZATION);
    String nan = register("import numpy as np\ndef f():\n    return np.array([1, np.nan])\n");
    assertThat(failure(nan).kind()).isEqualTo(Kind.SERIALIZATION);
    assertThat(jsonFailure(new JsonObject().put("name", nan)).getMessage())
        .startsWith("SERIALIZATION");
    assertThat(failure(register("def f(x): return x"), 1, 2).kind()).isEqualTo(Kind.INVALID);
  }

  @Test
  void functionsThatTryToEndOrExhaustPythonFailAlone() {
    assertThat(failure(register("import sys\ndef f(): sys.exit(3)")).pythonType())
        .isEqualTo("SystemExit");
    assertThat(
            failure(register("def f():\n    def g(): return g()\n    return g()\n")).pythonType())
        .isEqualTo("RecursionError");
    assertThat(failure(register("def f(): raise MemoryError()")).pythonType())
        .isEqualTo("MemoryError");
    assertThat(failure(register("def f(): return bytearray(1 << 62)")).pythonType())
        .isIn("MemoryError", "OverflowError");
    assertThat(call(register("2 + 2"))).isEqualTo(4);
  }

  @Test
  void asyncFunctionsRunToTheirEnd() {
    String name =
        register(
            "import asyncio\nasync def f(x):\n    await asyncio.sleep(0.01)\n    return x + 1\n");
    assertThat(call(name, 41)).isEqualTo(42);
  }

  @Test
  void aToolsListForLanguageModels() {
    String name = register("def f(city: str) -> str:\n    'Weather of a city.'\n    return city\n");

    FunctionList list = Await.result(ragbus.functions());

    assertThat(list.totalCount()).isEqualTo(list.functions().size());
    JsonObject tool =
        list.toTools().stream()
            .map(JsonObject.class::cast)
            .filter(t -> t.getJsonObject("function").getString("name").equals(name))
            .findFirst()
            .orElseThrow();
    assertThat(tool.getString("type")).isEqualTo("function");
    assertThat(tool.getJsonObject("function").getString("description"))
        .isEqualTo("Weather of a city.");
    assertThat(
            tool.getJsonObject("function")
                .getJsonObject("parameters")
                .getJsonObject("properties")
                .getJsonObject("city")
                .getString("type"))
        .isEqualTo("string");
  }

  @Test
  void aThousandCallsOfTwentyFunctionsHitTheCache() {
    List<String> names =
        java.util.stream.IntStream.range(0, 20)
            .mapToObj(i -> register("args[0] + " + i + " # " + i))
            .toList();
    var before = Await.result(ragbus.stats()).functions();
    Future<?> last = Future.succeededFuture();
    for (int i = 0; i < 1_000; i++) {
      String name = names.get(i % 20);
      last = last.compose(done -> ragbus.call(name, 1));
    }
    Await.result(last);
    var after = Await.result(ragbus.stats()).functions();

    double hits = after.cacheHits() - before.cacheHits();
    double misses = after.cacheMisses() - before.cacheMisses() + 20; // the cold start
    assertThat(hits / (hits + misses)).isGreaterThan(0.9);
    assertThat(after.byName().get(names.get(3)).calls()).isEqualTo(50);
    assertThat(after.byName().get(names.get(3)).p99Millis()).isPositive();
  }
}
