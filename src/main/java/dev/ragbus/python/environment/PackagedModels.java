// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.python.environment;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URL;
import java.nio.file.Path;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.regex.Pattern;

/**
 * The models that lie on the class path, each declared by a {@code META-INF/ragbus/models.json}:
 * any jar may add some. Listing them reads those few lines only; {@link #folder} unpacks one into
 * the cache, once for all processes.
 *
 * <p>A declaration is a list of {@code {"name", "aliases", "files": {path in the model's folder:
 * resource}}}. A resource is taken from the declaration's own jar or folder if it is there, else
 * from the first on the class path that has it. A model whose files are not all there is left out:
 * so the application may exclude the artifact that carries the weights. Where a name is declared
 * twice, the first on the class path counts, and the log has a warning that names the other.
 *
 * <p>Immutable and thread-safe. {@link #of} and {@link #folder} block on files.
 */
public final class PackagedModels {
  private static final System.Logger LOG = System.getLogger(PackagedModels.class.getName());
  private static final String DECLARATIONS = "META-INF/ragbus/models.json";
  private static final Pattern PLAIN_PATH =
      Pattern.compile("[A-Za-z0-9_][\\w.-]*(/[A-Za-z0-9_][\\w.-]*)*");
  private static final TypeReference<List<Declaration>> DECLARATION_LIST = new TypeReference<>() {};

  /**
   * One model as declared: {@code files} maps its path in the model's folder to a resource of the
   * class path.
   */
  record Declaration(String name, List<String> aliases, Map<String, String> files) {
    Declaration {
      if (name == null || files == null) {
        throw new IllegalArgumentException("a model needs a name and files");
      }
      aliases = aliases == null ? List.of() : List.copyOf(aliases);
      files = Map.copyOf(files);
      files.keySet().forEach(Declaration::checkPath);
    }

    private static void checkPath(String path) {
      if (!PLAIN_PATH.matcher(path).matches()) {
        throw new IllegalArgumentException("'" + path + "' is no path in a model's folder");
      }
    }
  }

  /** A model that is there: {@code declaredAt} is the file that says so. */
  private record Packaged(String name, URL declaredAt, SortedMap<String, URL> files) {}

  private final Path cacheFolder;
  private final Map<String, List<String>> aliases = new LinkedHashMap<>();
  private final Map<String, Packaged> byName = new LinkedHashMap<>();

  private PackagedModels(Path cacheFolder) {
    this.cacheFolder = cacheFolder;
  }

  /**
   * Reads the declarations that a class loader sees.
   *
   * @param cacheFolder where models are unpacked, below {@code models}
   * @throws UncheckedIOException if a declaration cannot be read; its message names the file
   */
  public static PackagedModels of(Path cacheFolder, ClassLoader loader) {
    var models = new PackagedModels(cacheFolder);
    try {
      for (URL url : Collections.list(loader.getResources(DECLARATIONS))) {
        for (Declaration declaration : read(url)) {
          models.add(declaration, url, loader);
        }
      }
    } catch (IOException e) {
      throw new UncheckedIOException("The class path cannot be read: " + e.getMessage(), e);
    }
    return models;
  }

  private static List<Declaration> read(URL url) {
    try (var in = new ResourceTree.Resource(url, 0, "").open()) {
      return new ObjectMapper().readValue(in, DECLARATION_LIST);
    } catch (IOException e) {
      String reason =
          e instanceof JsonProcessingException json ? json.getOriginalMessage() : e.getMessage();
      throw new UncheckedIOException(
          "The declaration of models " + url + " cannot be read: " + reason, e);
    }
  }

  private void add(Declaration declaration, URL declaredAt, ClassLoader loader) throws IOException {
    String url = declaredAt.toString();
    String root = url.substring(0, url.length() - DECLARATIONS.length());
    var files = new TreeMap<String, URL>();
    for (Map.Entry<String, String> file : declaration.files().entrySet()) {
      List<URL> found = Collections.list(loader.getResources(file.getValue()));
      if (found.isEmpty()) {
        return;
      }
      files.put(
          file.getKey(),
          found.stream()
              .filter(each -> each.toString().startsWith(root))
              .findFirst()
              .orElse(found.get(0)));
    }
    var model = new Packaged(declaration.name(), declaredAt, files);
    if (isFirst(declaration.name(), model)) {
      aliases.put(
          declaration.name(),
          declaration.aliases().stream().filter(alias -> isFirst(alias, model)).toList());
    }
  }

  private boolean isFirst(String name, Packaged model) {
    Packaged first = byName.putIfAbsent(name, model);
    if (first != null) {
      LOG.log(
          System.Logger.Level.WARNING,
          "the packaged model ''{0}'' of {1} is ignored: {2} has that name already",
          name,
          model.declaredAt(),
          first.declaredAt());
    }
    return first == null;
  }

  /** The models that there are, by name, each with the other names that lead to it. */
  public Map<String, List<String>> names() {
    return Collections.unmodifiableMap(aliases);
  }

  /**
   * The folder of a model, unpacked now if it is not yet.
   *
   * @param name its name or one of its other names
   * @return empty if no such model is packaged
   * @throws UncheckedIOException if it cannot be unpacked
   */
  public Optional<Path> folder(String name) {
    return Optional.ofNullable(byName.get(name)).map(model -> unpack(model.name(), model.files()));
  }

  private Path unpack(String name, SortedMap<String, URL> urls) {
    try {
      var files = new TreeMap<String, ResourceTree.Resource>();
      for (Map.Entry<String, URL> file : urls.entrySet()) {
        files.put(file.getKey(), ResourceTree.Resource.at(file.getValue()));
      }
      var tree = new ResourceTree(files);
      String folder =
          name.replaceAll("[^A-Za-z0-9._-]", "--") + "-" + tree.fingerprint().substring(0, 16);
      Path target = cacheFolder.resolve("models").resolve(folder);
      tree.unpack(target);
      return target;
    } catch (IOException e) {
      throw new UncheckedIOException(
          "The packaged model '" + name + "' cannot be unpacked: " + e.getMessage(), e);
    }
  }
}
