package dev.ragbus.examples.search;

import io.vertx.core.Future;
import io.vertx.core.Vertx;
import io.vertx.core.json.JsonObject;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/**
 * The command: starts the application and says on standard output where the page is. It exits with
 * 1 and one line if it does not start, with 2 for wrong options; SIGINT and SIGTERM stop it in
 * order.
 */
@Command(
    name = "search",
    mixinStandardHelpOptions = true,
    showDefaultValues = true,
    sortOptions = false,
    description = "Searches a folder of Markdown, text and HTML, on a page at 127.0.0.1.")
final class Main implements Runnable {
  private static final String LOG_FORMAT = "java.util.logging.SimpleFormatter.format";
  private static final int STOP_SECONDS = 15;

  @Parameters(index = "0", description = "the folder of documents")
  private Path folder;

  @Option(
      names = "--include",
      paramLabel = "GLOB",
      description = "files to index, relative to the folder; may be repeated; all if absent")
  private List<String> include = new ArrayList<>();

  @Option(
      names = "--index",
      paramLabel = "FOLDER",
      description = "where the index is kept; in the user's cache folder if absent")
  private Path index;

  @Option(names = "--port", defaultValue = "8090", description = "of the page; 0 for any")
  private int port;

  @Option(names = "--chunk-tokens", defaultValue = "128", description = "most tokens of a chunk")
  private int chunkTokens;

  @Option(
      names = "--max-file-bytes",
      defaultValue = "10000000",
      description = "largest file that is read")
  private long maxFileBytes;

  @Option(
      names = "--texts-in-flight",
      defaultValue = "512",
      description = "most texts embedded at once")
  private int textsInFlight;

  @Option(
      names = "--candidates",
      defaultValue = "50",
      description = "chunks that are reranked for a query")
  private int candidates;

  @Option(
      names = "--commit-millis",
      defaultValue = "5000",
      description = "how often what was indexed is made durable and searchable")
  private long commitMillis;

  private Main() {}

  /** Runs the application until a signal ends it. */
  public static void main(String[] arguments) {
    if (System.getProperty(LOG_FORMAT) == null) {
      System.setProperty(LOG_FORMAT, "%1$tT %4$s %5$s%6$s%n");
    }
    int status =
        new CommandLine(new Main())
            .setExecutionExceptionHandler(
                (failure, command, parsed) -> {
                  System.err.println("Search did not start: " + failure.getMessage());
                  return failure instanceof IllegalArgumentException ? 2 : 1;
                })
            .execute(arguments);
    if (status != 0) {
      System.exit(status);
    }
  }

  @Override
  public void run() {
    SearchOptions options = options();
    if (!Files.isDirectory(options.folder())) {
      throw new IllegalArgumentException(options.folder() + " is not a folder");
    }
    Vertx vertx = Vertx.vertx();
    SearchApplication.open(vertx, options)
        .compose(
            application -> {
              Runtime.getRuntime()
                  .addShutdownHook(new Thread(() -> stop(vertx, application), "search-stop"));
              return application.start(new JsonObject()).map(application);
            })
        .onSuccess(application -> System.out.println("Search is ready: " + application.address()))
        .onFailure(
            failure -> {
              System.err.println("Search did not start: " + failure.getMessage());
              // Not on an event loop, for whose work the exit waits.
              new Thread(() -> System.exit(1), "search-exit").start();
            });
  }

  private SearchOptions options() {
    return new SearchOptions(
        folder,
        include,
        index == null ? defaultIndex(folder.toAbsolutePath().normalize()) : index,
        port,
        chunkTokens,
        maxFileBytes,
        textsInFlight,
        candidates,
        Duration.ofMillis(commitMillis));
  }

  /** A folder of its own for every folder of documents. */
  private static Path defaultIndex(Path folder) {
    String cache = System.getenv("XDG_CACHE_HOME");
    Path root =
        cache == null || cache.isBlank()
            ? Path.of(System.getProperty("user.home"), ".cache")
            : Path.of(cache);
    UUID name = UUID.nameUUIDFromBytes(folder.toString().getBytes(StandardCharsets.UTF_8));
    return root.resolve(Path.of("ragbus-search", folder.getFileName() + "-" + name));
  }

  /** In two steps, since what follows the close of Vert.x has no event loop left to run on. */
  private static void stop(Vertx vertx, SearchApplication application) {
    await(application.close());
    await(vertx.close());
  }

  private static void await(Future<?> stopped) {
    try {
      stopped.toCompletionStage().toCompletableFuture().get(STOP_SECONDS, TimeUnit.SECONDS);
    } catch (ExecutionException | TimeoutException e) {
      System.err.println("Search did not stop in order: " + e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
