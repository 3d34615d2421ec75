// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.langchain4j;

import dev.langchain4j.data.embedding.Embedding;
import dev.langchain4j.model.embedding.EmbeddingModel;
import dev.langchain4j.model.embedding.listener.EmbeddingModelListener;
import dev.langchain4j.model.embedding.request.EmbeddingInput;
import dev.langchain4j.model.embedding.request.EmbeddingInputType;
import dev.langchain4j.model.embedding.request.EmbeddingParameter;
import dev.langchain4j.model.embedding.request.EmbeddingRequest;
import dev.langchain4j.model.embedding.request.EmbeddingRequestParameters;
import dev.langchain4j.model.embedding.response.EmbeddingResponse;
import dev.langchain4j.model.output.TokenUsage;
import dev.ragbus.EmbedRequest;
import dev.ragbus.Embeddings;
import dev.ragbus.InputType;
import dev.ragbus.Ragbus;
import io.vertx.core.Future;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.function.Function;
import java.util.stream.IntStream;

/**
 * An embedding model of a Ragbus deployment, for langchain4j.
 *
 * <p>Any number of texts may be given to one call: they go in as few requests as {@link
 * RequestLimits} allows, and come back in order. A call fails as a whole, with langchain4j's own
 * exceptions; the {@link dev.ragbus.RagbusException} is their cause.
 *
 * <p>Safe from any thread but an event loop, where {@code embedAsync} is for: the other methods
 * wait, on a worker's own context too, and refuse to on an event loop with an {@link
 * IllegalStateException}.
 */
public final class RagbusEmbeddingModel implements EmbeddingModel {
  private static final Set<EmbeddingParameter<?>> SUPPORTED =
      Set.of(
          EmbeddingRequestParameters.MODEL_NAME,
          EmbeddingRequestParameters.DIMENSIONS,
          EmbeddingRequestParameters.INPUT_TYPE);

  private final Ragbus ragbus;
  private final EmbeddingRequestParameters defaults;
  private final Duration timeout;
  private final RequestLimits limits;
  private final List<EmbeddingModelListener> listeners;

  /** What the deployment's default model is called; null until it has answered. */
  private volatile String defaultModelName;

  /** The dimensions of vectors by the default parameters; null until some were made. */
  private volatile Integer dimension;

  private RagbusEmbeddingModel(Builder builder) {
    ragbus = builder.ragbus;
    defaults =
        EmbeddingRequestParameters.builder()
            .modelName(builder.modelName)
            .dimensions(builder.dimensions)
            .inputType(builder.inputType)
            .build();
    timeout = builder.timeout;
    limits = builder.limits;
    listeners = builder.listeners;
  }

  /** The deployment's default embedding model. */
  public static RagbusEmbeddingModel create(Ragbus ragbus) {
    return builder(ragbus).build();
  }

  /** A model of that deployment, to be described further. */
  public static Builder builder(Ragbus ragbus) {
    return new Builder(ragbus);
  }

  /** Embeds texts; the parameters are merged and checked. */
  @Override
  public EmbeddingResponse doEmbed(EmbeddingRequest request) {
    return Blocking.await(() -> doEmbedAsync(request), "embedAsync");
  }

  /**
   * Embeds texts without waiting; the future completes on the caller's context where there is one.
   * Cancelling it drops the work.
   */
  @Override
  public CompletableFuture<EmbeddingResponse> doEmbedAsync(EmbeddingRequest request) {
    EmbeddingRequestParameters parameters = request.parameters();
    List<String> texts = request.inputs().stream().map(EmbeddingInput::text).toList();
    List<Function<Ragbus, Future<Part>>> requests = new ArrayList<>();
    try {
      for (List<String> some : limits.split(texts, 0)) {
        EmbedRequest body =
            EmbedRequest.of(some)
                .withModel(parameters.modelName())
                .withDimensions(parameters.dimensions())
                .withInputType(inputType(parameters.inputType()));
        requests.add(client -> client.embed(body).map(Part::of));
      }
    } catch (RuntimeException e) {
      return CompletableFuture.failedFuture(Failures.of(e));
    }
    return Requests.send(ragbus, timeout, limits, requests, parts -> response(parameters, parts));
  }

  private static InputType inputType(EmbeddingInputType type) {
    if (type == null) {
      return null;
    }
    return switch (type) {
      case QUERY -> InputType.QUERY;
      case DOCUMENT -> InputType.DOCUMENT;
    };
  }

