// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.cluster;

import dev.ragbus.Addresses;
import dev.ragbus.RagbusOptions;
import java.time.Duration;
import java.util.List;
import java.util.function.Function;

/**
 * How a front passes on a request.
 *
 * @param name what its meters are called
 * @param address its address, public and of a worker
 * @param target which workers may have it
 * @param timeout the time that a request has when it brings none
 * @param maxTimeout the most it may bring
 * @param repeatable whether doing it twice does no harm
 */
record Route(
    String name,
    Function<Addresses, String> address,
    Target target,
    Duration timeout,
    Duration maxTimeout,
    boolean repeatable) {
  /** Where the worker knows how long a request may take, and a front does not. */
  static final Duration LONGEST = Duration.ofDays(1);

  /** Which workers may have a request. */
  enum Target {
    /** One that has the named model, or the default embedding model. */
    EMBEDDING("embedding"),
    /** One that has the named model, or the default reranker. */
    RANKING("reranker"),
    /** One that has the named model, or the default sparse model. */
    SPARSE("sparse"),
    /** One that has the named model, or the default classifier. */
    CLASSIFIER("classifier"),
    /** One that has the named model. */
    MODEL(null),
    /** One that has the named function. */
    FUNCTION(null),
    /** Any. */
    ALL(null);

    private final String use;

    Target(String use) {
      this.use = use;
    }

    /** What a default model is for, as workers announce it; null where there is none. */
    String use() {
      return use;
    }

    /** Whether it waits at a worker in the queue that the worker tells of. */
    boolean queued() {
      return use != null;
    }

    /** The preference list for the default model. */
    List<String> preferred(RagbusOptions.Models options) {
      return switch (this) {
        case EMBEDDING -> options.embedding();
        case RANKING -> options.reranker();
        case SPARSE -> options.sparse();
        case CLASSIFIER -> options.classifier();
        case MODEL, FUNCTION, ALL -> List.of();
      };
    }
  }
}
