package dev.ragbus;

import static org.assertj.core.api.Assertions.assertThat;

import examples.SearchVerticle;
import io.vertx.core.Vertx;
import java.io.IOException;
import java.lang.reflect.Method;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

/** What the README shows is what there is. */
class ReadmeTest {
  private static final Path EXAMPLE = Path.of("src/test/java/examples/SearchVerticle.java");

  private static String readme() throws IOException {
    return Files.readString(Path.of("README.md"));
  }

  @Test
  void theExampleIsTheOneThatRuns() throws IOException {
    String source = Files.readString(EXAMPLE);

    assertThat(readme()).contains(source.substring(source.indexOf("public class")).strip());

    Vertx vertx = Vertx.vertx();
    System.setProperty("ragbus.models.offline", "true");
    try {
      assertThat(Await.result(vertx.deployVerticle(new SearchVerticle()))).isNotBlank();
    } finally {
      System.clearProperty("ragbus.models.offline");
      Await.result(vertx.close());
    }
  }

  @Test
  void itListsEveryAddress() throws Exception {
    Set<String> addresses = new TreeSet<>();
    for (Method method : Addresses.class.getDeclaredMethods()) {
      if (method.getReturnType() == String.class
          && method.getParameterCount() == 0
          && !List.of("prefix", "toString").contains(method.getName())) {
        addresses.add((String) method.invoke(Addresses.defaults()));
      }
    }

    assertThat(firstColumn("rag\\.[a-z.]+")).containsExactlyInAnyOrderElementsOf(addresses);
  }

  @Test
  void itListsEveryFailure() throws IOException {
    String readme = readme();
    for (RagbusException.Kind kind : RagbusException.Kind.values()) {
      assertThat(readme).contains("`" + kind + "`").contains(" " + kind.code() + " ");
    }
  }

  private static Set<String> firstColumn(String pattern) throws IOException {
    Matcher matcher = Pattern.compile("(?m)^\\| `(" + pattern + ")`").matcher(readme());
    Set<String> found = new TreeSet<>();
    while (matcher.find()) {
      found.add(matcher.group(1));
    }
    return found;
  }
}
