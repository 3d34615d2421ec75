// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

import dev.ragbus.RagbusException;
import dev.ragbus.RagbusException.Kind;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.LongSupplier;

/**
 * Counts the wrong keys that come from an address, so that nobody can try many: after so many
 * within a minute, the address's requests with a key are refused until that minute is over. Belongs
 * to one verticle's event loop.
 */
final class FailedKeys {
  private static final long MINUTE_NANOS = 60_000_000_000L;

  /** With more addresses than this, the one whose first failure is longest ago is forgotten. */
  private static final int MAX_ADDRESSES = 10_000;

  private final int perMinute;
  private final LongSupplier nanoClock;
  private final Map<String, Failures> byAddress =
      new LinkedHashMap<>() {
        private static final long serialVersionUID = 1L;

        @Override
        protected boolean removeEldestEntry(Map.Entry<String, Failures> eldest) {
          return size() > MAX_ADDRESSES;
        }
      };

  private record Failures(long sinceNanos, int count) {}

  FailedKeys(int perMinute, LongSupplier nanoClock) {
    this.perMinute = perMinute;
    this.nanoClock = nanoClock;
  }

  /**
   * Refuses an address that has had its share.
   *
   * @throws RagbusException {@code OVERLOADED}, which says when to come back
   */
  void check(String address) {
    Failures failures = current(address);
    if (failures != null && failures.count >= perMinute) {
      long leftNanos = failures.sinceNanos + MINUTE_NANOS - nanoClock.getAsLong();
      throw RagbusException.of(
          Kind.OVERLOADED,
          "too many wrong keys came from your address",
          true,
          Math.max(1, leftNanos / 1_000_000),
          null);
    }
  }

  /** A wrong key came from an address. */
  void failed(String address) {
    Failures before = current(address);
    byAddress.put(
        address,
        before == null
            ? new Failures(nanoClock.getAsLong(), 1)
            : new Failures(before.sinceNanos, before.count + 1));
  }

  /** What counts still; the minute begins with an address's first failure. */
  private Failures current(String address) {
    Failures failures = byAddress.get(address);
    if (failures != null && nanoClock.getAsLong() - failures.sinceNanos >= MINUTE_NANOS) {
      byAddress.remove(address);
      return null;
    }
    return failures;
  }
}
