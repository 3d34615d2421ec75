// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.cluster;

import dev.ragbus.Addresses;
import dev.ragbus.RagbusException;
import dev.ragbus.RagbusException.Kind;
import io.vertx.core.Handler;
import io.vertx.core.MultiMap;
import io.vertx.core.eventbus.Message;
import java.util.UUID;

/**
 * The addresses of a cluster that only its nodes use: those of each worker, and those by which
 * workers and fronts find each other.
 *
 * @param prefix the prefix of the deployment's public addresses
 * @param secret what its nodes share
 */
public record WorkerAddresses(String prefix, ClusterSecret secret) {
  /** Header of a request to a worker: that the front knows the cluster's secret. */
  private static final String PROOF_HEADER = "cluster-proof";

  private static final int MAX_PREFIX_CHARS = 40;

  /** Checks the prefix, which those of workers begin with. */
  public WorkerAddresses {
    if (prefix.length() > MAX_PREFIX_CHARS) {
      throw new IllegalArgumentException(
          "bus.address_prefix must have at most "
              + MAX_PREFIX_CHARS
              + " characters in a cluster, not "
              + prefix.length());
    }
  }

  /** The id of this process as a worker: what the front that started it says, or one of its own. */
  public static String id() {
    String given = System.getProperty(WorkerCommand.ID_PROPERTY);
    return given == null ? UUID.randomUUID().toString().substring(24) : given;
  }

  /** Where a worker serves what the public addresses offer. */
  public Addresses of(String worker) {
    return new Addresses(prefix + ".worker." + worker);
  }

  /** Where workers tell what they have before them. */
  String announcements() {
    return prefix + ".workers";
  }

  /** Where a front asks workers to tell, at once. */
  String questions() {
    return prefix + ".workers.who";
  }

  /** The proof that goes with an announcement. */
  String announcementProof(String worker, String node) {
    return secret.proof("announcement " + worker + " " + node);
  }

  /** Whether an announcement comes from one who knows the secret. */
  boolean trusted(Announcement told) {
    return secret.proves(told.proof(), "announcement " + told.worker() + " " + told.node());
  }

  /** Adds the proof that goes with each request to a worker. */
  void prove(MultiMap headers, String worker) {
    String proof = secret.proof("request " + worker);
    if (proof != null) {
      headers.set(PROOF_HEADER, proof);
    }
  }

  /** What a worker does with a request: it refuses one of who does not know the secret. */
  public Handler<Message<Object>> guarded(String worker, Handler<Message<Object>> handler) {
    return message -> {
      if (secret.proves(message.headers().get(PROOF_HEADER), "request " + worker)) {
        handler.handle(message);
      } else {
        Headers.fail(
            message,
            RagbusException.of(Kind.FORBIDDEN, "workers are asked by fronts of their cluster"));
      }
    };
  }
}
