// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import dev.ragbus.Await;
import dev.ragbus.FunctionSpec;
import io.vertx.core.Vertx;
import io.vertx.core.json.JsonObject;

/** Calls a function that reads where no memory is; in a process of its own. */
final class CrashingFunctionMain {
  private CrashingFunctionMain() {}

  public static void main(String[] arguments) {
    TestService service =
        TestService.start(
            Vertx.vertx(),
            new JsonObject().put("functions", new JsonObject().put("allow_source", true)));
    String code = "import ctypes\ndef crash(text):\n    return ctypes.string_at(0)\n";
    Await.result(service.ragbus().register(FunctionSpec.ofCode("crash", code)));
    Await.result(service.ragbus().withRequestId("one-that-went-well").embed("a private text"));
    Await.result(service.ragbus().withRequestId("the-last-one").call("crash", "a private text"));
  }
}
