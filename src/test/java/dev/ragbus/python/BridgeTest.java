// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.python;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import dev.ragbus.Await;
import dev.ragbus.FunctionSpec;
import dev.ragbus.RagbusException;
import dev.ragbus.python.Engine.TokenRow;
import dev.ragbus.python.Engine.TokenizeCall;
import dev.ragbus.service.TestService;
import io.vertx.core.Vertx;
import io.vertx.core.json.JsonObject;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.logging.Handler;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What Python may and may not do inside the JVM. */
class BridgeTest {
  private static Vertx vertx;
  private static TestService service;

  @BeforeAll
  static void deploy() {
    vertx = Vertx.vertx();
    service =
        TestService.start(
            vertx, new JsonObject().put("functions", new JsonObject().put("allow_source", true)));
  }

  @AfterAll
  static void undeploy() {
    service.close();
    Await.result(vertx.close());
  }

  @Test
  void pythonCannotReachJava() {
    assertThatThrownBy(() -> TestInterpreter.exec("from java.lang import Runtime"))
        .hasMessageContaining("java");
    assertThatThrownBy(() -> TestInterpreter.exec("import jep; jep.findClass('java.lang.Runtime')"))
        .hasMessageContaining("findClass");
  }

  /** None of these may end with a Java class in hand. What is refused, and how, is jep's. */
  @ParameterizedTest
  @ValueSource(
      strings = {
        "import java.lang.System as found",
        "from java.lang import Runtime as found",
        "found = __import__('java.lang.System')",
        "import importlib; found = importlib.import_module('java.util').ArrayList",
        "import _jep; found = _jep.findClass('java.lang.Runtime')",
        "import _jep; found = _jep.forName('java.lang.Runtime')",
        "import jep; found = jep.jarray(1, jep.JINT_ID).getClass()",
        "import jep; found = jep.jproxy({}, ['java.lang.Runnable']).getClass()",
        "import sys; found = [it for it in sys.meta_path if getattr(it, 'classLoader',"
            + " None)][0].classLoader",
        "import sys; found = [it for it in sys.meta_path if hasattr(it,"
            + " 'classEnquirer')][0].classEnquirer.getClass()",
        "import ragbus.bridge as b; found = b._lane.ints.base.getClass()",
      })
  void aFunctionCannotReachJava(String door) {
    String code =
        "def leave():\n    " + door.replace("; ", "\n    ") + "\n    return repr(found)\n";
    Await.result(service.ragbus().register(FunctionSpec.ofCode("leave", code).withReplace(true)));
    RagbusException failure = Await.ragbusFailure(service.ragbus().call("leave"));
    assertThat(failure.kind()).isEqualTo(RagbusException.Kind.PYTHON);
    assertThat(failure.pythonType())
        .isIn("ModuleNotFoundError", "ImportError", "AttributeError", "IndexError");
  }

  @Test
  void exitingIsAFailureNotTheEndOfTheJvm() {
    String code =
        """
        import ragbus.bridge as bridge, sys
        def knock(**ignored):
            sys.exit(3)
        bridge._OPERATIONS['knock'] = knock
        answer = bridge.call('knock', b'{}')
        del bridge._OPERATIONS['knock']
        """;

    assertThat(TestInterpreter.value(code, "answer[0]")).isEqualTo(false);
    assertThat((String) TestInterpreter.value(code, "answer[1].decode()")).contains("SystemExit");
  }

  @Test
  void printedLinesReachTheLogEscaped() {
    List<String> lines = new CopyOnWriteArrayList<>();
    Handler handler =
        new Handler() {
          @Override
          public void publish(LogRecord record) {
            lines.add(record.getMessage());
          }

          @Override
          public void flush() {}

          @Override
          public void close() {}
        };
    Logger logger = Logger.getLogger("dev.ragbus.python.output");
    logger.addHandler(handler);
    try {
      TestInterpreter.exec("print('caf\\u00e9 one\\u001b[31m'); print('two')");
      await()
          .untilAsserted(
              () -> {
                assertThat(lines).anyMatch(line -> line.endsWith("two"));
                assertThat(lines).anyMatch(line -> line.contains("café one"));
                assertThat(lines).noneMatch(line -> line.contains("\u001b"));
              });
    } finally {
      logger.removeHandler(handler);
    }
  }

  @Test
  void pythonReadsTheBuffersThatJavaWritesAfterOneThatCouldNotGrow() {
    String python = (String) TestInterpreter.value("import sys", "sys.executable");
    PythonRuntime.Settings settings =
        new PythonRuntime.Settings(
            Path.of(python), null, List.of(), 0, true, null, false, false); // it runs already
    CompletableFuture.runAsync(
            () -> {
              try (Bridge bridge = new Bridge(PythonRuntime.start(settings), 0)) {
                int[] expected = ids(bridge, "what comes after");
                TestInterpreter.exec(
                    """
                    import ragbus.hosting as hosting
                    taken = hosting.without_java
                    def full(array):
                        hosting.without_java = taken
                        raise MemoryError('no room')
                    hosting.without_java = full
                    """);
                assertThatThrownBy(() -> ids(bridge, "long ".repeat(50_000)))
                    .hasMessageContaining("no room");
                assertThat(ids(bridge, "what comes after")).isEqualTo(expected);
                assertThat(ids(bridge, "long ".repeat(50_000))).hasSize(256);
              }
            },
            work -> new Thread(work, "test-bridge").start())
        .join();
  }

  private static int[] ids(Bridge bridge, String text) {
    int handle =
        ((Number) TestInterpreter.value("import ragbus.registry as r", "r.loaded()[0].handle"))
            .intValue();
    TokenRow row =
        bridge
            .tokenize(new TokenizeCall(handle, List.of(text), null, false, 0, 1, false))
            .rowList(0, true)
            .get(0);
    return Arrays.copyOfRange(row.ids(), row.offset(), row.offset() + row.length());
  }

  @Test
  void processSettingsAreMadeFromInside() {
    assertThat(TestInterpreter.value("import sys", "sys.getswitchinterval()")).isEqualTo(0.0005);
    assertThat(TestInterpreter.value("import os", "os.environ['TOKENIZERS_PARALLELISM']"))
        .isEqualTo("false");
    assertThat(TestInterpreter.value("import os", "os.environ['HF_HUB_DISABLE_TELEMETRY']"))
        .isEqualTo("1");
    assertThatThrownBy(() -> TestInterpreter.exec("import sys; sys.setrecursionlimit(10**6)"))
        .hasMessageContaining("recursion");
  }
}
