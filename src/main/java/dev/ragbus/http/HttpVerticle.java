// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

import dev.ragbus.FunctionCall;
import dev.ragbus.JsonBodies;
import dev.ragbus.NoArguments;
import dev.ragbus.Ragbus;
import dev.ragbus.RagbusException;
import dev.ragbus.RagbusException.Kind;
import dev.ragbus.RagbusOptions;
import dev.ragbus.RequestIds;
import dev.ragbus.RerankStream;
import dev.ragbus.Timings;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import io.vertx.core.Future;
import io.vertx.core.Handler;
import io.vertx.core.MultiMap;
import io.vertx.core.VerticleBase;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.Http2Settings;
import io.vertx.core.http.HttpConnection;
import io.vertx.core.http.HttpHeaders;
import io.vertx.core.http.HttpMethod;
import io.vertx.core.http.HttpServer;
import io.vertx.core.http.HttpServerOptions;
import io.vertx.core.http.HttpServerRequest;
import io.vertx.core.http.HttpServerResponse;
import io.vertx.core.http.HttpVersion;
import io.vertx.core.net.HostAndPort;
import io.vertx.core.net.PemKeyCertOptions;
import io.vertx.ext.web.Route;
import io.vertx.ext.web.Router;
import io.vertx.ext.web.RoutingContext;
import io.vertx.ext.web.handler.CorsHandler;
import io.vertx.ext.web.handler.HttpException;
import io.vertx.micrometer.PrometheusScrapingHandler;
import io.vertx.micrometer.backends.BackendRegistries;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.nio.channels.ClosedChannelException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * Serves a Ragbus deployment over HTTP, in the dialects that other systems' clients speak. Its
 * {@code config()} is the service's, and it is a client of the deployment like any other: in the
 * same JVM or in another node, one instance or several.
 *
 * <p>{@code [security]} says who may ask: with neither keys nor JSON Web Tokens it listens on
 * loopback addresses only, and answers only requests that a web page could not have made: {@code
 * Host} is a loopback name. Always, {@code Origin} is absent, this server or one of {@code
 * http.allowed_origins}, and bodies are {@code application/json}.
 *
 * <p>Headers: {@code X-Timeout-Ms} (or {@code timeout-ms}) is the time the caller will wait, at
 * most the operation's own limit. {@code X-Request-Id} is taken where it matches {@code
 * ^[A-Za-z0-9._-]{1,64}$}, made otherwise, and comes back. On the event bus a request travels under
 * an id of its own that begins with (the first 27 characters of) a given one, so that dropping the
 * request of a client that has gone can never hit another with the same {@code X-Request-Id}.
 *
 * <p>Every failure is JSON in the words of the dialect it was asked in. While it stops, it answers
 * the requests that it has accepted, for {@code lanes.drain_timeout} and a second more, in which
 * those come back that the service has given up. New ones are refused with 503, readiness is DOWN,
 * and clients are told to close their connections; sockets are closed at the end.
 */
public final class HttpVerticle extends VerticleBase {
  private static final Logger LOGGER = System.getLogger(HttpVerticle.class.getName());

  /** Longer bodies are read, and longer replies written, off the event loop. */
  private static final int LARGE_BODY_BYTES = 256 * 1024;

  private static final int MANY_NUMBERS = 20_000;

  /** How much of a caller's id goes in front of the 36 characters that make it unique. */
  private static final int ID_PREFIX_CHARS = 27;

