// SPDX-License-Identifier: Apache-2.0
package examples;

import dev.ragbus.FunctionCall;
import dev.ragbus.Ragbus;
import dev.ragbus.RerankRequest;
import java.time.Duration;
import java.util.List;
import java.util.Map;

/** What {@code docs/functions.md} and {@code docs/streaming.md} show. */
final class DocumentedCalls {
  private DocumentedCalls() {}

  static void functions(Ragbus ragbus, List<String> texts) {
    ragbus.call("longest", List.of("a", "bcd"), 1).onSuccess(reply -> use(reply.result()));
    ragbus.call(FunctionCall.of("longest", texts).withKwargs(Map.of("count", 2)));
    ragbus.withTimeout(Duration.ofMillis(200)).call("longest", texts);
  }

  static void stream(Ragbus ragbus, List<String> texts) {
    ragbus
        .rerankStream(RerankRequest.of("cat sounds", texts))
        .onSuccess(
            stream -> {
              stream.handler(frame -> show(frame));
              stream.ranking().onSuccess(ranking -> use(ranking));
            });
  }

  private static void use(Object result) {
    System.out.println(result);
  }

  private static void show(Object frame) {
    System.out.println(frame);
  }
}