  private EmbeddingResponse response(EmbeddingRequestParameters parameters, List<Part> parts) {
    List<Embedding> embeddings = new ArrayList<>();
    List<Integer> truncated = new ArrayList<>();
    int tokens = 0;
    for (Part part : parts) {
      for (int index : part.truncated) {
        truncated.add(embeddings.size() + index);
      }
      embeddings.addAll(part.embeddings);
      tokens += part.tokens;
    }
    String model = parts.get(0).model;
    if (parameters.modelName() == null) {
      defaultModelName = model;
    }
    if (parameters.equals(defaults)) {
      dimension = embeddings.get(0).dimension();
    }
    return EmbeddingResponse.builder()
        .embeddings(embeddings)
        .metadata(new RagbusEmbeddingMetadata(model, new TokenUsage(tokens), truncated))
        .build();
  }

  /**
   * The dimensions of vectors by the default parameters; embeds a word to learn them, unless they
   * were asked for or an answer has shown them.
   */
  @Override
  public int dimension() {
    if (defaults.dimensions() != null) {
      return defaults.dimensions();
    }
    if (dimension == null) {
      doEmbed(EmbeddingRequest.builder().input("dimension").parameters(defaults).build());
    }
    return dimension;
  }

  /**
   * The model's name; of the deployment's default model {@code unknown} until it has answered,
   * since this method never waits.
   */
  @Override
  public String modelName() {
    if (defaults.modelName() != null) {
      return defaults.modelName();
    }
    return defaultModelName == null ? "unknown" : defaultModelName;
  }

  @Override
  public EmbeddingRequestParameters defaultRequestParameters() {
    return defaults;
  }

  /** The model's name, the dimensions and the input type. */
  @Override
  public Set<EmbeddingParameter<?>> supportedParameters() {
    return SUPPORTED;
  }

  @Override
  public List<EmbeddingModelListener> listeners() {
    return listeners;
  }

  /** What one request brought. */
  private record Part(
      List<Embedding> embeddings, String model, int tokens, List<Integer> truncated) {
    static Part of(Embeddings vectors) {
      return new Part(
          IntStream.range(0, vectors.count())
              .mapToObj(row -> Embedding.from(vectors.row(row)))
              .toList(),
          vectors.model(),
          vectors.usage().promptTokens(),
          vectors.usage().truncated());
    }
  }

  /** A model that is being described. */
  public static final class Builder {
    private final Ragbus ragbus;
    private String modelName;
    private Integer dimensions;
    private EmbeddingInputType inputType;
    private Duration timeout = Duration.ofSeconds(30);
    private RequestLimits limits = RequestLimits.EMBEDDING;
    private List<EmbeddingModelListener> listeners = List.of();

    private Builder(Ragbus ragbus) {
      this.ragbus = Objects.requireNonNull(ragbus, "ragbus");
    }

    /** The model of requests that name none; null for the deployment's default embedding model. */
    public Builder modelName(String modelName) {
      this.modelName = modelName;
      return this;
    }

    /** How many leading dimensions are kept where a request does not say; null for all. */
    public Builder dimensions(Integer dimensions) {
      this.dimensions = dimensions;
      return this;
    }

    /** What texts are for where a request does not say; null for nothing in particular. */
    public Builder inputType(EmbeddingInputType inputType) {
      this.inputType = inputType;
      return this;
    }

    /**
     * The time that each request has, whatever the client's own; default 30 s, at least a
     * millisecond. A deployment caps it at its own limit.
     */
    public Builder timeout(Duration timeout) {
      if (timeout.toMillis() < 1) {
        throw new IllegalArgumentException("timeout must be at least 1 ms, not " + timeout);
      }
      this.timeout = timeout;
      return this;
    }

    /** How calls are cut into requests; default {@link RequestLimits#EMBEDDING}. */
    public Builder limits(RequestLimits limits) {
      this.limits = Objects.requireNonNull(limits, "limits");
      return this;
    }

    /** Who is told of requests, answers and failures; default nobody. They must not block. */
    public Builder listeners(List<EmbeddingModelListener> listeners) {
      this.listeners = List.copyOf(listeners);
      return this;
    }

    /** The model; nothing is sent yet. */
    public RagbusEmbeddingModel build() {
      return new RagbusEmbeddingModel(this);
    }
  }
}
