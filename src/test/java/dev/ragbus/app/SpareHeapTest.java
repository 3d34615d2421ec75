// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.app;

import static org.assertj.core.api.Assertions.assertThat;

import com.sun.management.HotSpotDiagnosticMXBean;
import java.lang.management.ManagementFactory;
import org.junit.jupiter.api.Test;

class SpareHeapTest {
  private final HotSpotDiagnosticMXBean vm =
      ManagementFactory.getPlatformMXBean(HotSpotDiagnosticMXBean.class);

  private String interval() {
    return vm.getVMOption(SpareHeap.OPTION).getValue();
  }

  @Test
  void anIntervalIsSetUnlessOneWasGiven() {
    assertThat(interval()).as("the JVM's own").isEqualTo("0");
    try {
      SpareHeap.giveBack();
      assertThat(interval()).isEqualTo("5000");
      vm.setVMOption(SpareHeap.OPTION, "77");
      SpareHeap.giveBack();
      assertThat(interval()).isEqualTo("77");
    } finally {
      vm.setVMOption(SpareHeap.OPTION, "0");
    }
  }
}
