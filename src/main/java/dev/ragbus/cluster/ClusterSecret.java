// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.cluster;

import dev.ragbus.RagbusOptions;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.util.Base64;
import java.util.Optional;
import java.util.UUID;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/**
 * What all nodes of a cluster share, so that none is taken for one that isn't. It never leaves a
 * node: what travels is an HMAC-SHA256 of what it is to prove, on the event bus, which TLS
 * protects, and in part in the cluster's name, which nothing does. Immutable.
 */
public final class ClusterSecret {
  private static final int MIN_CHARS = 16;
  private static final String ALGORITHM = "HmacSHA256";

  /** That of this process and the workers it starts, where no other nodes are meant to be. */
  private static final String OWN = UUID.randomUUID() + "." + UUID.randomUUID();

  private final SecretKeySpec key;

  private ClusterSecret(SecretKeySpec key) {
    this.key = key;
  }

  /**
   * The secret that the options name; where they name none, and the only other nodes are worker
   * processes of this one, its own; else none.
   *
   * @throws IllegalArgumentException where it cannot be read or is too short; it is not repeated
   */
  public static ClusterSecret of(RagbusOptions.Cluster options) {
    String secret = options.secret();
    if (secret == null && options.secretFile() != null) {
      secret = read(options.secretFile());
    }
    if (secret == null) {
      secret = ofProcesses(options).orElse(null);
    }
    if (secret == null) {
      return new ClusterSecret(null);
    }
    if (secret.strip().length() < MIN_CHARS) {
      throw new IllegalArgumentException(
          "cluster.secret must have at least " + MIN_CHARS + " characters");
    }
    return new ClusterSecret(
        new SecretKeySpec(secret.strip().getBytes(StandardCharsets.UTF_8), ALGORITHM));
  }

  /** What the worker processes of this one are to be told; empty where their options have it. */
  static Optional<String> ofProcesses(RagbusOptions.Cluster options) {
    boolean alone = options.clustered() && !options.enabled();
    boolean named = options.secret() != null || options.secretFile() != null;
    return alone && !named ? Optional.of(OWN) : Optional.empty();
  }

  private static String read(String file) {
    try {
      return Files.readString(Path.of(file));
    } catch (IOException | UncheckedIOException e) {
      throw new IllegalArgumentException(
          "cluster.secret_file " + file + " cannot be read (" + e.getClass().getSimpleName() + ")");
    }
  }

  /** Proves a statement; null where there is no secret. */
  public String proof(String statement) {
    if (key == null) {
      return null;
    }
    try {
      Mac mac = Mac.getInstance(ALGORITHM);
      mac.init(key);
      byte[] digest = mac.doFinal(statement.getBytes(StandardCharsets.UTF_8));
      return Base64.getUrlEncoder().withoutPadding().encodeToString(digest);
    } catch (GeneralSecurityException e) {
      throw new IllegalStateException(e);
    }
  }

  /** Whether a proof is one of the statement; in the same time for all that aren't. */
  public boolean proves(String proof, String statement) {
    String right = proof(statement);
    return right == null
        || proof != null
            && MessageDigest.isEqual(
                right.getBytes(StandardCharsets.UTF_8), proof.getBytes(StandardCharsets.UTF_8));
  }
}
