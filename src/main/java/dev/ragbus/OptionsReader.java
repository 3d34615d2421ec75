// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.BeanDescription;
import com.fasterxml.jackson.databind.JavaType;
import com.fasterxml.jackson.databind.JsonMappingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.introspect.BeanPropertyDefinition;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.vertx.core.json.JsonObject;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;

/**
 * Reads {@link RagbusOptions} from a configuration object, environment variables and system
 * properties, the later ones going before the earlier.
 *
 * <p>What can be set is what the option records declare: the key of {@code Http.port} is {@code
 * http.port}, its variable {@code RAGBUS_HTTP_PORT} and its property {@code ragbus.http.port}. A
 * list is given by commas there, and {@code models.preload} in the configuration object only. The
 * variable of a function's limit has the function's name in upper case.
 */
public final class OptionsReader {
  private static final String VARIABLE_PREFIX = "RAGBUS_";
  private static final String PROPERTY_PREFIX = "ragbus.";

  /** These name the configuration file; they are not options. */
  private static final Set<String> FILE_NAMES = Set.of("RAGBUS_CONFIG", "ragbus.config");

  /** In a key of {@link #LEAVES}, stands for a name that the configuration chooses. */
  private static final String ANY = "*";

  private static final Map<String, JavaType> LEAVES = new TreeMap<>();

  static {
    collect("", JsonBodies.MAPPER.constructType(RagbusOptions.class));
  }

  private OptionsReader() {}

  /**
   * Reads options.
   *
   * @param config sections and keys nested as in {@code conf/ragbus.toml}
   * @param environment environment variables; those that do not begin with {@code RAGBUS_} are
   *     passed over, as is {@code RAGBUS_CONFIG}
   * @param systemProperties system properties; those that do not begin with {@code ragbus.} are
   *     passed over, as is {@code ragbus.config}
   * @throws IllegalArgumentException for an unknown name, with the nearest known one, or for a bad
   *     value, with the name, the value and what is allowed
   */
  public static RagbusOptions read(
      JsonObject config, Map<String, String> environment, Map<String, String> systemProperties) {
    ObjectNode tree = JsonBodies.MAPPER.valueToTree(config);
    refuseUnknown("", JsonBodies.MAPPER.constructType(RagbusOptions.class), tree);
    Map<String, String> given = new HashMap<>();
    new TreeMap<>(environment)
        .forEach(
            (name, value) -> {
              if (name.startsWith(VARIABLE_PREFIX) && !FILE_NAMES.contains(name)) {
                given.put(set(tree, name, keyOfVariable(name, value), value), name);
              }
            });
    new TreeMap<>(systemProperties)
        .forEach(
            (name, value) -> {
              if (name.startsWith(PROPERTY_PREFIX) && !FILE_NAMES.contains(name)) {
                given.put(set(tree, name, name.substring(PROPERTY_PREFIX.length()), value), name);
              }
            });
    return bind(tree, given);
  }

  /**
   * Reads options with this process's own environment and system properties.
   *
   * @throws IllegalArgumentException as {@link #read(JsonObject, Map, Map)} does
   */
  public static RagbusOptions read(JsonObject config) {
    Map<String, String> properties = new HashMap<>();
    for (String name : System.getProperties().stringPropertyNames()) {
      properties.put(name, System.getProperty(name));
    }
    return read(config, System.getenv(), properties);
  }

  /** Every key that can be set; {@code *} stands for a name that the configuration chooses. */
  static Set<String> keys() {
    return LEAVES.keySet();
  }

  private static void collect(String prefix, JavaType type) {
    properties(type)
        .forEach(
            (name, property) -> {
              String key = prefix + name;
              if (property.isMapLikeType()) {
                collect(key + "." + ANY + ".", property.getContentType());
              } else if (property.isRecordType()) {
                collect(key + ".", property);
              } else {
                LEAVES.put(key, property);
              }
            });
  }

  private static Map<String, JavaType> properties(JavaType type) {
    BeanDescription bean = JsonBodies.MAPPER.getDeserializationConfig().introspect(type);
    Map<String, JavaType> properties = new LinkedHashMap<>();
    for (BeanPropertyDefinition property : bean.findProperties()) {
      properties.put(property.getName(), property.getPrimaryType());
    }
    return properties;
  }