  private static final Pattern BROKEN_ESCAPE = Pattern.compile("%(?![0-9a-fA-F]{2})");
  private static final Pattern TEXTS = Pattern.compile("^(texts|tokens)\\b");
  private static final CharSequence REQUEST_ID = HttpHeaders.createOptimized("X-Request-Id");
  private static final String CALLER = HttpVerticle.class.getName() + ".caller";
  private static final CharSequence SERVER_TIMING = HttpHeaders.createOptimized("Server-Timing");
  private static final String ARRIVED = HttpVerticle.class.getName() + ".arrived";
  private static final String TIMINGS = HttpVerticle.class.getName() + ".timings";
  private static final Timings NO_TIMINGS = new Timings(0, 0, 0, 0);
  private static final String BODY = HttpVerticle.class.getName() + ".body";
  private static final String BODY_TIMER = HttpVerticle.class.getName() + ".body-timer";
  private static final List<String> SOCKET_PATHS =
      List.of("/v1/rerank/stream", "/v1/ragbus/stream");
  private static final int SOCKET_CLOSING_SECONDS = 1;
  private static final int REQUEST_TIMEOUT = 408;

  /** What the service gives up at the drain timeout gets its answer through HTTP in this time. */
  private static final Duration DRAIN_GRACE = Duration.ofSeconds(1);

  private static final int UPGRADE_REQUIRED = 426;

  private final Dialect openAi = new OpenAiDialect();
  private RagbusOptions options;
  private List<Dialect> dialects;
  private Guard guard;
  private Pages pages;
  private Connections connections;
  private Bodies bodies;
  private FailedKeys failedKeys;
  private Ragbus ragbus;
  private HttpServer server;

  /** Made by the application or by Vert.x; deploying it starts listening. */
  public HttpVerticle() {}

  /**
   * Starts listening on {@code http.host} and {@code http.port}. Fails if an option is bad, a file
   * of keys or certificates cannot be read, the host is not a loopback address and there are no
   * keys, or the port is taken.
   */
  @Override
  public Future<?> start() {
    options = RagbusOptions.from(config());
    String host = options.http().host();
    if (!RagbusOptions.isLoopback(host) && !options.security().required()) {
      return Future.failedFuture(
          new IllegalArgumentException(
              "http.host must be a loopback address (127.0.0.1, ::1 or localhost), not "
                  + host
                  + ", unless there are keys: give security.keys_file, RAGBUS_SECURITY_KEYS or"
                  + " security.jwt_algorithm"));
    }
    connections = new Connections(vertx, options.http());
    bodies = new Bodies(options.limits().maxBodyBytes(), options.http().maxPendingBodyBytes());
    HealthDialect health = new HealthDialect(openAi, connections::isDraining);
    failedKeys = new FailedKeys(options.security().failedKeysPerMinute(), System::nanoTime);
    dialects =
        List.of(
            openAi,
            new JinaDialect(openAi),
            new CohereDialect(),
            new TeiDialect(options, health),
            new AdminDialect(openAi),
            health);
    ragbus = Ragbus.create(vertx, options.bus().addressPrefix());
    return Guard.of(vertx, options.security())
        .onSuccess(made -> guard = made)
        .compose(made -> Pages.read(vertx))
        .onSuccess(read -> pages = read)
        .compose(made -> listen(host));
  }

  private Future<?> listen(String host) {
    server =
        vertx
            .createHttpServer(serverOptions())
            .connectionHandler(connections::opened)
            .requestHandler(wellFormed(router()))
            .invalidRequestHandler(this::refuseMalformed);
    return server
        .listen()
        .recover(
            failure ->
                Future.failedFuture(
                    new IllegalStateException(
                        "cannot listen on "
                            + host
                            + ":"
                            + options.http().port()
                            + ": "
                            + failure.getMessage(),
                        failure)));
  }

