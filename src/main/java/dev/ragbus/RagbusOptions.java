package dev.ragbus;

import com.fasterxml.jackson.annotation.JsonProperty;
import io.vertx.core.json.JsonObject;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Every option of a deployment, immutable and checked when made; {@code conf/ragbus.toml} documents
 * each key with its default and unit. A null component takes its default, so {@code new
 * RagbusOptions(null, …)} of any section is complete.
 *
 * <p>Sections and keys are written in {@code snake_case} in files; a duration is a number and a
 * unit, as in {@code "30s"}.
 */
public record RagbusOptions(
    Python python,
    Functions functions,
    Bus bus,
    Lanes lanes,
    Batching batching,
    Limits limits,
    Models models,
    Http http,
    Security security,
    Cluster cluster) {

  /** Fills in the sections that are missing. */
  public RagbusOptions {
    python = Checks.orDefault(python, Python.DEFAULTS);
    functions = Checks.orDefault(functions, Functions.DEFAULTS);
    bus = Checks.orDefault(bus, Bus.DEFAULTS);
    lanes = Checks.orDefault(lanes, Lanes.DEFAULTS);
    batching = Checks.orDefault(batching, Batching.DEFAULTS);
    limits = Checks.orDefault(limits, Limits.DEFAULTS);
    models = Checks.orDefault(models, Models.DEFAULTS);
    http = Checks.orDefault(http, Http.DEFAULTS);
    security = Checks.orDefault(security, Security.DEFAULTS);
    cluster = Checks.orDefault(cluster, Cluster.DEFAULTS);
  }

  /** All defaults. */
  public static RagbusOptions defaults() {
    return new RagbusOptions(null, null, null, null, null, null, null, null, null, null);
  }

  /**
   * The options of a deployment: what a verticle's {@code config()} or a file says, then this
   * process's {@code RAGBUS_*} environment, then its {@code ragbus.*} system properties.
   *
   * @param config nested as the sections of {@code conf/ragbus.toml}; may be empty
   * @throws IllegalArgumentException for an unknown name or a bad value, with the name, the value
   *     and what is allowed; see {@link OptionsReader}
   */
  public static RagbusOptions from(JsonObject config) {
    return OptionsReader.read(config);
  }

  /** The options as {@link #from(JsonObject)} reads them, every default included. */
  public JsonObject toJson() {
    return JsonBodies.format(this);
  }

  /**
   * {@code [python]}: the interpreter and what lives in it.
   *
   * @param pythonPath the executable that makes the environment
   * @param environment an existing environment to use instead of making one; null for none
   * @param extras what is installed beside what every environment has: some of {@link #EXTRAS}
   * @param modulePath folders put first on {@code sys.path}; null for the working folder's {@code
   *     python} where that exists
   * @param defaultTimeout the time a request has when it brings none, and the most it may bring
   * @param enableGc whether Python's garbage is collected periodically
   * @param gcInterval how often
   * @param maxCachedModels how many models stay loaded
   * @param modelCacheTimeout how long a model stays loaded without being used
   * @param enableGpu whether a GPU is used where there is one
   * @param gpuMemoryFraction how much of its memory
   * @param functions limits by function name
   */
  public record Python(
      String pythonPath,
      String environment,
      List<String> extras,
      List<String> modulePath,
      Duration defaultTimeout,
      Boolean enableGc,
      Duration gcInterval,
      Integer maxCachedModels,
      Duration modelCacheTimeout,
      Boolean enableGpu,
      Double gpuMemoryFraction,
      Map<String, FunctionLimits> functions) {
    private static final Map<String, FunctionLimits> FUNCTION_DEFAULTS =
        Map.of(
            "embed_texts", new FunctionLimits(Duration.ofSeconds(30), 32),
            "rerank_texts", new FunctionLimits(Duration.ofSeconds(60), 16),
            "load_model", new FunctionLimits(Duration.ofSeconds(60), null),
            "clear_cache", new FunctionLimits(Duration.ofSeconds(10), null));

    static final Python DEFAULTS =
        new Python(null, null, null, null, null, null, null, null, null, null, null, null);

    /** The extras: ONNX Runtime with CUDA, int8 models, sentence-transformers. */
    public static final List<String> EXTRAS = List.of("cuda", "quantize", "torch");

    /** Checks every key and fills in defaults. */
    public Python {
      pythonPath = Checks.orDefault(pythonPath, "python3");
      extras = extras == null ? List.of() : List.copyOf(extras);
      for (String extra : extras) {
        if (!EXTRAS.contains(extra)) {
          String allowed = "some of " + String.join(", ", EXTRAS);
          String nearest = OptionsReader.nearest(extra, EXTRAS);
          throw wrong("python.extras", extra + "; did you mean " + nearest + "?", allowed);
        }
      }
      defaultTimeout = positive("python.default_timeout", defaultTimeout, Duration.ofSeconds(30));
      enableGc = Checks.orDefault(enableGc, true);
      gcInterval = positive("python.gc_interval", gcInterval, Duration.ofMinutes(5));
      maxCachedModels = atLeastOne("python.max_cached_models", maxCachedModels, 5);
      modelCacheTimeout =
          positive("python.model_cache_timeout", modelCacheTimeout, Duration.ofHours(1));
      enableGpu = Checks.orDefault(enableGpu, true);
      gpuMemoryFraction = Checks.orDefault(gpuMemoryFraction, 0.5);
      if (!(gpuMemoryFraction > 0 && gpuMemoryFraction <= 1)) {
        throw wrong("python.gpu_memory_fraction", gpuMemoryFraction, "above 0 and at most 1");
      }
      modulePath = modulePath == null ? null : List.copyOf(modulePath);
      functions = functionLimits(functions == null ? Map.of() : functions);
    }

    private static Map<String, FunctionLimits> functionLimits(Map<String, FunctionLimits> given) {
      Map<String, FunctionLimits> limits = new HashMap<>(FUNCTION_DEFAULTS);
      given.forEach(
          (name, own) -> {
            FunctionLimits base = limits.getOrDefault(name, new FunctionLimits(null, null));
            String key = "python.functions." + name;
            limits.put(
                name,
                new FunctionLimits(
                    positive(key + ".timeout", own.timeout(), base.timeout()),
                    atLeastOne(key + ".max_batch_size", own.maxBatchSize(), base.maxBatchSize())));
          });
      return Map.copyOf(limits);
    }

    /** The time a function has, and the most a caller may give it. */
    public Duration timeout(String function) {
      FunctionLimits limits = functions.get(function);
      return limits == null || limits.timeout() == null ? defaultTimeout : limits.timeout();
    }
  }

  /**
   * {@code [python.functions.NAME]}.
   *
   * @param timeout the time a call has when it brings none, and the most it may bring; null for
   *     {@code python.default_timeout}
   * @param maxBatchSize the most texts of one engine pass; null where that has no meaning
   */
  public record FunctionLimits(Duration timeout, Integer maxBatchSize) {}

  /**
   * {@code [functions]}: registered functions.
   *
   * @param allowSource whether source text may be registered over the bus
   * @param dir the folder of functions registered at start
   */
  public record Functions(Boolean allowSource, String dir) {
    static final Functions DEFAULTS = new Functions(null, null);

    /** Fills in defaults. */
    public Functions {
      allowSource = Checks.orDefault(allowSource, false);
      dir = Checks.orDefault(dir, "conf/functions");
    }
  }

  /**
   * {@code [bus]}.
   *
   * @param addressPrefix the part before the first dot of every address
   */
  public record Bus(String addressPrefix) {
    static final Bus DEFAULTS = new Bus(null);

    /** Checks the prefix. */
    public Bus {
      addressPrefix = new Addresses(Checks.orDefault(addressPrefix, "rag")).prefix();
    }

    /** The addresses under the prefix. */
    public Addresses addresses() {
      return new Addresses(addressPrefix);
    }
  }

  /**
   * {@code [lanes]}: the threads that run Python.
   *
   * @param inference lanes that run models, one compute thread each; default the cores, at most 8
   * @param function lanes that run registered functions
   * @param drainTimeout how long stopping waits for accepted requests
   * @param switchInterval how long a thread keeps the interpreter lock when another wants it
   * @param stuckTimeout how long a call may go on after the last of its requests is over, before
   *     its lane is given up and replaced
   */
  public record Lanes(
      Integer inference,
      Integer function,
      Duration drainTimeout,
      Duration switchInterval,
      Duration stuckTimeout) {
    static final Lanes DEFAULTS = new Lanes(null, null, null, null, null);

    /** Checks every key and fills in defaults. */
    public Lanes {
      int cores = Runtime.getRuntime().availableProcessors();
      inference = atLeastOne("lanes.inference", inference, Math.min(cores, 8));
      function = atLeastOne("lanes.function", function, 1);
      drainTimeout = positive("lanes.drain_timeout", drainTimeout, Duration.ofSeconds(10));
      switchInterval = positive("lanes.switch_interval", switchInterval, Duration.ofNanos(500_000));
      stuckTimeout = positive("lanes.stuck_timeout", stuckTimeout, Duration.ofSeconds(5));
    }
  }

  /**
   * {@code [batching]}.
   *
   * @param maxBatchTokens the most padded tokens of one engine pass
   * @param maxQueueItems the most texts waiting; more are refused with {@code OVERLOADED}
   * @param maxQueueTokens the most tokens waiting; more are refused with {@code OVERLOADED}
   */
  public record Batching(Integer maxBatchTokens, Integer maxQueueItems, Integer maxQueueTokens) {
    static final Batching DEFAULTS = new Batching(null, null, null);

    /** Checks every key and fills in defaults. */
    public Batching {
      maxBatchTokens = atLeastOne("batching.max_batch_tokens", maxBatchTokens, 512);
      maxQueueItems = atLeastOne("batching.max_queue_items", maxQueueItems, 20_000);
      maxQueueTokens = atLeastOne("batching.max_queue_tokens", maxQueueTokens, 4_000_000);
    }
  }

  /**
   * {@code [limits]} of one request; more is refused with {@code TOO_LARGE}.
   *
   * @param maxTexts texts to embed
   * @param maxDocuments texts to rank
   * @param maxTextChars characters of a text
   * @param maxRequestChars characters of all texts together
   * @param maxBodyBytes bytes of an HTTP body
   */
  public record Limits(
      Integer maxTexts,
      Integer maxDocuments,
      Integer maxTextChars,
      Integer maxRequestChars,
      Integer maxBodyBytes) {
    static final Limits DEFAULTS = new Limits(null, null, null, null, null);

    /** Checks every key and fills in defaults. */
    public Limits {
      maxTexts = atLeastOne("limits.max_texts", maxTexts, 2_048);
      maxDocuments = atLeastOne("limits.max_documents", maxDocuments, 10_000);
      maxTextChars = atLeastOne("limits.max_text_chars", maxTextChars, 200_000);
      maxRequestChars = atLeastOne("limits.max_request_chars", maxRequestChars, 8_000_000);
      maxBodyBytes = atLeastOne("limits.max_body_bytes", maxBodyBytes, 16_777_216);
    }
  }

  /**
   * {@code [models]}.
   *
   * @param embedding the default embedding model: the first of these that can be had
   * @param reranker the default reranker: the first of these that can be had
   * @param dir the folder of local models; null for none
   * @param allow names that a request may cause to be fetched from the hub
   * @param offline whether the hub is never asked
   * @param preload models loaded at start
   */
  public record Models(
      List<String> embedding,
      List<String> reranker,
      String dir,
      List<String> allow,
      Boolean offline,
      List<ModelSpec> preload) {
    static final Models DEFAULTS = new Models(null, null, null, null, null, null);

    /** The embedding model that Ragbus packages. */
    public static final String PACKAGED_EMBEDDING = "all-MiniLM-L6-v2";

    /** Fills in defaults and copies the lists. */
    public Models {
      embedding = embedding == null ? List.of(PACKAGED_EMBEDDING) : List.copyOf(embedding);
      reranker =
          reranker == null
              ? List.of("cross-encoder/ms-marco-MiniLM-L-2-v2", PACKAGED_EMBEDDING)
              : List.copyOf(reranker);
      allow = allow == null ? List.of() : List.copyOf(allow);
      offline = Checks.orDefault(offline, false);
      preload = preload == null ? List.of() : List.copyOf(preload);
    }
  }

  /**
   * {@code [http]}: the HTTP verticle.
   *
   * @param host the address to listen on
   * @param port the port to listen on; 0 for any that is free
   */
  public record Http(String host, Integer port) {
    static final Http DEFAULTS = new Http(null, null);

    /** Checks every key and fills in defaults. */
    public Http {
      host = Checks.orDefault(host, "127.0.0.1");
      port = Checks.orDefault(port, 8080);
      if (port < 0 || port > 65_535) {
        throw wrong("http.port", port, "between 0 and 65535");
      }
    }
  }

  /** {@code [security]}: no keys yet. */
  public record Security() {
    static final Security DEFAULTS = new Security();
  }

  /**
   * {@code [cluster]}.
   *
   * @param enabled whether this process joins a cluster
   * @param role what it does there
   * @param isolation where lanes run
   */
  public record Cluster(Boolean enabled, Role role, Isolation isolation) {
    static final Cluster DEFAULTS = new Cluster(null, null, null);

    /** Fills in defaults. */
    public Cluster {
      enabled = Checks.orDefault(enabled, false);
      role = Checks.orDefault(role, Role.ALL);
      isolation = Checks.orDefault(isolation, Isolation.NONE);
    }

    /** What a process of a cluster does. */
    public enum Role {
      /** Everything. */
      @JsonProperty("all")
      ALL,
      /** Addresses and HTTP, without Python. */
      @JsonProperty("front")
      FRONT,
      /** Lanes and models. */
      @JsonProperty("worker")
      WORKER
    }

    /** Where lanes run. */
    public enum Isolation {
      /** In this process. */
      @JsonProperty("none")
      NONE,
      /** In processes of their own. */
      @JsonProperty("process")
      PROCESS
    }
  }

  private static Integer atLeastOne(String key, Integer value, Integer defaultValue) {
    if (value != null && value < 1) {
      throw wrong(key, value, "at least 1");
    }
    return Checks.orDefault(value, defaultValue);
  }

  private static Duration positive(String key, Duration value, Duration defaultValue) {
    if (value != null && (value.isZero() || value.isNegative())) {
      throw wrong(key, DurationText.format(value), "longer than 0");
    }
    return Checks.orDefault(value, defaultValue);
  }

  private static IllegalArgumentException wrong(String key, Object value, String allowed) {
    return new IllegalArgumentException(key + " must be " + allowed + ", not " + value);
  }
}
