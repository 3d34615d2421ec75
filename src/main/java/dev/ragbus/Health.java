// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import java.util.List;

/**
 * Whether the service is up.
 *
 * @param status {@code UP} or {@code DOWN}
 * @param initialized whether it has finished starting
 * @param checks what was looked at
 */
public record Health(String status, boolean initialized, List<Check> checks) {
  /** Whether requests can be served. */
  public boolean up() {
    return status.equals("UP");
  }

  /**
   * One thing that was looked at.
   *
   * @param id what it is
   * @param status {@code UP} or {@code DOWN}
   * @param detail what was seen
   */
  public record Check(String id, String status, String detail) {}
}
