// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.vertx.core.Vertx;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.eventbus.EventBus;
import io.vertx.core.eventbus.MessageCodec;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * The event-bus codecs of the records and of {@link RagbusException}.
 *
 * <p>Within a JVM a message is handed over as it is. Between nodes a body is a version byte, an
 * int32 with a length, and so many bytes: the record in Smile, Jackson's binary form of JSON, with
 * the names of its JSON form and without what is null; for a {@link FunctionCall} and a {@link
 * FunctionResult} what {@link FunctionPayload} writes. Behind those of {@link Embeddings} come the
 * vectors: little-endian float32, or a byte a number for the types that are bytes; of {@link
 * SparseEmbeddings} int32 places, then their float32.
 *
 * <p>Nodes one minor version apart understand each other:
 *
 * <ul>
 *   <li>Within a wire version a record gets further fields only, and none that must be there. A
 *       reader takes the default of a field that is missing, and passes over one that it does not
 *       know. That is so between nodes only: callers' JSON bodies are refused with such a field.
 *   <li>A name that is new to an enumeration is sent only to who asked with a field as new as it.
 *   <li>The version byte changes only where that cannot hold. A node reads the version before its
 *       own, and a new one is read a minor version before it is written. Version 1, with JSON in
 *       the place of Smile, is read only: nodes that write it do not read version 2.
 * </ul>
 *
 * <p>Whatever else the bytes are, the failure is a {@link RagbusException} {@code SERIALIZATION}.
 */
public final class MessageCodecs {
  private static final List<Class<? extends Record>> RECORDS =
      List.of(
          EmbedRequest.class,
          EmbedSparseRequest.class,
          PredictRequest.class,
          Predictions.class,
          RerankRequest.class,
          Ranking.class,
          ModelSpec.class,
          ModelLoad.class,
          ModelQuery.class,
          ModelInfo.class,
          ModelList.class,
          ModelsCleared.class,
          TokenizeRequest.class,
          Tokens.class,
          DecodeRequest.class,
          DecodedTexts.class,
          FunctionSpec.class,
          FunctionName.class,
          FunctionQuery.class,
          FunctionInfo.class,
          FunctionList.class,
          Cleanup.class,
          Health.class,
          Stats.class,
          StreamControl.class,
          NoArguments.class);

  private MessageCodecs() {}

  /** Registers every codec with the event bus; harmless where that was done before. */
  public static void register(Vertx vertx) {
    EventBus bus = vertx.eventBus();
    RECORDS.forEach(type -> register(bus, type));
    registerOnce(bus, Embeddings.class, new EmbeddingsCodec());
    registerOnce(bus, SparseEmbeddings.class, new SparseEmbeddingsCodec());
    registerOnce(bus, FunctionCall.class, new FunctionCallCodec());
    registerOnce(bus, FunctionResult.class, new FunctionResultCodec());
    registerOnce(bus, RagbusException.class, new ExceptionCodec());
  }

  private static <T extends Record> void register(EventBus bus, Class<T> type) {
    registerOnce(bus, type, new RecordCodec<>(type));
  }

  private static <T> void registerOnce(EventBus bus, Class<T> type, MessageCodec<T, T> codec) {
    try {
      bus.registerDefaultCodec(type, codec);
    } catch (IllegalStateException alreadyRegistered) {
      // Another deployment or client of this Vertx was first; its codec is the same.
    }
  }

  /** The frame that all codecs share: a version byte, then the body. */
  private abstract static class Codec<T> implements MessageCodec<T, T> {
    private final Class<T> type;

    Codec(Class<T> type) {
      this.type = type;
    }

    abstract void write(ObjectMapper mapper, Buffer buffer, T value) throws IOException;

    abstract T read(WireVersion version, Buffer buffer, int position) throws IOException;

    @Override
    public final void encodeToWire(Buffer buffer, T value) {
      buffer.appendByte(WireVersion.WRITTEN.number());
      try {
        write(WireVersion.WRITTEN.mapper(), buffer, value);
      } catch (IOException e) {
        throw unusable("cannot be written");
      }
    }

    @Override
    public final T decodeFromWire(int position, Buffer buffer) {
      if (position >= buffer.length()) {
        throw unusable("cannot be read");
      }
      byte number = buffer.getByte(position);
      WireVersion version =
          WireVersion.of(number)
              .orElseThrow(
                  () ->
                      unusable(
                          "has wire version " + number + ", known are " + WireVersion.numbers()));
      try {
        return Objects.requireNonNull(read(version, buffer, position + 1));
      } catch (IOException | RuntimeException e) {
        throw unusable("cannot be read");
      }
    }

