// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.app;

import dev.ragbus.service.TestService;
import io.vertx.core.Vertx;
import io.vertx.core.json.JsonObject;

/** An application of somebody else that deploys the service; in a process of its own. */
final class LibraryUserMain {
  static final String SERVING = "serving";
  static final String HOOK_RAN = "the application's own hook ran";

  private LibraryUserMain() {}

  public static void main(String[] arguments) {
    Runtime.getRuntime().addShutdownHook(new Thread(() -> System.out.println(HOOK_RAN)));
    TestService.start(Vertx.vertx(), new JsonObject());
    System.out.println(SERVING);
  }
}