  private static void refuseUnknown(String key, JavaType type, JsonNode value) {
    boolean section = type.isRecordType() || type.isMapLikeType();
    if (section && !value.isObject() && !value.isNull()) {
      throw new IllegalArgumentException(
          key + " must be a section of its own, not " + shown(key, value));
    }
    if (type.isRecordType() && value.isObject()) {
      Map<String, JavaType> known = properties(type);
      value
          .properties()
          .forEach(
              entry -> {
                String inner = key.isEmpty() ? entry.getKey() : key + "." + entry.getKey();
                if (!known.containsKey(entry.getKey())) {
                  throw unknown(inner, shown(inner, entry.getValue()), candidates(key, known));
                }
                refuseUnknown(inner, known.get(entry.getKey()), entry.getValue());
              });
    } else if (type.isMapLikeType() && value.isObject()) {
      value
          .properties()
          .forEach(
              entry ->
                  refuseUnknown(
                      key + "." + entry.getKey(), type.getContentType(), entry.getValue()));
    } else if (type.isCollectionLikeType() && value.isArray()) {
      for (int i = 0; i < value.size(); i++) {
        refuseUnknown(key + "[" + i + "]", type.getContentType(), value.get(i));
      }
    }
  }

  /** The names that could have been meant: those of the same section, then all keys. */
  private static List<String> candidates(String section, Map<String, JavaType> known) {
    List<String> candidates = new ArrayList<>();
    known.keySet().forEach(name -> candidates.add(section.isEmpty() ? name : section + "." + name));
    candidates.addAll(LEAVES.keySet());
    return candidates;
  }

  private static String keyOfVariable(String name, String value) {
    for (String key : LEAVES.keySet()) {
      String variable = variable(key);
      int any = variable.indexOf(ANY);
      if (any < 0 && variable.equals(name)) {
        return key;
      }
      if (any >= 0 && fits(name, variable.substring(0, any), variable.substring(any + 1))) {
        String chosen = name.substring(any, name.length() - (variable.length() - any - 1));
        return key.replace(ANY, chosen.toLowerCase(Locale.ROOT));
      }
    }
    throw unknown(name, value, LEAVES.keySet().stream().map(OptionsReader::variable).toList());
  }

  private static String variable(String key) {
    return VARIABLE_PREFIX + key.replace('.', '_').toUpperCase(Locale.ROOT);
  }

  private static boolean fits(String name, String start, String end) {
    return name.length() > start.length() + end.length()
        && name.startsWith(start)
        && name.endsWith(end);
  }

  /** Puts a value at its place in the tree and tells its key. */
  private static String set(ObjectNode tree, String name, String key, String value) {
    Target target = target(key);
    if (target == null) {
      throw unknown(name, value, LEAVES.keySet().stream().map(PROPERTY_PREFIX::concat).toList());
    }
    if (target.type.isCollectionLikeType() && target.type.getContentType().isRecordType()) {
      throw new IllegalArgumentException(
          name + ": " + key + " can only be given in the configuration file");
    }
    int last = target.path.size() - 1;
    ObjectNode section = tree;
    for (String part : target.path.subList(0, last)) {
      section = section.withObjectProperty(part);
    }
    section.set(target.path.get(last), node(target.type, value.trim()));
    return key;
  }

  /** What a key may hold, and the names that lead to it. */
  private record Target(JavaType type, List<String> path) {}

  private static Target target(String key) {
    if (LEAVES.containsKey(key) && !key.contains(ANY)) {
      return new Target(LEAVES.get(key), List.of(key.split("\\.")));
    }
    for (Map.Entry<String, JavaType> leaf : LEAVES.entrySet()) {
      int any = leaf.getKey().indexOf(ANY);
      String start = leaf.getKey().substring(0, Math.max(any, 0));
      String end = leaf.getKey().substring(any + 1);
      if (any >= 0 && fits(key, start, end)) {
        List<String> path = new ArrayList<>(List.of(start.split("\\.")));
        path.add(key.substring(any, key.length() - end.length()));
        path.add(end.substring(1));
        return new Target(leaf.getValue(), path);
      }
    }
    return null;
  }