  private HttpServerOptions serverOptions() {
    RagbusOptions.Http http = options.http();
    HttpServerOptions server =
        new HttpServerOptions()
            .setHost(http.host())
            .setPort(http.port())
            .setHttp2ClearTextEnabled(false)
            .setCompressionSupported(http.compression())
            .setMaxInitialLineLength(http.maxLineBytes())
            .setMaxHeaderSize(http.maxHeaderBytes())
            .setInitialSettings(
                new Http2Settings()
                    .setMaxConcurrentStreams(http.maxStreams())
                    .setMaxHeaderListSize(http.maxHeaderBytes()))
            .setHttp2RstFloodMaxRstFramePerWindow(http.maxResets())
            .setMaxWebSocketFrameSize(options.limits().maxBodyBytes())
            .setMaxWebSocketMessageSize(options.limits().maxBodyBytes())
            .setWebSocketClosingTimeout(SOCKET_CLOSING_SECONDS)
            .setPerFrameWebSocketCompressionSupported(false)
            .setPerMessageWebSocketCompressionSupported(false);
    if (http.tls()) {
      server
          .setSsl(true)
          .setUseAlpn(http.http2())
          .setKeyCertOptions(
              new PemKeyCertOptions().addCertPath(http.tlsCertificate()).addKeyPath(http.tlsKey()));
    }
    return server;
  }

  /** Accepts no more requests, and waits for the accepted ones, for a bounded time. */
  @Override
  public Future<?> stop() {
    if (server == null) {
      return Future.succeededFuture();
    }
    long millis = options.lanes().drainTimeout().plus(DRAIN_GRACE).toMillis();
    return Future.any(connections.drain(), vertx.timer(millis, TimeUnit.MILLISECONDS))
        .compose(ended -> server.shutdown(Connections.LINGER.toMillis(), TimeUnit.MILLISECONDS));
  }

  /** What it answers. */
  List<Dialect> dialects() {
    return dialects;
  }

  /** The port it listens on, once deployed; it differs from {@code http.port} where that is 0. */
  public int actualPort() {
    return server.actualPort();
  }

  /** The router would answer these with a 500, and a stack trace in the log. */
  private Handler<HttpServerRequest> wellFormed(Router router) {
    return request -> {
      if (connections.isOver(request.connection())) {
        return;
      }
      String path = request.path();
      if (request.authority() == null
          || path == null
          || path.isEmpty()
          || BROKEN_ESCAPE.matcher(request.uri()).find()
          || isAmbiguous(request.headers())) {
        refuseMalformed(request);
        return;
      }
      if (request.headers().contains(HttpHeaders.TRANSFER_ENCODING)) {
        // A Content-Length beside it is not seen here: what follows might belong to this body.
        request.response().putHeader(HttpHeaders.CONNECTION, "close");
        connections.last(request.connection());
      }
      whenRead(request, () -> router.handle(request));
    };
  }

  /**
   * Goes on once the client has read most of the replies before this one: Vert.x would take request
   * after request of one who reads none, and keep the replies.
   */
  private static void whenRead(HttpServerRequest request, Runnable action) {
    HttpServerResponse response = request.response();
    if (!response.writeQueueFull()) {
      action.run();
      return;
    }
    request.pause();
    response.drainHandler(
        drained -> {
          response.drainHandler(null);
          request.resume();
          action.run();
        });
  }

  /** Whether a proxy in front may read the end of the body differently. */
  private static boolean isAmbiguous(MultiMap headers) {
    List<String> codings = headers.getAll(HttpHeaders.TRANSFER_ENCODING);
    boolean chunked = codings.size() == 1 && codings.get(0).equalsIgnoreCase("chunked");
    return headers.contains("") || !codings.isEmpty() && !chunked;
  }

