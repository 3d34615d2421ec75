// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.cluster;

import dev.ragbus.Addresses;
import java.time.Duration;
import java.util.function.Function;

/**
 * How a front passes on one kind of request.
 *
 * @param name what its meters are called
 * @param address its address, public and of a worker
 * @param target which workers may have it
 * @param maxTimeout the time that a request has when it brings none, and the most it may bring
 * @param repeatable whether doing it twice does no harm
 */
record Route(
    String name,
    Function<Addresses, String> address,
    Target target,
    Duration maxTimeout,
    boolean repeatable) {

  /** Which workers may have a request. */
  enum Target {
    /** One that has the named model, or the default embedding model. */
    EMBEDDING,
    /** One that has the named model, or the default reranker. */
    RANKING,
    /** One that has the named model. */
    MODEL,
    /** One that has the named function. */
    FUNCTION,
    /** Any. */
    ALL
  }
}
