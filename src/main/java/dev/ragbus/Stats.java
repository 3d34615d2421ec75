// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import java.util.List;
import java.util.Map;

/**
 * Counters since the start, and quantiles of recent requests.
 *
 * @param operations by operation ({@code embed}, {@code rerank}, …)
 * @param queue the inference queue
 * @param lanes one entry a lane
 * @param models one entry a model that is loaded or being loaded
 * @param modelCache how requests found their models
 * @param functions registered functions and their calls
 * @param residentBytes resident memory of the process
 */
public record Stats(
    Map<String, Operation> operations,
    Queue queue,
    List<Lane> lanes,
    List<ModelInfo> models,
    ModelCache modelCache,
    Functions functions,
    long residentBytes) {

  /**
   * An operation's counters.
   *
   * @param accepted requests admitted
   * @param answered requests answered with a result
   * @param failed failures by kind
   * @param p50Millis median time from arrival to answer
   * @param p99Millis 99th percentile of it
   */
  public record Operation(
      long accepted, long answered, Map<String, Long> failed, double p50Millis, double p99Millis) {}

  /**
   * The inference queue.
   *
   * @param items texts of the requests under way
   * @param tokens their tokens, estimated until they are known
   * @param batches batches run
   * @param rows rows run
   * @param realTokens tokens run, without padding
   * @param paddedTokens tokens run, with padding
   * @param dropped rows, and texts that were no rows yet, dropped before they ran, their request
   *     being over
   * @param coalesced rows that waited for one that is the same rather than run
   * @param cached rows whose numbers were known
   */
  public record Queue(
      int items,
      long tokens,
      long batches,
      long rows,
      long realTokens,
      long paddedTokens,
      long dropped,
      long coalesced,
      long cached) {}

  /**
   * A lane.
   *
   * @param name its name
   * @param role what it runs
   * @param state {@code idle}, {@code busy}, {@code starting}, {@code closed}, {@code
   *     unresponsive}: it has given no sign of life for a second, or {@code lost}: its thread has
   *     died, or it could not begin, and it is tried again
   * @param calls calls run
   * @param replaced how often its thread was abandoned and replaced
   * @param abandoned threads that were abandoned and are still stuck
   */
  public record Lane(
      String name, String role, String state, long calls, long replaced, int abandoned) {}

  /**
   * The models' comings and goings.
   *
   * @param hits requests whose model was loaded
   * @param misses requests whose model had to be loaded first
   * @param loads loads that succeeded
   * @param failedLoads loads that failed
   * @param cancelledLoads loads that were cancelled
   * @param evictions models that went because others were used more recently, or after a time
   *     without use
   * @param loadMillis time that the loads took which succeeded
   */
  public record ModelCache(
      long hits,
      long misses,
      long loads,
      long failedLoads,
      long cancelledLoads,
      long evictions,
      long loadMillis) {}

  /**
   * The registered functions.
   *
   * @param waiting calls that wait for a lane
   * @param running calls on a lane
   * @param dropped calls dropped before they ran, their time being over or their caller gone
   * @param tainted calls ended by an exception thrown into them: each may have left a lock locked
   * @param cacheHits times that a function was found compiled, in this process
   * @param cacheMisses times that one had to be compiled
   * @param byName one entry a function
   */
  public record Functions(
      int waiting,
      int running,
      long dropped,
      long tainted,
      long cacheHits,
      long cacheMisses,
      Map<String, FunctionInfo.Usage> byName) {}
}