    private RagbusException unusable(String why) {
      return RagbusException.of(
          RagbusException.Kind.SERIALIZATION, type.getSimpleName() + " " + why);
    }

    @Override
    public final T transform(T value) {
      return value;
    }

    @Override
    public final String name() {
      return type.getName();
    }

    @Override
    public final byte systemCodecID() {
      return -1;
    }
  }

  private static final class RecordCodec<T extends Record> extends Codec<T> {
    private final Class<T> type;

    RecordCodec(Class<T> type) {
      super(type);
      this.type = type;
    }

    @Override
    void write(ObjectMapper mapper, Buffer buffer, T value) throws IOException {
      appendText(mapper, buffer, value);
    }

    @Override
    T read(WireVersion version, Buffer buffer, int position) throws IOException {
      return version.mapper().readValue(getBytes(buffer, position), type);
    }
  }

  private static final class EmbeddingsCodec extends Codec<Embeddings> {
    EmbeddingsCodec() {
      super(Embeddings.class);
    }

    @Override
    void write(ObjectMapper mapper, Buffer buffer, Embeddings value) throws IOException {
      appendText(
          mapper,
          buffer,
          new Header(
              value.model(), value.dimensions(), value.count(), value.type(), value.usage()));
      buffer.appendBytes(
          value.type() == EmbeddingType.FLOAT ? floats(value.values()) : bytes(value.values()));
    }

    @Override
    Embeddings read(WireVersion version, Buffer buffer, int position) throws IOException {
      byte[] text = getBytes(buffer, position);
      Header header = version.mapper().readValue(text, Header.class);
      byte[] vectors = buffer.getBytes(position + Integer.BYTES + text.length, buffer.length());
      float[] values =
          version.packed() && header.type != EmbeddingType.FLOAT
              ? ofBytes(vectors, header.type)
              : ofFloats(vectors);
      return new Embeddings(
          values, header.model, header.dimensions, header.count, header.type, header.usage);
    }

    private static byte[] bytes(float[] values) {
      byte[] bytes = new byte[values.length];
      for (int i = 0; i < values.length; i++) {
        bytes[i] = (byte) (int) values[i];
      }
      return bytes;
    }

    private static float[] ofBytes(byte[] bytes, EmbeddingType type) {
      float[] values = new float[bytes.length];
      for (int i = 0; i < values.length; i++) {
        values[i] = type.number(bytes[i]);
      }
      return values;
    }

    private record Header(
        String model, int dimensions, int count, EmbeddingType type, Usage usage) {}
  }

  /** Behind the header where each vector ends, then all indices, then all values. */
  private static final class SparseEmbeddingsCodec extends Codec<SparseEmbeddings> {
    SparseEmbeddingsCodec() {
      super(SparseEmbeddings.class);
    }

    @Override
    void write(ObjectMapper mapper, Buffer buffer, SparseEmbeddings value) throws IOException {
      appendText(
          mapper,
          buffer,
          new SparseHeader(value.model(), value.dimensions(), value.count(), value.usage()));
      buffer.appendBytes(ints(value.ends())).appendBytes(ints(value.indices()));
      buffer.appendBytes(floats(value.values()));
    }

    @Override
    SparseEmbeddings read(WireVersion version, Buffer buffer, int position) throws IOException {
      byte[] text = getBytes(buffer, position);
      SparseHeader header = version.mapper().readValue(text, SparseHeader.class);
      int ends = position + Integer.BYTES + text.length;
      int indices = ends + Math.multiplyExact(header.count, Integer.BYTES);
      int values = indices + (buffer.length() - indices) / 2;
      return new SparseEmbeddings(
          ofInts(buffer.getBytes(ends, indices)),
          ofInts(buffer.getBytes(indices, values)),
          ofFloats(buffer.getBytes(values, buffer.length())),
          header.model,
          header.dimensions,
          header.usage);
    }

    private static byte[] ints(int[] values) {
      ByteBuffer bytes = ByteBuffer.allocate(Math.multiplyExact(values.length, Integer.BYTES));
      bytes.order(ByteOrder.LITTLE_ENDIAN).asIntBuffer().put(values);
      return bytes.array();
    }

    private static int[] ofInts(byte[] bytes) {
      int[] values = new int[bytes.length / Integer.BYTES];
      ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).asIntBuffer().get(values);
      return values;
    }

