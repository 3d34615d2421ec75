// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

/** What a caller may do, and what an operation takes; each includes those before it. */
enum Access {
  /** No key or a wrong one: liveness, and whether the service is ready. */
  OPEN,
  /** A known caller without a role, who may do no more than that. */
  NONE,
  /** Everything that changes nothing for others. */
  USE,
  /** Loading and clearing models, registering functions, cleaning up. */
  ADMIN;

  boolean covers(Access needed) {
    return compareTo(needed) >= 0;
  }
}
