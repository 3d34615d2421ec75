// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.app;

import com.sun.management.HotSpotDiagnosticMXBean;
import com.sun.management.VMOption;
import java.lang.management.ManagementFactory;
import java.time.Duration;

/**
 * Has the JVM give heap back. It takes a 64th of the machine's memory when it starts, and fills
 * that before it collects for the first time, which Ragbus hardly ever makes it do.
 */
final class SpareHeap {
  static final String OPTION = "G1PeriodicGCInterval";

  /** So long without a collection, G1 makes one and then gives back what is not needed. */
  static final Duration INTERVAL = Duration.ofSeconds(5);

  private SpareHeap() {}

  /**
   * Without effect where the JVM was told an interval, has another collector, or is another JVM.
   */
  static void giveBack() {
    HotSpotDiagnosticMXBean vm = ManagementFactory.getPlatformMXBean(HotSpotDiagnosticMXBean.class);
    try {
      if (vm != null && vm.getVMOption(OPTION).getOrigin() == VMOption.Origin.DEFAULT) {
        vm.setVMOption(OPTION, Long.toString(INTERVAL.toMillis()));
      }
    } catch (IllegalArgumentException noSuchOption) {
      // Another JVM has its own ways.
    }
  }
}