  private Router router() {
    Router router = Router.router(vertx);
    Map<String, List<HttpMethod>> methods = new LinkedHashMap<>();
    for (Dialect dialect : dialects) {
      for (Operation<?> operation : dialect.operations()) {
        methods
            .computeIfAbsent(
                operation.path(),
                path -> {
                  router.route(path).failureHandler(ctx -> fail(ctx, dialect));
                  return new ArrayList<>();
                })
            .addAll(methods(operation.method()));
      }
    }
    router.route().failureHandler(ctx -> fail(ctx, openAi));
    List<String> others = new ArrayList<>(pages.files().keySet());
    others.add("/openapi.json");
    others.forEach(
        path ->
            methods
                .computeIfAbsent(path, first -> new ArrayList<>())
                .addAll(methods(HttpMethod.GET)));
    methods.put("/metrics", List.of(HttpMethod.GET));
    SOCKET_PATHS.forEach(path -> methods.put(path, List.of(HttpMethod.GET)));
    router.route().handler(this::admit);
    if (!options.http().allowedOrigins().isEmpty()) {
      router.route().handler(cors());
    }
    router.route().handler(this::identify);
    for (Dialect dialect : dialects) {
      dialect.operations().forEach(operation -> serve(router, operation));
    }
    // What follows tells strangers nothing, not even what there is.
    router.route().handler(ctx -> require(ctx, Access.USE));
    router.get("/metrics").handler(this::limitReplyTime).handler(metrics());
    read(router, "/openapi.json").handler(pages::sendDescription);
    pages
        .files()
        .forEach((path, file) -> read(router, path).handler(ctx -> pages.sendFile(ctx, file)));
    SOCKET_PATHS.forEach(path -> router.get(path).handler(this::openSocket));
    if (options.http().eventBusBridge()) {
      router
          .route(EventBusBridge.PATH)
          .subRouter(EventBusBridge.router(vertx, options, connections, ctx -> caller(ctx).name()));
    }
    // The paths that stand for many come last: another's word on its methods goes before theirs.
    methods.keySet().stream()
        .sorted(Comparator.comparing(path -> path.endsWith("*")))
        .forEach(path -> router.route(path).handler(ctx -> refuseMethod(ctx, methods.get(path))));
    router.route().handler(ctx -> ctx.fail(404));
    return router;
  }

  /** What may be read may also be asked for its headers alone. */
  private static List<HttpMethod> methods(HttpMethod method) {
    return method.equals(HttpMethod.GET)
        ? List.of(HttpMethod.GET, HttpMethod.HEAD)
        : List.of(method);
  }

  private static Route route(Router router, String path, HttpMethod method) {
    Route route = router.route(path);
    methods(method).forEach(route::method);
    return route;
  }

  private Route read(Router router, String path) {
    return route(router, path, HttpMethod.GET).handler(this::limitReplyTime);
  }

  private <B extends Record> void serve(Router router, Operation<B> operation) {
    Route route = route(router, operation.path(), operation.method());
    route.handler(ctx -> require(ctx, operation.access()));
    if (operation.access() != Access.OPEN) {
      route.handler(this::enter);
    }
    if (operation.bodyType() != NoArguments.class) {
      route
          .handler(HttpVerticle::requireJson)
          .handler(this::limitBodyTime)
          .handler(ctx -> bodies.read(ctx, body -> ctx.put(BODY, body)))
          .handler(this::bodyIsRead);
    }
    route.handler(ctx -> answer(ctx, operation));
  }

  /** Names the request, and refuses what a web page of somebody else could have sent. */
  private void admit(RoutingContext ctx) {
    HttpServerRequest request = ctx.request();
    long arrivedNanos = System.nanoTime();
    ctx.put(ARRIVED, arrivedNanos);
    connections.began(request.connection());
    ctx.addEndHandler(ended -> connections.ended(request));
    name(request);
    if (options.http().accessLog()) {
      ctx.addEndHandler(ended -> logAccess(ctx, ended.succeeded(), arrivedNanos));
    }
    HostAndPort authority = request.authority();
    if (!guard.required() && !RagbusOptions.isLoopback(authority.host())) {
      throw RagbusException.of(Kind.FORBIDDEN, "the Host header is not a loopback name");
    }
    String origin = request.getHeader(HttpHeaders.ORIGIN);
    if (origin != null && !isOwn(origin, request) && !isAllowed(origin)) {
      throw RagbusException.of(Kind.FORBIDDEN, "web pages of other origins may not ask");
    }
    ctx.next();
  }

