// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.core.exc.InputCoercionException;
import com.fasterxml.jackson.databind.DeserializationContext;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonMappingException;
import com.fasterxml.jackson.databind.MapperFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.PropertyNamingStrategies;
import com.fasterxml.jackson.databind.cfg.CoercionAction;
import com.fasterxml.jackson.databind.cfg.CoercionInputShape;
import com.fasterxml.jackson.databind.cfg.MapperBuilder;
import com.fasterxml.jackson.databind.deser.std.StdDeserializer;
import com.fasterxml.jackson.databind.exc.InvalidFormatException;
import com.fasterxml.jackson.databind.exc.MismatchedInputException;
import com.fasterxml.jackson.databind.exc.UnrecognizedPropertyException;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.module.SimpleModule;
import com.fasterxml.jackson.databind.type.LogicalType;
import io.vertx.core.json.JsonObject;
import io.vertx.core.json.jackson.VertxModule;
import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.Map;

/**
 * Between the records of this package and JSON with {@code snake_case} names.
 *
 * <p>Reading is strict: an unknown field, a wrong type or a missing value is refused with a {@link
 * RagbusException} {@code INVALID} that names the field; nothing is coerced.
 */
public final class JsonBodies {
  static final JsonMapper MAPPER =
      withRules(JsonMapper.builder())
          .enable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES)
          .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
          .build();

  /** Of what other nodes send: fields that are not known are passed over. */
  static final JsonMapper LENIENT =
      withRules(JsonMapper.builder())
          .disable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES)
          .build();

  private JsonBodies() {}

  /** What holds for the records in every form: names, types, nothing coerced, nothing behind. */
  static <M extends ObjectMapper, B extends MapperBuilder<M, B>> B withRules(B builder) {
    return builder
        .propertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE)
        .addModule(new VertxModule())
        .addModule(DurationText.module())
        .addModule(
            new SimpleModule("objects")
                .addDeserializer(JsonObject.class, new JsonObjectDeserializer()))
        .disable(MapperFeature.ALLOW_COERCION_OF_SCALARS)
        .disable(DeserializationFeature.ACCEPT_FLOAT_AS_INT)
        .enable(DeserializationFeature.FAIL_ON_NUMBERS_FOR_ENUMS)
        .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
        .disable(StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION)
        .withCoercionConfig(
            LogicalType.Textual,
            config ->
                config
                    .setCoercion(CoercionInputShape.Integer, CoercionAction.Fail)
                    .setCoercion(CoercionInputShape.Float, CoercionAction.Fail)
                    .setCoercion(CoercionInputShape.Boolean, CoercionAction.Fail));
  }

  /** Vert.x's own module writes these but does not read them. */
  private static final class JsonObjectDeserializer extends StdDeserializer<JsonObject> {
    private static final long serialVersionUID = 1L;

    JsonObjectDeserializer() {
      super(JsonObject.class);
    }

    @Override
    @SuppressWarnings("unchecked")
    public JsonObject deserialize(JsonParser parser, DeserializationContext context)
        throws IOException {
      if (!parser.isExpectedStartObjectToken()) {
        return (JsonObject) context.handleUnexpectedToken(JsonObject.class, parser);
      }
      return new JsonObject(context.readValue(parser, Map.class));
    }
  }

  /**
   * Reads a JSON body of the event bus.
   *
   * @throws RagbusException {@code INVALID}, naming the field
   */
  public static <T> T parse(JsonObject body, Class<T> type) {
    return parse(MAPPER, body, type);
  }

  /**
   * The same for a frame of a stream, which may come from a newer node: fields that are not known
   * are passed over.
   */
  public static <T> T parseFrame(JsonObject frame, Class<T> type) {
    return parse(LENIENT, frame, type);
  }

  private static <T> T parse(ObjectMapper mapper, JsonObject body, Class<T> type) {
    try {
      return mapper.convertValue(body, type);
    } catch (IllegalArgumentException e) {
      throw failure(e.getCause() == null ? e : e.getCause());
    }
  }

  /**
   * Reads a JSON body from its UTF-8 bytes, without a tree in between.
   *
   * @throws RagbusException {@code INVALID}, naming the field
   */
  public static <T extends Record> T parse(byte[] body, Class<T> type) {
    try {
      T value = MAPPER.readValue(body, type);
      if (value == null) {
        throw RagbusException.invalid("the body must be a JSON object");
      }
      return value;
    } catch (IOException e) {
      throw failure(e);
    }
  }

  /** The JSON form of a record. */
  public static JsonObject format(Record value) {
    @SuppressWarnings("unchecked")
    Map<String, Object> fields = MAPPER.convertValue(value, Map.class);
    return new JsonObject(fields);
  }

  /** The JSON form of a record as UTF-8 bytes. */
  public static byte[] bytes(Record value) {
    try {
      return MAPPER.writeValueAsBytes(value);
    } catch (JsonProcessingException e) {
      throw new IllegalStateException(e);
    }
  }

  /** What was wrong with a body, as a failure that names the field and never repeats the body. */
  static RagbusException failure(Throwable problem) {
    for (Throwable cause = problem; cause != null; cause = cause.getCause()) {
      if (cause instanceof RagbusException already) {
        return already;
      }
    }
    if (problem instanceof UnrecognizedPropertyException unknown) {
      return RagbusException.invalid(
          path(unknown.getPath()) + " is not a field; known are " + unknown.getKnownPropertyIds());
    }
    if (problem instanceof InvalidFormatException format && format.getTargetType().isEnum()) {
      return RagbusException.invalid(
          path(format.getPath()) + " must be one of " + enumNames(format.getTargetType()));
    }
    if (problem instanceof MismatchedInputException mismatch) {
      Class<?> target = mismatch.getTargetType();
      return RagbusException.invalid(path(mismatch.getPath()) + " must be " + describe(target));
    }
    if (problem instanceof JsonMappingException mapping && !mapping.getPath().isEmpty()) {
      if (mapping.getCause() instanceof InputCoercionException) {
        return RagbusException.invalid(path(mapping.getPath()) + " must be an integer in range");
      }
      return RagbusException.invalid(path(mapping.getPath()) + " cannot be read");
    }
    return RagbusException.invalid("the body is not well-formed JSON");
  }

  static String path(List<JsonMappingException.Reference> references) {
    StringBuilder path = new StringBuilder();
    for (JsonMappingException.Reference reference : references) {
      if (reference.getFieldName() == null) {
        path.append('[').append(reference.getIndex()).append(']');
      } else {
        path.append(path.length() == 0 ? "" : ".").append(reference.getFieldName());
      }
    }
    return path.length() == 0 ? "the body" : path.toString();
  }

  private static List<String> enumNames(Class<?> type) {
    return MAPPER.convertValue(List.of(type.getEnumConstants()), MAPPER.constructType(List.class));
  }

  private static String describe(Class<?> type) {
    if (type == PredictRequest.Input.class) {
      return PredictRequest.Input.FORMS;
    }
    if (type == null
        || type.isRecord()
        || type == JsonObject.class
        || Map.class.isAssignableFrom(type)) {
      return "an object";
    }
    if (type == String.class) {
      return "a string";
    }
    if (List.class.isAssignableFrom(type)) {
      return "a list";
    }
    if (type == Boolean.class || type == boolean.class) {
      return "true or false";
    }
    if (type.isEnum()) {
      return "one of " + enumNames(type);
    }
    if (type == Duration.class) {
      return DurationText.ALLOWED;
    }
    return type == Integer.class || type == int.class || type == Long.class || type == long.class
        ? "an integer in range"
        : "a number";
  }
}
