// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.cluster;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonProperty;
import java.util.List;
import java.util.Map;

/**
 * What a worker tells of itself. Fields that a newer node adds are passed over.
 *
 * @param worker its id, which its addresses have
 * @param node the id of its node in the cluster
 * @param state whether it takes requests
 * @param lanes its inference lanes
 * @param items texts of the requests that it holds
 * @param maxItems the most it takes
 * @param tokens their tokens
 * @param maxTokens the most it takes
 * @param tokensPerSecond how fast it is; 0 while it does not know
 * @param defaults the models of requests that name none, by {@code embedding}, {@code reranker},
 *     {@code sparse} and {@code classifier}; without those for which there is none, or none yet
 * @param models the names of the models that it has loaded
 * @param functions the names of its functions
 * @param requests requests that it has taken since it started
 * @param proof that it knows the cluster's secret; null where there is none
 */
@JsonIgnoreProperties(ignoreUnknown = true)
public record Announcement(
    String worker,
    String node,
    State state,
    int lanes,
    int items,
    int maxItems,
    long tokens,
    long maxTokens,
    double tokensPerSecond,
    Map<String, String> defaults,
    List<String> models,
    List<String> functions,
    long requests,
    String proof) {

  /** Whether a worker takes requests. */
  public enum State {
    /** It does. */
    @JsonProperty("serving")
    SERVING,
    /** It answers those it has and takes no more. */
    @JsonProperty("draining")
    DRAINING,
    /** Its Python is stuck: it takes none for now. */
    @JsonProperty("down")
    DOWN
  }

  /** Copies what it holds. */
  public Announcement {
    defaults = defaults == null ? Map.of() : Map.copyOf(defaults);
    models = models == null ? List.of() : List.copyOf(models);
    functions = functions == null ? List.of() : List.copyOf(functions);
  }
}