  private static void logAccess(RoutingContext ctx, boolean answered, long arrivedNanos) {
    ApiKeys.Holder caller = caller(ctx);
    AccessLog.write(
        ctx.request(),
        answered,
        ctx.response().headers().get(REQUEST_ID),
        caller == null ? ctx.request().remoteAddress().hostAddress() : caller.name(),
        System.nanoTime() - arrivedNanos);
  }

  private static boolean isOwn(String origin, HttpServerRequest request) {
    return origin.equalsIgnoreCase(
        (request.isSSL() ? "https://" : "http://") + request.authority());
  }

  private boolean isAllowed(String origin) {
    return options.http().allowedOrigins().contains(origin);
  }

  /** Answers what browsers ask beforehand, and lets the pages of allowed origins read replies. */
  private Handler<RoutingContext> cors() {
    CorsHandler cors =
        CorsHandler.create()
            .addOrigins(options.http().allowedOrigins())
            .allowedMethod(HttpMethod.GET)
            .allowedMethod(HttpMethod.POST)
            .allowedHeader("Authorization")
            .allowedHeader("Content-Type")
            .allowedHeader(REQUEST_ID.toString())
            .exposedHeader(REQUEST_ID.toString())
            .exposedHeader("Retry-After")
            .exposedHeader(SERVER_TIMING.toString());
    Timeouts.headers().forEach(cors::allowedHeader);
    return ctx -> {
      String origin = ctx.request().getHeader(HttpHeaders.ORIGIN);
      if (origin != null && isAllowed(origin)) {
        cors.handle(ctx);
      } else {
        ctx.next();
      }
    };
  }

  private void identify(RoutingContext ctx) {
    HttpServerRequest request = ctx.request();
    String address = request.remoteAddress().hostAddress();
    boolean withKey = guard.required() && request.headers().contains(HttpHeaders.AUTHORIZATION);
    if (withKey) {
      failedKeys.check(address);
    }
    request.pause();
    guard
        .caller(request)
        .onComplete(
            caller -> {
              ctx.put(CALLER, caller.result());
              if (withKey && caller.result().access() == Access.OPEN) {
                failedKeys.failed(address);
              }
              ctx.request().resume();
              ctx.next();
            });
  }

  private static ApiKeys.Holder caller(RoutingContext ctx) {
    return ctx.get(CALLER);
  }

  private void require(RoutingContext ctx, Access needed) {
    Access access = caller(ctx).access();
    if (access.covers(needed)) {
      ctx.next();
    } else if (access == Access.OPEN) {
      // A browser that opens a page asks its user; the scripts of a page ask with what it knows.
      boolean page =
          ctx.request().method().equals(HttpMethod.GET)
              && pages.files().containsKey(ctx.request().path());
      ctx.response().putHeader("WWW-Authenticate", page ? "Basic realm=\"Ragbus\"" : "Bearer");
      throw RagbusException.of(Kind.UNAUTHORIZED, "send a valid key as Authorization: Bearer KEY");
    } else {
      String role = needed.name().toLowerCase(Locale.ROOT);
      throw RagbusException.of(Kind.FORBIDDEN, "this takes the role '" + role + "'");
    }
  }

  /** Counts the request among those of its client that are under way. */
  private void enter(RoutingContext ctx) {
    String client = caller(ctx).name();
    connections.enter(client);
    ctx.addEndHandler(ended -> connections.leave(client));
    ctx.next();
  }

  private void limitBodyTime(RoutingContext ctx) {
    long timer =
        vertx.setTimer(options.http().bodyTimeout().toMillis(), id -> ctx.fail(REQUEST_TIMEOUT));
    ctx.put(BODY_TIMER, timer).addEndHandler(ended -> vertx.cancelTimer(timer));
    ctx.next();
  }

  private void bodyIsRead(RoutingContext ctx) {
    vertx.cancelTimer(ctx.get(BODY_TIMER));
    ctx.next();
  }

  private void limitReplyTime(RoutingContext ctx) {
    long timer = connections.closeAfter(ctx.request().connection(), options.http().idleTimeout());
    ctx.addEndHandler(ended -> vertx.cancelTimer(timer));
    ctx.next();
  }

