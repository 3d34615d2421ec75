// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import io.vertx.core.Vertx;
import io.vertx.core.shareddata.LocalMap;

/**
 * Which prefixes a {@link Vertx} serves itself. A client beside a service asks that one, and not
 * another node of the cluster that serves the same addresses. Any thread may ask.
 */
public final class ServedHere {
  private static final String MAP = "dev.ragbus.served";

  private ServedHere() {}

  /** A deployment serves a prefix. */
  public static void begin(Vertx vertx, String prefix) {
    map(vertx).compute(prefix, (key, deployments) -> deployments == null ? 1 : deployments + 1);
  }

  /** It does no longer. */
  public static void end(Vertx vertx, String prefix) {
    map(vertx)
        .computeIfPresent(prefix, (key, deployments) -> deployments == 1 ? null : deployments - 1);
  }

  /** Whether a deployment of this Vert.x serves the prefix. */
  static boolean is(Vertx vertx, String prefix) {
    return map(vertx).containsKey(prefix);
  }

  private static LocalMap<String, Integer> map(Vertx vertx) {
    return vertx.sharedData().getLocalMap(MAP);
  }
}
