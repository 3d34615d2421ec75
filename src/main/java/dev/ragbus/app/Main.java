// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.app;

import dev.ragbus.EmbedRequest;
import dev.ragbus.Embeddings;
import dev.ragbus.Ragbus;
import dev.ragbus.RagbusException;
import dev.ragbus.RagbusOptions;
import dev.ragbus.Ranking;
import dev.ragbus.http.HttpVerticle;
import io.vertx.config.ConfigRetriever;
import io.vertx.config.ConfigRetrieverOptions;
import io.vertx.config.ConfigStoreOptions;
import io.vertx.core.DeploymentOptions;
import io.vertx.core.Future;
import io.vertx.core.Vertx;
import io.vertx.core.VertxException;
import io.vertx.core.VertxOptions;
import io.vertx.core.json.JsonObject;
import io.vertx.micrometer.Label;
import io.vertx.micrometer.MicrometerMetricsOptions;
import io.vertx.micrometer.VertxPrometheusOptions;
import java.io.IOException;
import java.io.PrintStream;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.lang.reflect.InvocationHandler;
import java.lang.reflect.Proxy;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * The application: reads the configuration, deploys HTTP and the service, says when they are ready,
 * and stops them in order.
 *
 * <p>The configuration file is the one that the system property {@code ragbus.config} or the
 * variable {@code RAGBUS_CONFIG} names, else {@code conf/ragbus.toml} where that exists; {@link
 * RagbusOptions#from} says what goes before it.
 *
 * <p>It exits with 1 and one line when something does not start. On SIGINT or SIGTERM it refuses
 * new requests, answers the accepted ones, for {@code lanes.drain_timeout} and at most a few
 * seconds more, and exits with 0; a second signal ends it at once. A worker that a front has
 * started ends on SIGTERM alone, and when the front is gone.
 */
public final class Main {
  private static final Logger LOGGER = System.getLogger(Main.class.getName());
  private static final String SERVICE = "dev.ragbus.service.RagbusVerticle";
  private static final String DEFAULT_FILE = "conf/ragbus.toml";

  /**
   * How much longer than the drain timeout stopping may take before what is left is left behind.
   */
  private static final Duration STOP_GRACE = Duration.ofSeconds(2);

  /** What HTTP has accepted gets to the service in this time; then that begins to stop as well. */
  private static final Duration HAND_OVER = Duration.ofMillis(250);

  private final String serviceClass;
  private final PrintStream out;
  private final Optional<JsonObject> fromFront;
  private final HttpVerticle http = new HttpVerticle();
  private final AtomicBoolean stopping = new AtomicBoolean();

  /** Null until the configuration says whether it is a node of a cluster. */
  private volatile Vertx vertx;

  private volatile RagbusOptions options = RagbusOptions.defaults();
  private volatile String httpId;
  private volatile String serviceId;

  /**
   * An application around a service verticle.
   *
   * @param out gets the line that says it is ready
   * @param fromFront the configuration, where a front has started this process; then no file is
   *     read
   */
  Main(String serviceClass, PrintStream out, Optional<JsonObject> fromFront) {
    this.serviceClass = serviceClass;
    this.out = out;
    this.fromFront = fromFront;
  }

  /** Runs the application until a signal ends it; takes no arguments. */
  public static void main(String[] args) {
    run(SERVICE);
  }

  static void run(String serviceClass) {
    Optional<JsonObject> fromFront = ParentWatch.begin();
    LogLines.install();
    SpareHeap.giveBack();
    Main main = new Main(serviceClass, System.out, fromFront);
    main.stopOnSignals();
    // Not on an event loop: an exit waits there for what the event loop has to do.
    main.start()
        .onFailure(failure -> new Thread(() -> main.giveUp(failure), "ragbus-exit").start());
  }

  /**
   * Deploys everything; completes when all of it serves. Blocks while the configuration is read.
   */
  Future<Void> start() {
    return configuration()
        .compose(config -> vertx(config).compose(made -> deploy(config)))
        .compose(deployed -> isWorker() ? Future.succeededFuture("a worker") : models())
        .onSuccess(models -> out.println("Ragbus is ready: " + address() + " (" + models + ")"))
        .mapEmpty();
  }

  private Future<Vertx> vertx(JsonObject config) {
    options = RagbusOptions.from(config);
    MicrometerMetricsOptions metrics =
        new MicrometerMetricsOptions()
            .setPrometheusOptions(new VertxPrometheusOptions().setEnabled(true))
            .setJvmMetricsEnabled(true)
            .addLabels(Label.EB_ADDRESS)
            .setEnabled(true);
    VertxOptions settings = new VertxOptions().setMetricsOptions(metrics);
    Future<Vertx> made =
        options.cluster().clustered()
            ? ClusterNode.join(settings, options)
            : Future.succeededFuture(Vertx.vertx(settings));
    return made.onSuccess(its -> vertx = its);
  }

  private Future<JsonObject> configuration() {
    if (fromFront.isPresent()) {
      return Future.succeededFuture(fromFront.get());
    }
    String named = System.getProperty("ragbus.config", System.getenv("RAGBUS_CONFIG"));
    Path file = Path.of(named == null ? DEFAULT_FILE : named).toAbsolutePath();
    if (!Files.isRegularFile(file)) {
      return named == null
          ? Future.succeededFuture(new JsonObject())
          : Future.failedFuture("the configuration file " + named + " does not exist");
    }
    ConfigStoreOptions store =
        new ConfigStoreOptions()
            .setType("file")
            .setFormat("toml")
            .setConfig(new JsonObject().put("path", file.toString()));
    // The application's own Vert.x is made as the configuration says.
    Vertx reader = Vertx.vertx();
    ConfigRetriever retriever =
        ConfigRetriever.create(reader, new ConfigRetrieverOptions().addStore(store));
    try {
      return Future.succeededFuture(
          retriever.getConfig().toCompletionStage().toCompletableFuture().get());
    } catch (ExecutionException e) {
      return Future.failedFuture(file + " is " + reason(e.getCause()));
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return Future.failedFuture(e);
    } finally {
      retriever.close().eventually(reader::close);
    }
  }

  private Future<?> deploy(JsonObject config) {
    DeploymentOptions deployment = new DeploymentOptions().setConfig(config);
    return (isWorker() ? Future.<String>succeededFuture() : vertx.deployVerticle(http, deployment))
        .onSuccess(id -> httpId = id)
        .compose(id -> vertx.deployVerticle(serviceClass, deployment))
        .onSuccess(id -> serviceId = id);
  }

  /** The models that serve requests which name none, as their own replies tell. */
  private Future<String> models() {
    Ragbus ragbus = Ragbus.create(vertx, options.bus().addressPrefix());
    Future<String> embedding =
        ragbus.embed(EmbedRequest.of("ready")).map(Embeddings::model).otherwise(Main::none);
    Future<String> reranker =
        ragbus.rerank("ready", List.of("ready")).map(Ranking::model).otherwise(Main::none);
    return Future.all(embedding, reranker)
        .map(both -> "embedding " + both.resultAt(0) + ", reranker " + both.resultAt(1));
  }

  private static String none(Throwable failure) {
    return "none: " + reason(failure);
  }

  private boolean isWorker() {
    return options.cluster().enabled()
        && options.cluster().role() == RagbusOptions.Cluster.Role.WORKER;
  }

  /** Where HTTP is served; of a worker, what it is reached as. */
  String address() {
    if (isWorker()) {
      return options.cluster().host();
    }
    String host = options.http().host();
    return (options.http().tls() ? "https://" : "http://")
        + (host.contains(":") ? "[" + host + "]" : host)
        + ":"
        + http.actualPort();
  }

  private void giveUp(Throwable failure) {
    if (stopping.get()) {
      return;
    }
    System.err.println("Ragbus did not start: " + reason(failure));
    stop();
    System.exit(1);
  }

  /** One line that says what was wrong. */
  private static String reason(Throwable failure) {
    String message = failure.getMessage();
    if (failure instanceof RagbusException typed) {
      message = typed.detail();
    } else if (failure instanceof ClassNotFoundException) {
      message = failure.getMessage() + " is not on the class path";
    } else if (!expected(failure)) {
      LOGGER.log(Level.ERROR, "this should not happen", failure);
      message = failure.toString();
    }
    return message == null || message.isBlank()
        ? failure.getClass().getSimpleName()
        : message.strip().replaceAll("\\s*\\R\\s*", " ");
  }

  /** Whether it was thrown with a message for people; of the others the stack trace is logged. */
  private static boolean expected(Throwable failure) {
    return failure instanceof IllegalArgumentException
        || failure instanceof IllegalStateException
        || failure instanceof VertxException
        || failure instanceof IOException;
  }

  /**
   * Stops HTTP, the service as soon as HTTP has passed on or answered what it had accepted, then
   * Vert.x; blocks the calling thread, for a bounded time.
   */
  void stop() {
    if (!stopping.compareAndSet(false, true) || vertx == null) {
      return;
    }
    Duration patience = options.lanes().drainTimeout().plus(STOP_GRACE);
    Future<?> noHttp = undeploy(httpId);
    Future<?> passedOn =
        Future.any(noHttp, vertx.timer(HAND_OVER.toMillis(), TimeUnit.MILLISECONDS));
    await(Future.join(noHttp, passedOn.transform(any -> undeploy(serviceId))), patience);
    await(vertx.close(), STOP_GRACE);
  }

  private Future<?> undeploy(String id) {
    return id == null ? Future.succeededFuture() : vertx.undeploy(id);
  }

  private static void await(Future<?> stopped, Duration patience) {
    try {
      stopped
          .toCompletionStage()
          .toCompletableFuture()
          .get(patience.toMillis(), TimeUnit.MILLISECONDS);
    } catch (ExecutionException | TimeoutException e) {
      LOGGER.log(Level.WARNING, "not stopped in order: " + e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private void stopOnSignals() {
    // The hook is for a JVM whose signals are not ours, and for an exit that others cause.
    Runtime.getRuntime().addShutdownHook(new Thread(this::stop, "ragbus-stop"));
    AtomicBoolean signalled = new AtomicBoolean();
    for (String signal : List.of("INT", "TERM")) {
      onSignal(
          signal,
          () -> {
            if (ParentWatch.present() && (signal.equals("INT") || signalled.get())) {
              // Meant for the front, which a terminal or a service manager has signalled as well.
              return;
            }
            if (signalled.getAndSet(true)) {
              Runtime.getRuntime().halt(signal.equals("INT") ? 130 : 143);
            }
            stop();
            System.exit(0);
          });
    }
  }

  /**
   * A shutdown hook alone could neither exit with 0 nor see a second signal. Reflection, because
   * javac warns of {@code sun.misc.Signal} in a way that cannot be silenced.
   */
  private static void onSignal(String name, Runnable action) {
    try {
      Class<?> signal = Class.forName("sun.misc.Signal");
      Class<?> handler = Class.forName("sun.misc.SignalHandler");
      InvocationHandler run =
          (proxy, method, arguments) -> {
            if (method.getDeclaringClass() == Object.class) {
              return method.invoke(action, arguments);
            }
            action.run();
            return null;
          };
      Object proxy =
          Proxy.newProxyInstance(handler.getClassLoader(), new Class<?>[] {handler}, run);
      signal
          .getMethod("handle", signal, handler)
          .invoke(null, signal.getConstructor(String.class).newInstance(name), proxy);
    } catch (ReflectiveOperationException e) {
      LOGGER.log(Level.DEBUG, "SIG" + name + " is left to the JVM", e);
    }
  }
}