  private static void name(HttpServerRequest request) {
    String id = RequestIds.validOrNew(request.getHeader(REQUEST_ID));
    request
        .response()
        .putHeader(REQUEST_ID, id)
        .putHeader("X-Content-Type-Options", "nosniff")
        .putHeader(HttpHeaders.CACHE_CONTROL, "no-store");
  }

  private static void requireJson(RoutingContext ctx) {
    String type = ctx.request().getHeader(HttpHeaders.CONTENT_TYPE);
    String encoding = ctx.request().getHeader(HttpHeaders.CONTENT_ENCODING);
    boolean json =
        type != null && type.split(";", 2)[0].trim().equalsIgnoreCase("application/json");
    if (json && (encoding == null || encoding.equalsIgnoreCase("identity"))) {
      ctx.next();
    } else {
      ctx.fail(415);
    }
  }

  private <B extends Record> void answer(RoutingContext ctx, Operation<B> operation) {
    String id = ctx.response().headers().get(REQUEST_ID);
    String travelId = travelId(ctx.request());
    Timeouts timeouts = Timeouts.of(ctx.request(), options.python());
    Ragbus caller =
        ragbus
            .withRequestId(travelId)
            .withCaller(caller(ctx).name())
            .withTimings(spent -> ctx.put(TIMINGS, ctx.get(TIMINGS, NO_TIMINGS).plus(spent)));
    ctx.addEndHandler(
        ended -> {
          if (ended.failed()) {
            caller.cancel(travelId);
          }
        });
    FrameFormat frames = operation.stream() == null ? null : FrameFormat.askedFor(ctx.request());
    Future<Operation.Call<B>> call =
        body(ctx, operation.bodyType())
            .map(
                body ->
                    new Operation.Call<>(
                        caller.withTimeout(
                            body instanceof FunctionCall function
                                ? timeouts.ofCall(function.name())
                                : timeouts.of(operation.function())),
                        id,
                        ctx.pathParam("*"),
                        caller(ctx).access(),
                        body));
    Future<?> answered =
        frames == null
            ? call.compose(asked -> ask(ctx, operation, operation.answer(), asked))
                .compose(reply -> bytes(reply).onSuccess(body -> send(ctx, reply.status(), body)))
            : call.compose(asked -> ask(ctx, operation, operation.stream(), asked))
                .onSuccess(stream -> send(ctx, stream, frames, id));
    answered.onFailure(ctx::fail);
  }

  private static <R, B extends Record> Future<R> ask(
      RoutingContext ctx,
      Operation<B> operation,
      Operation.Answer<R, B> answer,
      Operation.Call<B> call) {
    if (ctx.response().closed()) {
      return Future.failedFuture(RagbusException.of(Kind.CANCELLED, "the client has gone"));
    }
    return Future.succeededFuture(call)
        .compose(answer::to)
        .recover(failure -> named(operation, failure));
  }

  /**
   * The facade's failure, beginning with the operation's word where it begins with the facade's.
   */
  private static <R> Future<R> named(Operation<?> operation, Throwable failure) {
    if (!(failure instanceof RagbusException typed) || !TEXTS.matcher(typed.detail()).find()) {
      return Future.failedFuture(failure);
    }
    return Future.failedFuture(
        RagbusException.of(
            typed.kind(),
            TEXTS.matcher(typed.detail()).replaceFirst(operation.textsField()),
            typed.retryable(),
            typed.retryAfterMillis(),
            typed.pythonType()));
  }

  private static String travelId(HttpServerRequest request) {
    String unique = UUID.randomUUID().toString();
    String given = request.getHeader(REQUEST_ID);
    return RequestIds.valid(given)
        ? given.substring(0, Math.min(given.length(), ID_PREFIX_CHARS)) + "." + unique
        : request.response().headers().get(REQUEST_ID);
  }