  /** Text as the JSON that the type wants; left as text where it is not, for binding to refuse. */
  private static JsonNode node(JavaType type, String value) {
    JsonNodeFactory nodes = JsonNodeFactory.instance;
    Class<?> raw = type.getRawClass();
    if (type.isCollectionLikeType()) {
      ArrayNode list = nodes.arrayNode();
      Arrays.stream(value.split(","))
          .map(String::trim)
          .filter(s -> !s.isEmpty())
          .forEach(list::add);
      return list;
    }
    if (raw == Boolean.class && (value.equals("true") || value.equals("false"))) {
      return nodes.booleanNode(Boolean.parseBoolean(value));
    }
    try {
      if (raw == Integer.class) {
        return nodes.numberNode(Integer.parseInt(value));
      }
      if (raw == Double.class) {
        return nodes.numberNode(Double.parseDouble(value));
      }
    } catch (NumberFormatException e) {
      return nodes.textNode(value);
    }
    return nodes.textNode(value);
  }

  private static RagbusOptions bind(ObjectNode tree, Map<String, String> given) {
    try {
      return JsonBodies.MAPPER.treeToValue(tree, RagbusOptions.class);
    } catch (JsonProcessingException e) {
      String problem = problem(tree, e);
      String sources =
          given.entrySet().stream()
              .filter(
                  source ->
                      problem.startsWith(source.getKey() + " ")
                          || problem.startsWith(source.getKey() + "["))
              .map(source -> " (from " + source.getValue() + ")")
              .collect(Collectors.joining());
      throw new IllegalArgumentException(problem + sources);
    }
  }

  private static String problem(JsonNode tree, JsonProcessingException problem) {
    if (problem.getCause() instanceof IllegalArgumentException checked) {
      return checked.getMessage();
    }
    String detail = JsonBodies.failure(problem).detail();
    if (!(problem instanceof JsonMappingException mapping)) {
      return detail;
    }
    if (problem.getCause() instanceof RagbusException) {
      return JsonBodies.path(mapping.getPath()) + "." + detail;
    }
    JsonNode value = tree;
    for (JsonMappingException.Reference step : mapping.getPath()) {
      value =
          step.getFieldName() == null
              ? value.path(step.getIndex())
              : value.path(step.getFieldName());
    }
    return secret(detail) ? detail : detail + ", not " + value;
  }

  /** A value for a message; of a list or an object only that it is one, since it may hold a key. */
  private static String shown(String key, JsonNode value) {
    if (value.isValueNode() && !secret(key)) {
      return value.toString();
    }
    return value.isArray() ? "a list" : value.isObject() ? "a section" : "what is given";
  }

  /** Whether a name, or a message that begins with one, may belong to a value nobody should see. */
  private static boolean secret(String name) {
    String plain = name.toLowerCase(Locale.ROOT);
    return plain.matches("(ragbus[._])?(security|.*(key|secret|token|password)).*");
  }

  private static IllegalArgumentException unknown(
      String name, String value, List<String> candidates) {
    return new IllegalArgumentException(
        name
            + (secret(name) ? "" : " (= " + value + ")")
            + " is not an option; did you mean "
            + nearest(name, candidates)
            + "?");
  }

  /** The candidate that takes the fewest changes of letters. */
  static String nearest(String name, List<String> candidates) {
    String nearest = candidates.get(0);
    for (String candidate : candidates) {
      if (distance(name, candidate) < distance(name, nearest)) {
        nearest = candidate;
      }
    }
    return nearest;
  }

  /** The fewest letters to insert, delete or replace between two words. */
  private static int distance(String from, String to) {
    int[] row = new int[to.length() + 1];
    Arrays.setAll(row, i -> i);
    for (int i = 1; i <= from.length(); i++) {
      int diagonal = row[0];
      row[0] = i;
      for (int j = 1; j <= to.length(); j++) {
        int replaced = diagonal + (from.charAt(i - 1) == to.charAt(j - 1) ? 0 : 1);
        diagonal = row[j];
        row[j] = Math.min(replaced, Math.min(row[j], row[j - 1]) + 1);
      }
    }
    return row[to.length()];
  }
}
