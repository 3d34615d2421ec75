// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import dev.ragbus.Await;
import dev.ragbus.FunctionSpec;
import io.vertx.core.Vertx;
import io.vertx.core.json.JsonObject;

/** Calls a function that ends its process; in a process of its own. */
final class ExitingFunctionMain {
  private ExitingFunctionMain() {}

  public static void main(String[] arguments) {
    TestService service =
        TestService.start(
            Vertx.vertx(),
            new JsonObject().put("functions", new JsonObject().put("allow_source", true)));
    Await.result(
        service
            .ragbus()
            .register(FunctionSpec.ofCode("leave", "import os\ndef leave():\n    os._exit(7)\n")));
    System.out.println("leaving");
    Await.result(service.ragbus().call("leave"));
    System.out.println("still here");
  }
}
