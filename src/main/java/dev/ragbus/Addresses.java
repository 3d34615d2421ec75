// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import java.util.Objects;

/**
 * The event-bus addresses of one deployment: a prefix ({@code rag} unless configured) and a name.
 *
 * @param prefix the part before the first dot of every address
 */
public record Addresses(String prefix) {
  /** The prefix used when none is configured. */
  public static final String DEFAULT_PREFIX = "rag";

  /** Header: the time left for the request, in milliseconds. */
  public static final String TIMEOUT_HEADER = "timeout-ms";

  /** Header: the caller's name for the request, {@code ^[A-Za-z0-9._-]{1,64}$}. */
  public static final String REQUEST_ID_HEADER = "request-id";

  /**
   * Header: who asks, at most {@link #MAX_CALLER_CHARS} characters. A caller who has nothing under
   * way does not wait behind all that another one has sent.
   */
  public static final String CALLER_HEADER = "caller";

  /** The longest name of a caller. */
  public static final int MAX_CALLER_CHARS = 128;

  /** Header: where the frames of a stream go, an address private to the caller. */
  public static final String STREAM_ADDRESS_HEADER = "stream-address";

  /** Header of a reply: {@link Timings#header}, where texts were run. */
  public static final String TIMINGS_HEADER = "server-timing";

  /** Checks the prefix. */
  public Addresses {
    Objects.requireNonNull(prefix, "prefix");
    if (!prefix.matches("[A-Za-z0-9_.-]{1,64}")) {
      throw new IllegalArgumentException(
          "bus.address_prefix must match [A-Za-z0-9_.-]{1,64}, not '" + prefix + "'");
    }
  }

  /** Addresses under the default prefix. */
  public static Addresses defaults() {
    return new Addresses(DEFAULT_PREFIX);
  }

  /** Texts to vectors. */
  public String embed() {
    return of("embed");
  }

  /** Texts to sparse vectors. */
  public String embedSparse() {
    return of("embed_sparse");
  }

  /** Texts to labels. */
  public String predict() {
    return of("predict");
  }

  /** A query and texts to a ranking. */
  public String rerank() {
    return of("rerank");
  }

  /** The same, as a stream of frames. */
  public String rerankStream() {
    return of("rerank.stream");
  }

  /** Texts to tokens. */
  public String tokenize() {
    return of("tokenize");
  }

  /** Token ids to texts. */
  public String decode() {
    return of("decode");
  }

  /** Loads a model. */
  public String loadModel() {
    return of("models.load");
  }

  /** Lists the loaded models. */
  public String listModels() {
    return of("models.list");
  }

  /** Describes one loaded model. */
  public String getModel() {
    return of("models.get");
  }

  /** Clears one loaded model or all of them. */
  public String clearModels() {
    return of("models.clear");
  }

  /** Registers a function. */
  public String registerFunction() {
    return of("functions.register");
  }

  /** Unregisters a function. */
  public String unregisterFunction() {
    return of("functions.unregister");
  }

  /** Describes one registered function. */
  public String getFunction() {
    return of("functions.get");
  }

  /** Lists the registered functions. */
  public String listFunctions() {
    return of("functions.list");
  }

  /** Calls a registered function. */
  public String callFunction() {
    return of("functions.call");
  }

  /** Calls a generator, whose items are streamed. */
  public String streamFunction() {
    return of("functions.stream");
  }

  /** Clears caches and collects garbage. */
  public String cleanup() {
    return of("memory.cleanup");
  }

  /** Whether the service is up. */
  public String health() {
    return of("health");
  }

  /** Counters and quantiles. */
  public String stats() {
    return of("stats");
  }

  /** Published, without a reply: drops a request by its id. */
  public String cancel() {
    return of("cancel");
  }

  private String of(String name) {
    return prefix + "." + name;
  }
}
