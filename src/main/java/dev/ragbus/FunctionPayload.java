// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.vertx.core.buffer.Buffer;
import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Values as bytes, for Python and for other nodes: a uint32 (little-endian) with the length of a
 * text, the text, then the numbers of the tensors. For Python the text is JSON in UTF-8, for other
 * nodes what {@link MessageCodecs} says. Its {@code arrays} says where a tensor belongs: {@code
 * {"path": ["args", 0], "dtype": "float32", "shape": [2, 3], "offset": 0}}; {@code offset} counts
 * from the first byte behind the text.
 */
public final class FunctionPayload {
  private static final int HEAD = 4;
  private static final int ALIGNMENT = 8;
  private static final String ARRAYS = "arrays";
  private static final TypeReference<LinkedHashMap<String, Object>> FIELDS =
      new TypeReference<>() {};

  private record Array(List<Object> path, Tensor.DType dtype, List<Integer> shape, int offset) {}

  private FunctionPayload() {}

  /** Writes fields with a text in JSON; tensors may be anywhere in their values. */
  public static byte[] write(Map<String, Object> fields) {
    Buffer buffer = Buffer.buffer();
    write(JsonBodies.MAPPER, buffer, fields);
    return buffer.getBytes();
  }

  /** Appends fields to a buffer, with a text in a mapper's format. */
  static void write(ObjectMapper mapper, Buffer buffer, Map<String, Object> fields) {
    Writer writer = new Writer();
    Map<String, Object> text = new LinkedHashMap<>();
    fields.forEach((name, value) -> text.put(name, writer.placed(value, List.of(name))));
    text.put(ARRAYS, writer.arrays);
    try {
      byte[] bytes = mapper.writeValueAsBytes(text);
      buffer.appendIntLE(bytes.length).appendBytes(bytes);
    } catch (IOException e) {
      throw unusable("values cannot be written: " + e.getMessage());
    }
    for (Tensor tensor : writer.tensors) {
      buffer.appendBuffer(tensor.data()).appendBytes(new byte[padding(tensor)]);
    }
  }

  /** Bytes behind a tensor, so that the next one is aligned to the text's end. */
  private static int padding(Tensor tensor) {
    return -tensor.data().length() & ALIGNMENT - 1;
  }

  /** Takes the tensors out of values. */
  private static final class Writer {
    private final List<Array> arrays = new ArrayList<>();
    private final List<Tensor> tensors = new ArrayList<>();
    private int bytes;

    private Object placed(Object value, List<Object> path) {
      if (value instanceof Tensor tensor) {
        arrays.add(new Array(path, tensor.dtype(), tensor.shape(), bytes));
        tensors.add(tensor);
        bytes = Math.addExact(bytes, tensor.data().length() + padding(tensor));
        return null;
      }
      if (value instanceof Map<?, ?> map && FunctionValues.holdsTensor(map)) {
        Map<Object, Object> copy = new LinkedHashMap<>();
        map.forEach((key, item) -> copy.put(key, placed(item, and(path, key))));
        return copy;
      }
      if (value instanceof List<?> list && FunctionValues.holdsTensor(list)) {
        List<Object> copy = new ArrayList<>(list.size());
        list.forEach(item -> copy.add(placed(item, and(path, copy.size()))));
        return copy;
      }
      return value;
    }

    private static List<Object> and(List<Object> path, Object step) {
      List<Object> longer = new ArrayList<>(path);
      longer.add(step);
      return longer;
    }
  }

  /**
   * Reads fields whose text is JSON.
   *
   * @throws RagbusException {@code SERIALIZATION} for bytes that are none
   */
  public static Map<String, Object> read(byte[] payload) {
    return read(JsonBodies.MAPPER, payload);
  }

  /** Reads fields whose text is in a mapper's format. */
  static Map<String, Object> read(ObjectMapper mapper, byte[] payload) {
    try {
      Buffer buffer = Buffer.buffer(payload);
      int end = Math.addExact(HEAD, buffer.getIntLE(0));
      Map<String, Object> fields = mapper.readValue(payload, HEAD, end - HEAD, FIELDS);
      Object arrays = fields.remove(ARRAYS);
      if (arrays instanceof List<?> list) {
        for (Object described : list) {
          Array array = mapper.convertValue(described, Array.class);
          put(fields, array.path, tensor(array, buffer, end));
        }
      }
      return fields;
    } catch (IOException | RuntimeException e) {
      throw unusable("values cannot be read");
    }
  }

  private static Tensor tensor(Array array, Buffer buffer, int end) {
    int size = array.dtype.bytes();
    for (int axis : array.shape) {
      size = Math.multiplyExact(size, axis);
    }
    int from = end + array.offset;
    return new Tensor(array.dtype, array.shape, buffer.slice(from, from + size));
  }

  @SuppressWarnings("unchecked")
  private static void put(Map<String, Object> fields, List<Object> path, Tensor tensor) {
    Object node = fields;
    for (Object step : path.subList(0, path.size() - 1)) {
      node =
          node instanceof Map<?, ?> map ? map.get(step) : ((List<Object>) node).get((Integer) step);
    }
    Object last = path.get(path.size() - 1);
    if (node instanceof Map<?, ?> map) {
      ((Map<String, Object>) map).put((String) last, tensor);
    } else {
      ((List<Object>) node).set((Integer) last, tensor);
    }
  }

  private static RagbusException unusable(String detail) {
    return RagbusException.of(RagbusException.Kind.SERIALIZATION, detail);
  }
}
