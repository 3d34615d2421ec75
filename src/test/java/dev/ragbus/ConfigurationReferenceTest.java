// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import static org.assertj.core.api.Assertions.assertThat;

import io.vertx.core.json.JsonObject;
import java.io.IOException;
import java.lang.reflect.RecordComponent;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

/**
 * {@code docs/configuration.md} is made from the option records, which have the keys, types and
 * defaults, and from the comments of {@code conf/ragbus.toml}. With {@code -Ddocs.write=true} this
 * test writes the page; else it fails where the page is not what would be written.
 */
class ConfigurationReferenceTest {
  private static final Path PAGE = Path.of("docs/configuration.md");
  private static final Path FILE = Path.of("conf/ragbus.toml");

  private static final Pattern SECTION = Pattern.compile("\\[([a-z_.]+)]");
  private static final Pattern TABLE = Pattern.compile("# \\[\\[([a-z.]+)]]");
  private static final Pattern OPTION = Pattern.compile("(?:# )?([a-z_0-9]+) = (.*)");
  private static final Pattern ROW = Pattern.compile("# ([a-z_0-9]+) = (.*?)\\s*(?:# (.*))?");

  private static final String HEAD =
      """
      # Configuration

      Made from the option records and `conf/ragbus.toml` by `mvn test -Dtest=ConfigurationReferenceTest -Ddocs.write=true`.

      An option is set in `conf/ragbus.toml` (another file: `RAGBUS_CONFIG` or `-Dragbus.config`) or in the verticle's `config()`, in the
      environment, or as a system property; the later goes before the earlier. `http.port` is `[http] port`, `RAGBUS_HTTP_PORT` and
      `-Dragbus.http.port`; a list is given by commas in the latter two. A duration is a number and a unit: ns, us, ms, s, m or h.
      An unknown name or a bad value stops the start, with what is allowed.
      """;

  /** What {@code conf/ragbus.toml} says, in its order. */
  private static final class Reference {
    private final StringBuilder page = new StringBuilder(HEAD);
    private final Set<String> keys = new HashSet<>();
    private final List<String> comment = new ArrayList<>();
    private String section = "";
    private String table;

    void read(List<String> lines) {
      for (String line : lines) {
        Matcher sectionLine = SECTION.matcher(line);
        Matcher tableLine = TABLE.matcher(line);
        Matcher rowLine = ROW.matcher(line);
        Matcher optionLine = OPTION.matcher(line);
        if (line.isBlank()) {
          endOfParagraph();
        } else if (sectionLine.matches()) {
          startSection(sectionLine.group(1));
        } else if (tableLine.matches()) {
          startTable(tableLine.group(1));
        } else if (table != null && rowLine.matches()) {
          row(table + "." + rowLine.group(1), rowLine.group(2), rowLine.group(3));
        } else if (!section.isEmpty() && optionLine.matches()) {
          option(optionLine.group(1), line.startsWith("#") ? null : optionLine.group(2));
        } else {
          comment.add(line.replaceFirst("^# ?", ""));
        }
      }
    }

    private void endOfParagraph() {
      table = null;
      if (section.isEmpty()) {
        comment.clear();
      }
    }

    private void startSection(String name) {
      section = name;
      page.append("\n## `[").append(name).append("]`\n\n");
      say(comment);
      comment.clear();
      page.append("| key | type | default | |\n|---|---|---|---|\n");
    }

    private void startTable(String name) {
      table = name;
      page.append("\n### `[[").append(name).append("]]`\n\n");
      say(comment);
      comment.clear();
      page.append("| key | type | default, or an example | |\n|---|---|---|---|\n");
    }

    private void say(List<String> paragraph) {
      if (!paragraph.isEmpty()) {
        page.append(String.join("\n", paragraph)).append("\n\n");
      }
    }

    private void option(String name, String value) {
      String key = section + "." + name;
      keys.add(key.startsWith("python.functions.") ? "python.functions.*." + name : key);
      row(key, value, String.join(" ", comment));
      comment.clear();
    }

    private void row(String key, String value, String meaning) {
      page.append("| `").append(key, key.lastIndexOf('.') + 1, key.length()).append("` | ");
      page.append(type(key)).append(" | ");
      page.append(value == null ? "" : "`" + value + "`").append(" | ");
      page.append(meaning == null ? "" : meaning).append(" |\n");
    }
  }

  /** What a value of a key is, by the record component that it is bound to. */
  private static String type(String key) {
    Class<?> owner = RagbusOptions.class;
    Class<?> type = null;
    for (String name : key.split("\\.")) {
      if (owner == Map.class) {
        owner = RagbusOptions.FunctionLimits.class;
        continue;
      }
      RecordComponent component = component(owner, name);
      type = component.getType();
      owner = type;
      if (type == List.class && name.equals("preload")) {
        owner = key.startsWith("models.") ? ModelSpec.class : FunctionSpec.class;
      }
    }
    if (type == Duration.class) {
      return "duration";
    }
    if (type == Boolean.class || type == boolean.class) {
      return "true or false";
    }
    if (type == Integer.class) {
      return "integer";
    }
    if (type == Double.class) {
      return "number";
    }
    if (type == List.class) {
      return "list of strings";
    }
    return type == Map.class || type == JsonObject.class ? "table" : "string";
  }

  private static RecordComponent component(Class<?> record, String snakeCase) {
    for (RecordComponent component : record.getRecordComponents()) {
      String name = component.getName().replaceAll("([A-Z])", "_$1").toLowerCase(Locale.ROOT);
      if (name.equals(snakeCase)) {
        return component;
      }
    }
    throw new AssertionError(record + " has no " + snakeCase);
  }

  @Test
  void thePageSaysWhatTheRecordsAndTheFileSay() throws IOException {
    Reference reference = new Reference();
    reference.read(Files.readAllLines(FILE));
    String expected = reference.page.toString();
    if (Boolean.getBoolean("docs.write")) {
      Files.writeString(PAGE, expected);
    }

    assertThat(PAGE).hasContent(expected);
    Set<String> known = new TreeSet<>(OptionsReader.keys());
    known.removeIf(key -> key.endsWith(".preload"));
    assertThat(reference.keys).containsExactlyInAnyOrderElementsOf(known);
  }
}
