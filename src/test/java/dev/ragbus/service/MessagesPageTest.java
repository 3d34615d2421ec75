// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.fail;
import static org.assertj.core.api.Assertions.within;

import dev.ragbus.Addresses;
import dev.ragbus.Await;
import dev.ragbus.RagbusException;
import io.vertx.core.Vertx;
import io.vertx.core.eventbus.Message;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import java.io.IOException;
import java.lang.reflect.Method;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

/** Every example of {@code docs/messages.md} is sent, in its order, and answered as it says. */
class MessagesPageTest {
  private static final Path PAGE = Path.of("docs/messages.md");
  private static final Pattern SECTION =
      Pattern.compile("(?ms)^### `(rag\\.[a-z._]+)`$(.*?)(?=^##|\\z)");
  private static final Pattern EXAMPLE =
      Pattern.compile("(?s)```json\\n(.*?)```\\s*```json\\n(.*?)```");

  /** Stands for any value; as the last of an array, for any further ones. */
  private static final String ANY = "…";

  private static final double NUMBER_TOLERANCE = 0.02;

  private static String page() throws IOException {
    return Files.readString(PAGE);
  }

  @Test
  void theExamplesAreAnsweredAsThePageSays() throws IOException {
    Vertx vertx = Vertx.vertx();
    JsonObject functions = new JsonObject().put("allow_modules", new JsonArray().add("math"));
    String heads = Path.of("python/tests/golden/heads").toAbsolutePath().toString();
    JsonObject models = new JsonObject().put("dir", heads);
    TestService.start(vertx, new JsonObject().put("functions", functions).put("models", models));
    try {
      Matcher section = SECTION.matcher(page());
      while (section.find()) {
        Matcher example = EXAMPLE.matcher(section.group(2));
        while (example.find()) {
          JsonObject request = new JsonObject(example.group(1));
          Message<JsonObject> reply =
              Await.result(vertx.eventBus().request(section.group(1), request));
          compare(section.group(1), new JsonObject(example.group(2)), reply.body());
        }
      }
    } finally {
      Await.result(vertx.close());
    }
  }

  private static void compare(String at, Object expected, Object actual) {
    if (ANY.equals(expected)) {
      return;
    }
    if (expected instanceof JsonObject object) {
      assertThat(actual).as(at).isInstanceOf(JsonObject.class);
      JsonObject found = (JsonObject) actual;
      assertThat(found.fieldNames()).as(at).isEqualTo(object.fieldNames());
      object
          .fieldNames()
          .forEach(k -> compare(at + "." + k, object.getValue(k), found.getValue(k)));
    } else if (expected instanceof JsonArray array) {
      assertThat(actual).as(at).isInstanceOf(JsonArray.class);
      compareItems(at, array, (JsonArray) actual);
    } else if (expected instanceof Number number) {
      assertThat(((Number) actual).doubleValue())
          .as(at)
          .isCloseTo(number.doubleValue(), within(NUMBER_TOLERANCE));
    } else {
      assertThat(actual).as(at).isEqualTo(expected);
    }
  }

  private static void compareItems(String at, JsonArray expected, JsonArray actual) {
    int count = expected.size();
    boolean more = count > 1 && ANY.equals(expected.getValue(count - 1));
    int told = more ? count - 1 : count;
    if (more ? actual.size() < told : actual.size() != told) {
      fail(at + " has " + actual.size() + " items: " + actual);
    }
    for (int i = 0; i < told; i++) {
      compare(at + "[" + i + "]", expected.getValue(i), actual.getValue(i));
    }
  }

  @Test
  void thePageHasEveryAddress() throws Exception {
    Set<String> addresses = new TreeSet<>();
    for (Method method : Addresses.class.getDeclaredMethods()) {
      if (method.getReturnType() == String.class
          && method.getParameterCount() == 0
          && !List.of("prefix", "toString").contains(method.getName())) {
        addresses.add((String) method.invoke(Addresses.defaults()));
      }
    }

    assertThat(
            SECTION.matcher(page()).results().map(it -> it.group(1)).collect(Collectors.toList()))
        .containsExactlyInAnyOrderElementsOf(addresses);
  }

  @Test
  void thePageHasEveryFailure() throws IOException {
    String page = page();
    for (RagbusException.Kind kind : RagbusException.Kind.values()) {
      assertThat(page).contains("| `" + kind + "` | " + kind.code() + " |");
    }
  }
}
