// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.cluster;

import dev.ragbus.RagbusOptions.Cluster;
import java.time.Duration;

/**
 * How long a worker process goes on before another takes its place: a cure for what leaks slowly.
 *
 * @param maxAge how old it gets; null for any
 * @param maxRequests how many requests it gets; 0 for any
 * @param maxResidentBytes how much resident memory it has; 0 for any
 */
record WorkerTerm(Duration maxAge, long maxRequests, long maxResidentBytes) {
  private static final long MEGABYTE = 1 << 20;

  static WorkerTerm of(Cluster options) {
    return new WorkerTerm(
        options.workerMaxAge(),
        options.workerMaxRequests(),
        options.workerMemoryMegabytes() * MEGABYTE);
  }

  boolean endless() {
    return maxAge == null && maxRequests == 0 && maxResidentBytes == 0;
  }

  /**
   * Why its term is over; null while it is not.
   *
   * @param residentBytes its resident memory; 0 where that is not known
   */
  String over(Duration age, long requests, long residentBytes) {
    if (maxResidentBytes > 0 && residentBytes > maxResidentBytes) {
      return residentBytes / MEGABYTE
          + " MB resident, over cluster.worker_memory_megabytes = "
          + maxResidentBytes / MEGABYTE;
    }
    if (maxRequests > 0 && requests >= maxRequests) {
      return requests + " requests, cluster.worker_max_requests = " + maxRequests;
    }
    if (maxAge != null && age.compareTo(maxAge) >= 0) {
      return age.toSeconds() + " s old, cluster.worker_max_age = " + maxAge.toSeconds() + " s";
    }
    return null;
  }
}
