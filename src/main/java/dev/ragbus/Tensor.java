// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import com.fasterxml.jackson.annotation.JsonProperty;
import io.vertx.core.buffer.Buffer;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;

/**
 * A NumPy array as it travels to and from functions: its numbers stay binary.
 *
 * <p>On the local event bus the bytes are shared, not copied: treat them as read-only.
 *
 * @param dtype the type of its numbers
 * @param shape the length of each axis; empty for a single number
 * @param data the numbers, row-major and little-endian, without gaps
 */
public record Tensor(DType dtype, List<Integer> shape, Buffer data) {
  /** As in NumPy. */
  private static final int MAX_AXES = 64;

  /** An empty tensor has no bytes, and in JSON a list for each of its rows all the same. */
  private static final int MAX_EMPTY_LISTS = 1_000_000;

  /** The type of a tensor's numbers, named as NumPy names it. */
  public enum DType {
    /** A byte that is 0 or 1. */
    @JsonProperty("bool")
    BOOL(1),
    /** 8 bits, signed. */
    @JsonProperty("int8")
    INT8(1),
    /** 16 bits, signed. */
    @JsonProperty("int16")
    INT16(2),
    /** 32 bits, signed. */
    @JsonProperty("int32")
    INT32(4),
    /** 64 bits, signed. */
    @JsonProperty("int64")
    INT64(8),
    /** 8 bits, unsigned. */
    @JsonProperty("uint8")
    UINT8(1),
    /** 16 bits, unsigned. */
    @JsonProperty("uint16")
    UINT16(2),
    /** 32 bits, unsigned. */
    @JsonProperty("uint32")
    UINT32(4),
    /** 64 bits, unsigned. */
    @JsonProperty("uint64")
    UINT64(8),
    /** IEEE 754 half precision. */
    @JsonProperty("float16")
    FLOAT16(2),
    /** IEEE 754 single precision. */
    @JsonProperty("float32")
    FLOAT32(4),
    /** IEEE 754 double precision. */
    @JsonProperty("float64")
    FLOAT64(8);

    private final int bytes;

    DType(int bytes) {
      this.bytes = bytes;
    }

    /** Bytes of a number. */
    public int bytes() {
      return bytes;
    }
  }

  /** Checks that the bytes are as many as the shape needs; throws {@code INVALID}. */
  public Tensor {
    if (dtype == null) {
      throw RagbusException.invalid("dtype is required");
    }
    Objects.requireNonNull(data, "data");
    shape = List.copyOf(shape);
    if (shape.size() > MAX_AXES) {
      throw RagbusException.invalid("shape has more than " + MAX_AXES + " axes");
    }
    long size = dtype.bytes();
    for (int axis : shape) {
      if (axis < 0) {
        throw RagbusException.invalid("shape " + shape + " has a negative length");
      }
      size = size * axis;
      if (size > Integer.MAX_VALUE) {
        throw RagbusException.of(
            RagbusException.Kind.TOO_LARGE, "a tensor of shape " + shape + " is above 2 GiB");
      }
    }
    if (size != data.length()) {
      throw RagbusException.invalid(
          "a "
              + dtype
              + " tensor of shape "
              + shape
              + " has "
              + size
              + " bytes, not "
              + data.length());
    }
  }

  /** A tensor of {@link DType#FLOAT32}. */
  public static Tensor of(float[] values, int... shape) {
    byte[] bytes = new byte[values.length * Float.BYTES];
    littleEndian(bytes).asFloatBuffer().put(values);
    return new Tensor(DType.FLOAT32, axes(shape, values.length), Buffer.buffer(bytes));
  }

  /** A tensor of {@link DType#FLOAT64}. */
  public static Tensor of(double[] values, int... shape) {
    byte[] bytes = new byte[values.length * Double.BYTES];
    littleEndian(bytes).asDoubleBuffer().put(values);
    return new Tensor(DType.FLOAT64, axes(shape, values.length), Buffer.buffer(bytes));
  }

  /** A tensor of {@link DType#INT32}. */
  public static Tensor of(int[] values, int... shape) {
    byte[] bytes = new byte[values.length * Integer.BYTES];
    littleEndian(bytes).asIntBuffer().put(values);
    return new Tensor(DType.INT32, axes(shape, values.length), Buffer.buffer(bytes));
  }

  /** A tensor of {@link DType#INT64}. */
  public static Tensor of(long[] values, int... shape) {
    byte[] bytes = new byte[values.length * Long.BYTES];
    littleEndian(bytes).asLongBuffer().put(values);
    return new Tensor(DType.INT64, axes(shape, values.length), Buffer.buffer(bytes));
  }