  private <B extends Record> Future<B> body(RoutingContext ctx, Class<B> type) {
    if (type == NoArguments.class) {
      return Future.succeededFuture(type.cast(NoArguments.INSTANCE));
    }
    Buffer body = ctx.get(BODY);
    if (body == null || body.length() == 0) {
      throw RagbusException.invalid("the body must be a JSON object");
    }
    return done(body.length() > LARGE_BODY_BYTES, () -> JsonBodies.parse(body.getBytes(), type));
  }

  private Future<Buffer> bytes(Reply reply) {
    return done(reply.numbers() > MANY_NUMBERS, () -> Reply.bytes(reply.content()));
  }

  private <T> Future<T> done(boolean takesLong, Callable<T> work) {
    if (takesLong) {
      return vertx.executeBlocking(work, false);
    }
    try {
      return Future.succeededFuture(work.call());
    } catch (Exception e) {
      return Future.failedFuture(e);
    }
  }

  private void send(RoutingContext ctx, int status, Buffer body) {
    HttpServerResponse response = ctx.response();
    if (!response.closed()) {
      if (body.length() > 0) {
        response.putHeader(HttpHeaders.CONTENT_TYPE, "application/json");
      }
      response.putHeader(SERVER_TIMING, serverTiming(ctx));
      tellToClose(ctx.request());
      HttpConnection connection = ctx.request().connection();
      long timer = connections.closeAfter(connection, options.http().idleTimeout());
      response.setStatusCode(status);
      Reply.send(ctx, body)
          .onComplete(
              sent -> {
                vertx.cancelTimer(timer);
                if (status == REQUEST_TIMEOUT) {
                  connections.closeAfter(connection, Connections.LINGER);
                }
              });
    }
  }

  /** Tells a client, where the server shuts down, that its connection ends with the reply. */
  private void tellToClose(HttpServerRequest request) {
    if (!connections.isDraining()) {
      return;
    }
    if (request.version() == HttpVersion.HTTP_2) {
      request.connection().shutdown();
    } else {
      request.response().putHeader(HttpHeaders.CONNECTION, HttpHeaders.CLOSE);
    }
  }

  private static String serverTiming(RoutingContext ctx) {
    Long arrivedNanos = ctx.get(ARRIVED);
    double millis = arrivedNanos == null ? 0 : (System.nanoTime() - arrivedNanos) / 1e6;
    Timings spent = ctx.get(TIMINGS);
    return spent == null ? Timings.total(millis) : spent.withTotalMillis(millis).header();
  }

  /** Writes frames as fast as the client takes them; one that has gone ends the stream. */
  private void send(RoutingContext ctx, RerankStream stream, FrameFormat format, String id) {
    HttpServerResponse response = ctx.response();
    if (response.closed()) {
      stream.cancel();
      return;
    }
    ctx.addEndHandler(
        ended -> {
          if (ended.failed()) {
            stream.cancel();
          }
        });
    tellToClose(ctx.request());
    response
        .setChunked(true)
        .putHeader(HttpHeaders.CONTENT_TYPE, format.contentType())
        .putHeader(HttpHeaders.CONTENT_ENCODING, HttpHeaders.IDENTITY)
        .drainHandler(drained -> stream.resume());
    stream
        .exceptionHandler(failure -> end(ctx, format.bytes(FrameFormat.error(id, failure))))
        .endHandler(ended -> end(ctx, Buffer.buffer()))
        .handler(
            frame -> {
              response.write(format.bytes(FrameFormat.json((Record) frame, id)));
              if (response.writeQueueFull()) {
                stream.pause();
              }
            });
  }

  private void end(RoutingContext ctx, Buffer last) {
    if (!ctx.response().closed()) {
      HttpConnection connection = ctx.request().connection();
      long timer = connections.closeAfter(connection, options.http().idleTimeout());
      ctx.response().end(last).onComplete(sent -> vertx.cancelTimer(timer));
    }
  }

