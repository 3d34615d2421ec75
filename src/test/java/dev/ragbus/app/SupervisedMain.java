// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.app;

import java.util.concurrent.locks.LockSupport;

/** A worker that does nothing but tell what its front has told it. */
public final class SupervisedMain {
  private SupervisedMain() {}

  /** Runs until the front is gone. */
  public static void main(String[] args) {
    int config = ParentWatch.begin().orElseThrow().encode().hashCode();
    String role = System.getProperty("ragbus.cluster.role");
    System.out.println(ProcessHandle.current().pid() + " is " + role + " with " + config);
    while (true) {
      LockSupport.park();
    }
  }
}
