// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import com.fasterxml.jackson.annotation.JsonProperty;
import io.vertx.core.json.JsonObject;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Pattern;

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

  private static final Pattern LOOPBACK =
      Pattern.compile("localhost|127(\\.\\d{1,3}){3}|::1|\\[::1]");

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

  /**
   * Whether a host leads to this machine only. It is judged as it is written, never resolved: a
   * name that a web page's owner points at 127.0.0.1 does not.
   */
  public static boolean isLoopback(String host) {
    return LOOPBACK.matcher(host.toLowerCase(Locale.ROOT)).matches();
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
    /** The extras: ONNX Runtime with CUDA, int8 models, sentence-transformers. */
    public static final List<String> EXTRAS = List.of("cuda", "quantize", "torch");

    private static final Map<String, FunctionLimits> FUNCTION_DEFAULTS =
        Map.of(
            "embed_texts", new FunctionLimits(Duration.ofSeconds(30), 32),
            "rerank_texts", new FunctionLimits(Duration.ofSeconds(60), 16),
            "load_model", new FunctionLimits(Duration.ofSeconds(60), null),
            "clear_cache", new FunctionLimits(Duration.ofSeconds(10), null));

    static final Python DEFAULTS =
        new Python(null, null, null, null, null, null, null, null, null, null, null, null);

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
   * @param allowSource whether source text may be registered over the bus: whoever may send
   *     messages may then run any code
   * @param allowModules modules, or packages, whose functions may be registered over the bus
   * @param dir the folder of functions registered at start
   * @param maxQueueItems calls waiting; more are refused with {@code OVERLOADED}
   * @param preload functions registered at start
   */
  public record Functions(
      Boolean allowSource,
      List<String> allowModules,
      String dir,
      Integer maxQueueItems,
      List<FunctionSpec> preload) {
    static final Functions DEFAULTS = new Functions(null, null, null, null, null);

    /** Checks every key and fills in defaults. */
    public Functions {
      allowSource = Checks.orDefault(allowSource, false);
      allowModules = allowModules == null ? List.of() : List.copyOf(allowModules);
      dir = Checks.orDefault(dir, "conf/functions");
      maxQueueItems = atLeastOne("functions.max_queue_items", maxQueueItems, 1_000);
      preload = preload == null ? List.of() : List.copyOf(preload);
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
   * @param inference lanes that run models, one compute thread each, which a pass that is alone
   *     takes all of; default the cores, at most 8
   * @param function lanes that run registered functions
   * @param drainTimeout how long stopping waits for accepted requests
   * @param switchInterval how long a thread keeps the interpreter lock when another wants it
   * @param stuckTimeout how long a call may go on after the last of its requests is over, before
   *     its lane is given up and replaced
   * @param niceness by how much the lanes that run or load models give way to the process's other
   *     threads, as {@code nice} has it: 0 for not at all, 19 for most. Linux only
   */
  public record Lanes(
      Integer inference,
      Integer function,
      Duration drainTimeout,
      Duration switchInterval,
      Duration stuckTimeout,
      Integer niceness) {
    static final Lanes DEFAULTS = new Lanes(null, null, null, null, null, null);

    /** Checks every key and fills in defaults. */
    public Lanes {
      int cores = Runtime.getRuntime().availableProcessors();
      inference = atLeastOne("lanes.inference", inference, Math.min(cores, 8));
      function = atLeastOne("lanes.function", function, 1);
      drainTimeout = positive("lanes.drain_timeout", drainTimeout, Duration.ofSeconds(10));
      switchInterval = positive("lanes.switch_interval", switchInterval, Duration.ofNanos(500_000));
      stuckTimeout = positive("lanes.stuck_timeout", stuckTimeout, Duration.ofSeconds(5));
      niceness = Checks.orDefault(niceness, 10);
      if (niceness < 0 || niceness > 19) {
        throw wrong("lanes.niceness", niceness, "0 to 19");
      }
    }
  }

  /**
   * {@code [batching]}.
   *
   * @param maxBatchTokens the most padded tokens of one engine pass
   * @param maxQueueItems the most texts waiting; more are refused with {@code OVERLOADED}
   * @param maxQueueTokens the most tokens waiting; more are refused with {@code OVERLOADED}
   * @param coalesce whether a text to embed that is the same as one under way waits for its vector
   * @param cacheBytes memory for vectors of earlier texts, kept for when they come again; 0 for
   *     none
   */
  public record Batching(
      Integer maxBatchTokens,
      Integer maxQueueItems,
      Integer maxQueueTokens,
      Boolean coalesce,
      Integer cacheBytes) {
    static final Batching DEFAULTS = new Batching(null, null, null, null, null);

    /** Checks every key and fills in defaults. */
    public Batching {
      maxBatchTokens = atLeastOne("batching.max_batch_tokens", maxBatchTokens, 512);
      maxQueueItems = atLeastOne("batching.max_queue_items", maxQueueItems, 20_000);
      maxQueueTokens = atLeastOne("batching.max_queue_tokens", maxQueueTokens, 4_000_000);
      coalesce = Checks.orDefault(coalesce, false);
      cacheBytes = Checks.orDefault(cacheBytes, 0);
      if (cacheBytes < 0) {
        throw wrong("batching.cache_bytes", cacheBytes, "0 or more");
      }
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
   * @param sparse the default sparse model: the first of these that can be had; none unless named
   * @param classifier the default classifier: the first of these that can be had; none unless named
   * @param dir the folder of local models; null for none
   * @param allow names that a request may cause to be fetched from the hub
   * @param offline whether the hub is never asked
   * @param calibration a file of texts, one a line, that int8 models are made and measured with;
   *     null for those of Ragbus
   * @param minInt8Cosine the least mean cosine to float32 (for a cross-encoder: correlation of
   *     scores) with which a model that was made int8 serves
   * @param preload models loaded at start
   */
  public record Models(
      List<String> embedding,
      List<String> reranker,
      List<String> sparse,
      List<String> classifier,
      String dir,
      List<String> allow,
      Boolean offline,
      String calibration,
      Double minInt8Cosine,
      List<ModelSpec> preload) {
    static final Models DEFAULTS =
        new Models(null, null, null, null, null, null, null, null, null, null);

    /** The embedding model that Ragbus packages. */
    public static final String PACKAGED_EMBEDDING = "all-MiniLM-L6-v2";

    /** Fills in defaults and copies the lists. */
    public Models {
      embedding = embedding == null ? List.of(PACKAGED_EMBEDDING) : List.copyOf(embedding);
      reranker =
          reranker == null
              ? List.of("cross-encoder/ms-marco-MiniLM-L-2-v2", PACKAGED_EMBEDDING)
              : List.copyOf(reranker);
      sparse = sparse == null ? List.of() : List.copyOf(sparse);
      classifier = classifier == null ? List.of() : List.copyOf(classifier);
      allow = allow == null ? List.of() : List.copyOf(allow);
      offline = Checks.orDefault(offline, false);
      minInt8Cosine = Checks.orDefault(minInt8Cosine, 0.99);
      if (!(minInt8Cosine >= 0 && minInt8Cosine <= 1)) {
        throw wrong("models.min_int8_cosine", minInt8Cosine, "between 0 and 1");
      }
      preload = preload == null ? List.of() : List.copyOf(preload);
    }
  }

  /**
   * {@code [http]}: the HTTP verticle.
   *
   * @param host the address to listen on
   * @param port the port to listen on; 0 for any that is free
   * @param allowedOrigins the web pages' origins that may ask, such as {@code https://example.org}
   * @param tlsCertificate the file of the certificate chain, PEM; null for no TLS
   * @param tlsKey the file of its private key, PEM; null for no TLS
   * @param http2 whether HTTP/2 is offered; only over TLS
   * @param compression whether replies are compressed for clients that take it
   * @param maxConnections the most connections at once; further ones are closed
   * @param maxRequestsPerClient the most requests of one key, or of one address without keys, that
   *     are under way at once
   * @param maxPendingBodyBytes the most bytes of all bodies and WebSocket messages together that
   *     are being sent; beyond, the longest one gets 429. One alone may have {@code
   *     limits.max_body_bytes} in any case
   * @param maxLineBytes the longest request line, which holds the URL; longer ones get 414
   * @param maxHeaderBytes the most bytes of a request's headers; more get 431
   * @param maxStreams the most requests at once on one connection of HTTP/2; further ones are
   *     refused
   * @param maxResets how many requests of one connection of HTTP/2 may be given up by its client
   *     within 30 s; it is closed after more
   * @param headerTimeout how long a new connection may take to send its first request's headers
   * @param bodyTimeout how long a request may take to send its body
   * @param idleTimeout how long a connection may be without a request under way, and how long a
   *     client may take to read a reply
   * @param accessLog whether each request is logged, by {@code dev.ragbus.http.access}
   * @param eventBusBridge whether SockJS clients may send to the event bus at {@code /eventbus}
   */
  public record Http(
      String host,
      Integer port,
      List<String> allowedOrigins,
      String tlsCertificate,
      String tlsKey,
      Boolean http2,
      Boolean compression,
      Integer maxConnections,
      Integer maxRequestsPerClient,
      Integer maxPendingBodyBytes,
      Integer maxLineBytes,
      Integer maxHeaderBytes,
      Integer maxStreams,
      Integer maxResets,
      Duration headerTimeout,
      Duration bodyTimeout,
      Duration idleTimeout,
      Boolean accessLog,
      Boolean eventBusBridge) {
    private static final Pattern ORIGIN = Pattern.compile("https?://[^/?#\\s*]+");

    static final Http DEFAULTS =
        new Http(
            null, null, null, null, null, null, null, null, null, null, null, null, null, null,
            null, null, null, null, null);

    /** Checks every key and fills in defaults. */
    public Http {
      host = Checks.orDefault(host, "127.0.0.1");
      port = Checks.orDefault(port, 8080);
      if (port < 0 || port > 65_535) {
        throw wrong("http.port", port, "between 0 and 65535");
      }
      allowedOrigins = allowedOrigins == null ? List.of() : List.copyOf(allowedOrigins);
      for (String origin : allowedOrigins) {
        if (!ORIGIN.matcher(origin).matches()) {
          throw wrong("http.allowed_origins", origin, "origins such as https://example.org");
        }
      }
      if ((tlsCertificate == null) != (tlsKey == null)) {
        throw new IllegalArgumentException(
            "http.tls_certificate and http.tls_key must be given together");
      }
      http2 = Checks.orDefault(http2, true);
      compression = Checks.orDefault(compression, false);
      maxConnections = atLeastOne("http.max_connections", maxConnections, 1_000);
      maxRequestsPerClient = atLeastOne("http.max_requests_per_client", maxRequestsPerClient, 256);
      maxPendingBodyBytes =
          atLeastOne("http.max_pending_body_bytes", maxPendingBodyBytes, 134_217_728);
      maxLineBytes = atLeastOne("http.max_line_bytes", maxLineBytes, 4_096);
      maxHeaderBytes = atLeastOne("http.max_header_bytes", maxHeaderBytes, 8_192);
      maxStreams = atLeastOne("http.max_streams", maxStreams, 100);
      maxResets = atLeastOne("http.max_resets", maxResets, 200);
      headerTimeout = positive("http.header_timeout", headerTimeout, Duration.ofSeconds(10));
      bodyTimeout = positive("http.body_timeout", bodyTimeout, Duration.ofSeconds(30));
      idleTimeout = positive("http.idle_timeout", idleTimeout, Duration.ofSeconds(60));
      accessLog = Checks.orDefault(accessLog, false);
      eventBusBridge = Checks.orDefault(eventBusBridge, false);
    }

    /** Whether it speaks TLS. */
    public boolean tls() {
      return tlsCertificate != null;
    }
  }

  /**
   * {@code [security]}: who may ask over HTTP. With neither keys nor JWT, everyone on this machine
   * may do everything, and nobody else anything. What is secret is read, never written.
   *
   * @param keysFile the file of API keys, one {@code use:KEY} or {@code admin:KEY} a line; null for
   *     none
   * @param keys further API keys in the same form, for {@code RAGBUS_SECURITY_KEYS}
   * @param jwtAlgorithm the algorithm that JSON Web Tokens are signed with, such as {@code RS256};
   *     null to take none
   * @param jwtKeyFile the file of the public key (PEM) or of the shared secret of {@code HS…}
   * @param jwtIssuer the issuer that tokens must name; null for any
   * @param jwtAudience the audiences of which tokens must name one; empty for any
   * @param jwtRoleClaim the claim that holds {@code use} or {@code admin}, or a list with one
   * @param failedKeysPerMinute how many wrong keys or tokens of one address are answered with 401;
   *     then it gets 429 until the minute is over
   */
  public record Security(
      String keysFile,
      @JsonProperty(access = JsonProperty.Access.WRITE_ONLY) List<String> keys,
      String jwtAlgorithm,
      String jwtKeyFile,
      String jwtIssuer,
      List<String> jwtAudience,
      String jwtRoleClaim,
      Integer failedKeysPerMinute) {
    private static final Set<String> ALGORITHMS =
        Set.of("HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512");

    static final Security DEFAULTS = new Security(null, null, null, null, null, null, null, null);

    /** Checks every key and fills in defaults. */
    public Security {
      keys = keys == null ? List.of() : List.copyOf(keys);
      jwtAudience = jwtAudience == null ? List.of() : List.copyOf(jwtAudience);
      jwtRoleClaim = Checks.orDefault(jwtRoleClaim, "role");
      failedKeysPerMinute = atLeastOne("security.failed_keys_per_minute", failedKeysPerMinute, 60);
      if (jwtAlgorithm != null && !ALGORITHMS.contains(jwtAlgorithm)) {
        throw wrong("security.jwt_algorithm", jwtAlgorithm, "one of " + new TreeSet<>(ALGORITHMS));
      }
      if ((jwtAlgorithm == null) != (jwtKeyFile == null)) {
        throw new IllegalArgumentException(
            "security.jwt_algorithm and security.jwt_key_file must be given together");
      }
    }

    /** Whether callers must say who they are. */
    public boolean required() {
      return keysFile != null || !keys.isEmpty() || jwtAlgorithm != null;
    }

    /** Without what is secret. */
    @Override
    public String toString() {
      return "Security[keysFile=" + keysFile + ", jwtAlgorithm=" + jwtAlgorithm + "]";
    }
  }

  /**
   * {@code [cluster]}: more than one process. It takes a clustered Vert.x, which {@code
   * dev.ragbus.app} makes of these keys; an application brings its own, and the keys from {@code
   * host} to {@code members} and those of TLS are then its own affair.
   *
   * @param enabled whether this process works together with others
   * @param role what it does there
   * @param isolation where lanes run
   * @param serve what other nodes may ask of this one's addresses
   * @param host the address that other nodes reach this one at; other than loopback only with TLS
   *     and a secret
   * @param port the port of membership; where it is taken, the next that is free
   * @param busPort the port of the event bus; 0 for any that is free
   * @param members where other nodes may be found: hosts, or {@code host:port}
   * @param secretFile the file of the secret that all nodes share; null for none
   * @param secret the same itself, for {@code RAGBUS_CLUSTER_SECRET}; goes before the file
   * @param tlsCertificate the file of this node's certificate chain, PEM; null for no TLS
   * @param tlsKey the file of its private key, PEM; null for no TLS
   * @param tlsAuthority the file of the certificates that those of all nodes are signed by, PEM
   * @param announceInterval how often a worker tells what it has before it. One that has not told
   *     for four times as long gets no requests, for twenty times as long is given up
   * @param workers processes of their own that are kept running, with isolation {@code process}
   * @param workerHeapMegabytes the most heap of one
   * @param workerMemoryMegabytes the most resident memory of one, beyond which it is replaced; 0
   *     for any
   * @param workerMaxAge how old one gets before it is replaced; null for any
   * @param workerMaxRequests how many requests one gets before it is replaced; 0 for any
   */
  public record Cluster(
      Boolean enabled,
      Role role,
      Isolation isolation,
      Serve serve,
      String host,
      Integer port,
      Integer busPort,
      List<String> members,
      String secretFile,
      @JsonProperty(access = JsonProperty.Access.WRITE_ONLY) String secret,
      String tlsCertificate,
      String tlsKey,
      String tlsAuthority,
      Duration announceInterval,
      Integer workers,
      Integer workerHeapMegabytes,
      Integer workerMemoryMegabytes,
      Duration workerMaxAge,
      Integer workerMaxRequests) {
    static final Cluster DEFAULTS =
        new Cluster(
            null, null, null, null, null, null, null, null, null, null, null, null, null, null,
            null, null, null, null, null);

    /** Checks every key and fills in defaults. */
    public Cluster {
      enabled = Checks.orDefault(enabled, false);
      role = Checks.orDefault(role, Role.ALL);
      isolation = Checks.orDefault(isolation, Isolation.NONE);
      serve = Checks.orDefault(serve, Serve.USE);
      host = Checks.orDefault(host, "127.0.0.1");
      port = Checks.orDefault(port, 5701);
      if (port < 1 || port > 65_535) {
        throw wrong("cluster.port", port, "between 1 and 65535");
      }
      busPort = Checks.orDefault(busPort, 0);
      if (busPort < 0 || busPort > 65_535) {
        throw wrong("cluster.bus_port", busPort, "between 0 and 65535");
      }
      members = members == null ? List.of(host) : List.copyOf(members);
      if (tlsCertificate == null != (tlsKey == null)
          || tlsCertificate == null != (tlsAuthority == null)) {
        throw new IllegalArgumentException(
            "cluster.tls_certificate, cluster.tls_key and cluster.tls_authority must be given"
                + " together");
      }
      boolean secured = tlsCertificate != null && (secret != null || secretFile != null);
      if (!secured && !isLoopback(host)) {
        throw wrong(
            "cluster.host", host, "loopback without cluster.tls_certificate and cluster.secret");
      }
      announceInterval =
          positive("cluster.announce_interval", announceInterval, Duration.ofMillis(250));
      workers = atLeastOne("cluster.workers", workers, 2);
      workerHeapMegabytes = atLeastOne("cluster.worker_heap_megabytes", workerHeapMegabytes, 512);
      workerMemoryMegabytes =
          notNegative("cluster.worker_memory_megabytes", workerMemoryMegabytes, 0);
      if (workerMaxAge != null) {
        positive("cluster.worker_max_age", workerMaxAge, workerMaxAge);
      }
      workerMaxRequests = notNegative("cluster.worker_max_requests", workerMaxRequests, 0);
      if (isolation == Isolation.PROCESS && role == Role.WORKER) {
        throw new IllegalArgumentException(
            "cluster.isolation must be none where cluster.role is worker: it is the process");
      }
    }

    /** Whether there are other processes: it is enabled, or lanes run in some. */
    public boolean clustered() {
      return enabled || isolation == Isolation.PROCESS;
    }

    /** Whether lanes and models are in this process. */
    public boolean hasLanes() {
      return isolation == Isolation.NONE && !(enabled && role == Role.FRONT);
    }

    /** Without what is secret. */
    @Override
    public String toString() {
      return "Cluster[enabled=" + enabled + ", role=" + role + ", isolation=" + isolation + "]";
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

    /** What other nodes of a cluster may ask of this one's addresses. */
    public enum Serve {
      /** Nothing. */
      @JsonProperty("none")
      NONE,
      /** What changes nothing for others: not models, functions and memory. */
      @JsonProperty("use")
      USE,
      /** Everything. */
      @JsonProperty("all")
      ALL
    }
  }

  private static Integer notNegative(String key, Integer value, Integer defaultValue) {
    if (value != null && value < 0) {
      throw wrong(key, value, "0 or more");
    }
    return Checks.orDefault(value, defaultValue);
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