    private record SparseHeader(String model, int dimensions, int count, Usage usage) {}
  }

  /** Arguments with their tensors, as {@link FunctionPayload} writes them. */
  private static final class FunctionCallCodec extends Codec<FunctionCall> {
    FunctionCallCodec() {
      super(FunctionCall.class);
    }

    @Override
    void write(ObjectMapper mapper, Buffer buffer, FunctionCall value) {
      Map<String, Object> fields = new LinkedHashMap<>();
      fields.put("name", value.name());
      fields.put("args", value.args());
      fields.put("kwargs", value.kwargs());
      appendPayload(mapper, buffer, fields);
    }

    @Override
    @SuppressWarnings("unchecked")
    FunctionCall read(WireVersion version, Buffer buffer, int position) {
      Map<String, Object> fields =
          FunctionPayload.read(version.mapper(), getBytes(buffer, position));
      return new FunctionCall(
          (String) fields.get("name"),
          fields.get("args"),
          (Map<String, Object>) fields.get("kwargs"));
    }
  }

  /** A result with its tensors. */
  private static final class FunctionResultCodec extends Codec<FunctionResult> {
    FunctionResultCodec() {
      super(FunctionResult.class);
    }

    @Override
    void write(ObjectMapper mapper, Buffer buffer, FunctionResult value) {
      appendPayload(mapper, buffer, Collections.singletonMap("result", value.result()));
    }

    @Override
    FunctionResult read(WireVersion version, Buffer buffer, int position) {
      byte[] payload = getBytes(buffer, position);
      Object result = FunctionPayload.read(version.mapper(), payload).get("result");
      return new FunctionResult(FunctionValues.copy("result", result));
    }
  }

  private static final class ExceptionCodec extends Codec<RagbusException> {
    ExceptionCodec() {
      super(RagbusException.class);
    }

    @Override
    void write(ObjectMapper mapper, Buffer buffer, RagbusException value) throws IOException {
      appendText(
          mapper,
          buffer,
          new Failure(
              value.kind(),
              value.detail(),
              value.retryable(),
              value.retryAfterMillis(),
              value.pythonType()));
    }

    @Override
    RagbusException read(WireVersion version, Buffer buffer, int position) throws IOException {
      Failure failure = version.mapper().readValue(getBytes(buffer, position), Failure.class);
      return RagbusException.of(
          failure.kind,
          failure.detail,
          failure.retryable,
          failure.retryAfterMillis,
          failure.pythonType);
    }

    private record Failure(
        RagbusException.Kind kind,
        String detail,
        boolean retryable,
        long retryAfterMillis,
        String pythonType) {}
  }

  private static void appendText(ObjectMapper mapper, Buffer buffer, Record value)
      throws IOException {
    int at = beginBytes(buffer);
    mapper.writeValue(new BufferStream(buffer), value);
    endBytes(buffer, at);
  }

  private static void appendPayload(
      ObjectMapper mapper, Buffer buffer, Map<String, Object> fields) {
    int at = beginBytes(buffer);
    FunctionPayload.write(mapper, buffer, fields);
    endBytes(buffer, at);
  }

  private static int beginBytes(Buffer buffer) {
    int at = buffer.length();
    buffer.appendInt(0);
    return at;
  }

  private static void endBytes(Buffer buffer, int at) {
    buffer.setInt(at, buffer.length() - at - Integer.BYTES);
  }

  private static byte[] floats(float[] values) {
    ByteBuffer bytes = ByteBuffer.allocate(Math.multiplyExact(values.length, Float.BYTES));
    bytes.order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer().put(values);
    return bytes.array();
  }

  private static float[] ofFloats(byte[] bytes) {
    float[] values = new float[bytes.length / Float.BYTES];
    ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer().get(values);
    return values;
  }

  private static byte[] getBytes(Buffer buffer, int position) {
    int length = buffer.getInt(position);
    // A buffer would make room for them before it looks whether they are there.
    Objects.checkFromIndexSize(position + Integer.BYTES, length, buffer.length());
    return buffer.getBytes(position + Integer.BYTES, position + Integer.BYTES + length);
  }

  /** Appends to a buffer. */
  private static final class BufferStream extends OutputStream {
    private final Buffer buffer;

    BufferStream(Buffer buffer) {
      this.buffer = buffer;
    }

    @Override
    public void write(int value) {
      buffer.appendByte((byte) value);
    }

    @Override
    public void write(byte[] bytes, int offset, int length) {
      buffer.appendBytes(bytes, offset, length);
    }
  }
}