  private void openSocket(RoutingContext ctx) {
    HttpServerRequest request = ctx.request();
    if (!request.headers().contains(HttpHeaders.UPGRADE, "websocket", true)) {
      request.response().putHeader(HttpHeaders.UPGRADE, "websocket");
      ctx.fail(UPGRADE_REQUIRED);
      return;
    }
    String client = caller(ctx).name();
    StreamSocket.Server server =
        new StreamSocket.Server(
            vertx,
            ragbus.withCaller(client),
            Timeouts.of(request, options.python()),
            client,
            caller(ctx).access(),
            options.http().idleTimeout(),
            bodies,
            connections);
    connections.enterSocket(client);
    request
        .toWebSocket()
        .onSuccess(socket -> new StreamSocket(server, socket))
        .onFailure(
            failure -> {
              connections.leaveSocket(client);
              ctx.fail(failure);
            });
  }

  private Handler<RoutingContext> metrics() {
    MeterRegistry registry = vertx.isMetricsEnabled() ? BackendRegistries.getDefaultNow() : null;
    return registry instanceof PrometheusMeterRegistry
        ? PrometheusScrapingHandler.create()
        : ctx -> ctx.fail(404);
  }

  private static void refuseMethod(RoutingContext ctx, List<HttpMethod> allowed) {
    String names = allowed.stream().map(HttpMethod::name).collect(Collectors.joining(", "));
    ctx.response().putHeader(HttpHeaders.ALLOW, names);
    ctx.fail(405);
  }

  /** Every failure of every route ends here, in the words of its path's dialect. */
  private void fail(RoutingContext ctx, Dialect dialect) {
    HttpServerResponse response = ctx.response();
    HttpFailure failure = failure(ctx);
    if (response.closed() || response.ended()) {
      return;
    }
    if (failure.retryAfterSeconds() > 0) {
      response.putHeader(HttpHeaders.RETRY_AFTER, Long.toString(failure.retryAfterSeconds()));
    }
    send(ctx, dialect.status(failure), Reply.bytes(dialect.error(failure)));
  }

  private static HttpFailure failure(RoutingContext ctx) {
    Throwable cause = ctx.failure();
    if (cause instanceof RagbusException typed) {
      return HttpFailure.of(typed);
    }
    if (cause instanceof HttpException known) {
      return HttpFailure.of(known.getStatusCode());
    }
    if (cause instanceof ClosedChannelException) {
      return HttpFailure.of(RagbusException.of(Kind.CANCELLED, "the client has gone"));
    }
    if (cause != null) {
      String id = ctx.response().headers().get(REQUEST_ID);
      LOGGER.log(Level.ERROR, "request " + id + " to " + ctx.request().path() + " failed", cause);
      return HttpFailure.of(500);
    }
    return HttpFailure.of(ctx.statusCode());
  }

  /** What is not HTTP, or too long for it, never gets to the router. */
  private void refuseMalformed(HttpServerRequest request) {
    Throwable cause = request.decoderResult().cause();
    HttpFailure failure =
        HttpFailure.of(
            switch (String.valueOf(cause == null ? null : cause.getClass().getSimpleName())) {
              case "TooLongHttpLineException" -> 414;
              case "TooLongHttpHeaderException" -> 431;
              default -> 400;
            });
    long arrivedNanos = System.nanoTime();
    request
        .response()
        .setStatusCode(failure.status())
        .putHeader(HttpHeaders.CONTENT_TYPE, "application/json")
        .putHeader(HttpHeaders.CONNECTION, "close")
        .end(Reply.bytes(openAi.error(failure)))
        .onComplete(
            sent -> {
              if (options.http().accessLog()) {
                AccessLog.write(
                    request,
                    sent.succeeded(),
                    "-",
                    request.remoteAddress().hostAddress(),
                    System.nanoTime() - arrivedNanos);
              }
              request.connection().close();
            });
  }
}
