// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

import static org.assertj.core.api.Assertions.assertThat;

import com.code_intelligence.jazzer.junit.FuzzTest;
import dev.ragbus.JsonBodies;
import dev.ragbus.Ragbus;
import dev.ragbus.RagbusException;
import dev.ragbus.RagbusException.Kind;
import dev.ragbus.RagbusOptions;
import io.vertx.core.Future;
import java.lang.reflect.Proxy;
import java.util.List;
import java.util.stream.Stream;

/** Bodies of every operation of every dialect: read and asked, or refused as what they are. */
class BodiesFuzzTest {
  private static final Dialect OPEN_AI = new OpenAiDialect();
  private static final List<Operation<?>> OPERATIONS =
      Stream.of(
              OPEN_AI,
              new JinaDialect(OPEN_AI),
              new CohereDialect(),
              new TeiDialect(RagbusOptions.defaults(), new HealthDialect(OPEN_AI, () -> false)),
              new AdminDialect(OPEN_AI))
          .<Operation<?>>flatMap(dialect -> dialect.operations().stream())
          .toList();

  /** Asked for anything, it is not there. */
  private static final Ragbus NOBODY =
      (Ragbus)
          Proxy.newProxyInstance(
              Ragbus.class.getClassLoader(),
              new Class<?>[] {Ragbus.class},
              (proxy, method, args) ->
                  method.getReturnType() == Ragbus.class
                      ? proxy
                      : Future.failedFuture(RagbusException.of(Kind.UNAVAILABLE, "nobody")));

  /** The first byte chooses the operation. */
  @FuzzTest(maxDuration = "60s")
  void body(byte[] data) {
    if (data.length > 0) {
      ask(OPERATIONS.get((data[0] & 0xff) % OPERATIONS.size()), data);
    }
  }

  private static <B extends Record> void ask(Operation<B> operation, byte[] data) {
    byte[] json = new byte[data.length - 1];
    System.arraycopy(data, 1, json, 0, json.length);
    try {
      B body = JsonBodies.parse(json, operation.bodyType());
      Future<Reply> asked =
          operation.answer().to(new Operation.Call<>(NOBODY, "id", "rest", Access.ADMIN, body));
      assertThat(asked.failed()).isTrue();
      assertThat(asked.cause()).isInstanceOf(RagbusException.class);
    } catch (RagbusException refused) {
      assertThat(refused.code()).isBetween(400, 422);
      assertThat(refused.detail()).doesNotContain("jackson", "dev.ragbus", "Exception");
      HttpFailure.of(refused);
    }
  }
}
