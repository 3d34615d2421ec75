// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.ragbus.Await;
import dev.ragbus.FunctionSpec;
import dev.ragbus.FunctionStream;
import dev.ragbus.Ragbus;
import dev.ragbus.RagbusException.Kind;
import io.vertx.core.Vertx;
import io.vertx.core.json.JsonObject;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Generators whose items come over the bus, in real Python. */
class FunctionStreamTest {
  private static final AtomicInteger NAMES = new AtomicInteger();

  /** Counts what it made and whether it was closed, in a module that others read. */
  private static final String COUNTING =
      """
      import ragbus
      ragbus.test_made = 0
      ragbus.test_closed = False
      def f(n):
          ragbus.test_made, ragbus.test_closed = 0, False
          try:
              for i in range(n):
                  ragbus.test_made += 1
                  yield i
          finally:
              ragbus.test_closed = True
      """;

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
    Await.result(
        ragbus.register(
            FunctionSpec.ofCode(
                "seen",
                "import ragbus\ndef seen():\n"
                    + "    return [ragbus.test_made, ragbus.test_closed]\n")));
  }

  @AfterAll
  static void undeploy() {
    service.close();
    Await.result(vertx.close());
  }

  private static String register(String code) {
    String name = "stream" + NAMES.incrementAndGet();
    Await.result(
        ragbus.register(FunctionSpec.ofCode(name, code.replace("def f(", "def " + name + "("))));
    return name;
  }

  private static List<?> seen() {
    return (List<?>) Await.result(ragbus.call("seen")).result();
  }

  private static List<Object> read(FunctionStream stream) {
    List<Object> items = Collections.synchronizedList(new ArrayList<>());
    stream.handler(items::add);
    return items;
  }

  @Test
  void itemsComeInOrderAndThenTheEnd() {
    FunctionStream stream = Await.result(ragbus.stream(register(COUNTING), 1_000));
    List<Object> items = read(stream);

    Await.result(stream.ended());

    assertThat(items).isEqualTo(IntStream.range(0, 1_000).boxed().toList());
    assertThat(seen()).isEqualTo(List.of(1_000, true));
  }

  @Test
  void itemsOfAnAsyncGeneratorAreJsonShapes() {
    String name =
        register(
            "import numpy as np\n"
                + "async def f():\n    yield None\n    yield {'a': [1, 'x']}\n"
                + "    yield np.arange(3)\n");
    FunctionStream stream = Await.result(ragbus.stream(name));
    List<Object> items = read(stream);

    Await.result(stream.ended());

    assertThat(items).containsExactly(null, Map.of("a", List.of(1, "x")), List.of(0, 1, 2));
  }

  @Test
  void aReaderThatPausesMakesTheGeneratorWait() {
    FunctionStream stream = Await.result(ragbus.stream(register(COUNTING), 1_000));
    List<Object> items = Collections.synchronizedList(new ArrayList<>());
    stream.handler(
        item -> {
          items.add(item);
          if (items.size() == 10) {
            stream.pause();
          }
        });
    await().until(() -> items.size() >= 10);
    Object made = seen().get(0);

    assertThat((Integer) made).isLessThan(100);
    assertThat(seen().get(0)).as("others are served meanwhile, and it stands").isEqualTo(made);
    stream.resume();
    Await.result(stream.ended());
    assertThat(items).hasSize(1_000);
  }

  @Test
  void cancellingEndsTheGenerator() {
    FunctionStream stream = Await.result(ragbus.stream(register(COUNTING), 1_000_000));
    List<Object> items = read(stream);
    await().until(() -> items.size() > 100);

    Await.result(stream.cancel());

    assertThat(Await.ragbusFailure(stream.ended()).kind()).isEqualTo(Kind.CANCELLED);
    await().until(() -> (Boolean) seen().get(1));
  }

  @Test
  void aRequestIsCancelledByItsIdEvenWhileItWaitsForItsReader() {
    FunctionStream stream =
        Await.result(ragbus.withRequestId("a-stream").stream(register(COUNTING), 1_000_000));
    List<Object> items = read(stream);
    await().until(() -> items.size() > 100);
    stream.pause();

    ragbus.cancel("a-stream");

    await().until(() -> (Boolean) seen().get(1));
    stream.resume();
    assertThat(Await.ragbusFailure(stream.ended()).kind()).isEqualTo(Kind.CANCELLED);
  }

  @Test
  void aFailureComesAfterTheItemsBeforeIt() {
    String name = register("def f():\n    yield 1\n    yield 2\n    raise ValueError('no more')\n");
    FunctionStream stream = Await.result(ragbus.stream(name));
    List<Object> items = read(stream);

    var failure = Await.ragbusFailure(stream.ended());

    assertThat(items).containsExactly(1, 2);
    assertThat(failure.kind()).isEqualTo(Kind.PYTHON);
    assertThat(failure).hasMessageContaining("no more");
    assertThat(Await.result(ragbus.function(name)).usage().errors()).isOne();
  }

  @Test
  void itemsAreHeldAgainstTheOutputSchema() {
    String name = register("def f():\n    yield 1\n");
    Await.result(
        ragbus.register(
            FunctionSpec.ofCode(name, "def " + name + "():\n    yield 1\n    yield 'two'\n")
                .withSchemas(null, new JsonObject().put("type", "integer"))
                .withReplace(true)));
    FunctionStream stream = Await.result(ragbus.stream(name));
    List<Object> items = read(stream);

    assertThat(Await.ragbusFailure(stream.ended()).kind()).isEqualTo(Kind.TYPE_CONVERSION);
    assertThat(items).containsExactly(1);
  }

  @Test
  void theDeadlineEndsAStream() {
    String name =
        register(
            "import time\ndef f():\n    while True:\n        time.sleep(0.005)\n        yield 1\n");
    FunctionStream stream = Await.result(ragbus.withTimeout(Duration.ofMillis(200)).stream(name));
    List<Object> items = read(stream);

    assertThat(Await.ragbusFailure(stream.ended()).kind()).isEqualTo(Kind.TIMEOUT);
    assertThat(items).isNotEmpty();
    assertThat(seen()).isNotNull();
  }

  @Test
  void whatCannotBeStreamedIsRefused() {
    assertThat(Await.ragbusFailure(ragbus.stream("embed_texts")).kind()).isEqualTo(Kind.INVALID);
    assertThat(Await.ragbusFailure(ragbus.stream("nobody")).kind())
        .isEqualTo(Kind.FUNCTION_NOT_FOUND);
    assertThat(Await.ragbusFailure(ragbus.stream(register(COUNTING))).kind())
        .isEqualTo(Kind.INVALID);
    assertThat(Await.ragbusFailure(ragbus.call(register(COUNTING), 1)).kind())
        .isEqualTo(Kind.TYPE_CONVERSION);
  }
}
