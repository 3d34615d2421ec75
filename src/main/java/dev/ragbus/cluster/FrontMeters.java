// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.cluster;

import dev.ragbus.RagbusException.Kind;
import dev.ragbus.Stats;
import java.util.Map;

/** Where a front counts what it does. Called on its event loop. */
public interface FrontMeters {
  /** The meters of an operation. */
  Operation operation(String name);

  /** What has been counted, by operation. */
  Map<String, Stats.Operation> operations();

  /** A request is sent to another worker, after a failure of the first. */
  void repeated(Kind kind);

  /** How many workers there are that take requests, and that do not. */
  void workers(int serving, int others);

  /** An operation's meters. */
  interface Operation {
    /** A request has come. */
    void accepted();

    /** It is answered. */
    void answered(long nanos);

    /** It is answered with a failure. */
    void failed(Kind kind);
  }
}