  private static ByteBuffer littleEndian(byte[] bytes) {
    return ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
  }

  /** Without a shape, the one axis that the values make. */
  private static List<Integer> axes(int[] shape, int count) {
    List<Integer> axes = new ArrayList<>();
    for (int axis : shape) {
      axes.add(axis);
    }
    return shape.length == 0 ? List.of(count) : axes;
  }

  /** How many numbers there are. */
  public int size() {
    return data.length() / dtype.bytes();
  }

  /** The numbers as {@code float}, in row-major order; larger types lose precision. */
  public float[] floats() {
    float[] values = new float[size()];
    for (int i = 0; i < values.length; i++) {
      values[i] = number(i).floatValue();
    }
    return values;
  }

  /** The numbers as {@code double}, in row-major order. */
  public double[] doubles() {
    double[] values = new double[size()];
    for (int i = 0; i < values.length; i++) {
      values[i] = number(i).doubleValue();
    }
    return values;
  }

  /** The numbers as {@code long}, in row-major order; fractions are cut. */
  public long[] longs() {
    long[] values = new long[size()];
    for (int i = 0; i < values.length; i++) {
      values[i] = number(i).longValue();
    }
    return values;
  }

  /**
   * The JSON form: lists in lists, a number or a boolean for an empty shape.
   *
   * @throws RagbusException {@code SERIALIZATION} for a number that is not finite, {@code
   *     TOO_LARGE} for more than a million lists with nothing in them
   */
  public Object toJson() {
    long lists = 1;
    for (int i = 0; i < shape.size() && data.length() == 0; i++) {
      lists = lists * Math.max(shape.get(i), 1);
      if (lists > MAX_EMPTY_LISTS) {
        throw RagbusException.of(
            RagbusException.Kind.TOO_LARGE,
            "an empty tensor of shape " + shape + " is above " + MAX_EMPTY_LISTS + " lists");
      }
    }
    return nested(0, 0);
  }

  private Object nested(int axis, int offset) {
    if (axis == shape.size()) {
      return value(offset);
    }
    int stride = 1;
    for (int length : shape.subList(axis + 1, shape.size())) {
      stride *= length;
    }
    List<Object> items = new ArrayList<>(shape.get(axis));
    for (int i = 0; i < shape.get(axis); i++) {
      items.add(nested(axis + 1, offset + i * stride));
    }
    return items;
  }

  private Object value(int index) {
    Number number = number(index);
    if (dtype == DType.BOOL) {
      return number.intValue() != 0;
    }
    if (!Double.isFinite(number.doubleValue())) {
      throw RagbusException.of(
          RagbusException.Kind.SERIALIZATION, "a number that is not finite has no JSON form");
    }
    return number;
  }

  private Number number(int index) {
    int at = index * dtype.bytes();
    return switch (dtype) {
      case BOOL, INT8 -> (int) data.getByte(at);
      case UINT8 -> (int) data.getUnsignedByte(at);
      case INT16 -> (int) data.getShortLE(at);
      case UINT16 -> data.getUnsignedShortLE(at);
      case INT32 -> data.getIntLE(at);
      case UINT32 -> data.getUnsignedIntLE(at);
      case INT64 -> data.getLongLE(at);
      case UINT64 -> unsigned(data.getLongLE(at));
      case FLOAT16 -> half(data.getShortLE(at));
      case FLOAT32 -> data.getFloatLE(at);
      case FLOAT64 -> data.getDoubleLE(at);
    };
  }

  private static Number unsigned(long bits) {
    return bits >= 0 ? (Number) bits : new java.math.BigInteger(Long.toUnsignedString(bits));
  }

  /** IEEE 754 binary16: a sign bit, five bits of exponent with bias 15, ten of fraction. */
  private static float half(short bits) {
    int exponent = bits >> 10 & 0x1f;
    int fraction = bits & 0x3ff;
    float magnitude;
    if (exponent == 0x1f) {
      magnitude = fraction == 0 ? Float.POSITIVE_INFINITY : Float.NaN;
    } else if (exponent == 0) {
      magnitude = Math.scalb((float) fraction, -24);
    } else {
      magnitude = Math.scalb((float) (fraction | 0x400), exponent - 25);
    }
    return bits < 0 ? -magnitude : magnitude;
  }

  @Override
  public String toString() {
    return "Tensor[" + dtype + " " + shape + "]";
  }
}
