// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.app;

import dev.ragbus.FakeService;

/** The application around a stand-in for the service, to be run in a process of its own. */
public final class FakeMain {
  private FakeMain() {}

  /** Runs it. */
  public static void main(String[] args) {
    Main.run(args.length == 0 ? FakeService.class.getName() : args[0]);
  }
}
