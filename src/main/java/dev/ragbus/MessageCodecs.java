// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import io.vertx.core.Vertx;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.eventbus.EventBus;
import io.vertx.core.eventbus.MessageCodec;
import java.io.IOException;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * The event-bus codecs of the records and of {@link RagbusException}.
 *
 * <p>Within a JVM a message is handed over as it is. Between nodes a body is a version byte and
 * JSON, for vectors a header and little-endian float32 (before them int32, where they are sparse),
 * and for values with tensors what {@link FunctionPayload} writes.
 */
public final class MessageCodecs {
  private static final byte VERSION = 1;

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
    registerOnce(bus, type, new JsonRecordCodec<>(type));
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

    abstract void write(Buffer buffer, T value);

    abstract T read(int position, Buffer buffer) throws IOException;

    @Override
    public final void encodeToWire(Buffer buffer, T value) {
      buffer.appendByte(VERSION);
      write(buffer, value);
    }

    @Override
    public final T decodeFromWire(int position, Buffer buffer) {
      if (position >= buffer.length()) {
        throw unreadable("cannot be read");
      }
      byte version = buffer.getByte(position);
      if (version != VERSION) {
        throw unreadable("has wire version " + version + ", known is " + VERSION);
      }
      try {
        return Objects.requireNonNull(read(position + 1, buffer));
      } catch (IOException | RuntimeException e) {
        throw unreadable("cannot be read");
      }
    }

    private RagbusException unreadable(String why) {
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

  private static final class JsonRecordCodec<T extends Record> extends Codec<T> {
    private final Class<T> type;

    JsonRecordCodec(Class<T> type) {
      super(type);
      this.type = type;
    }

    @Override
    void write(Buffer buffer, T value) {
      appendBytes(buffer, JsonBodies.bytes(value));
    }

    @Override
    T read(int position, Buffer buffer) throws IOException {
      return JsonBodies.MAPPER.readValue(getBytes(buffer, position), type);
    }
  }

  private static final class EmbeddingsCodec extends Codec<Embeddings> {
    EmbeddingsCodec() {
      super(Embeddings.class);
    }

    @Override
    void write(Buffer buffer, Embeddings value) {
      Header header =
          new Header(value.model(), value.dimensions(), value.count(), value.type(), value.usage());
      appendBytes(buffer, JsonBodies.bytes(header));
      for (float number : value.values()) {
        buffer.appendFloatLE(number);
      }
    }

    @Override
    Embeddings read(int position, Buffer buffer) throws IOException {
      byte[] headerBytes = getBytes(buffer, position);
      Header header = JsonBodies.MAPPER.readValue(headerBytes, Header.class);
      int at = position + Integer.BYTES + headerBytes.length;
      float[] values = new float[(buffer.length() - at) / Float.BYTES];
      for (int i = 0; i < values.length; i++) {
        values[i] = buffer.getFloatLE(at + i * Float.BYTES);
      }
      return new Embeddings(
          values, header.model, header.dimensions, header.count, header.type, header.usage);
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
    void write(Buffer buffer, SparseEmbeddings value) {
      SparseHeader header =
          new SparseHeader(value.model(), value.dimensions(), value.count(), value.usage());
      appendBytes(buffer, JsonBodies.bytes(header));
      for (int end : value.ends()) {
        buffer.appendIntLE(end);
      }
      for (int index : value.indices()) {
        buffer.appendIntLE(index);
      }
      for (float number : value.values()) {
        buffer.appendFloatLE(number);
      }
    }

    @Override
    SparseEmbeddings read(int position, Buffer buffer) throws IOException {
      byte[] headerBytes = getBytes(buffer, position);
      SparseHeader header = JsonBodies.MAPPER.readValue(headerBytes, SparseHeader.class);
      int at = position + Integer.BYTES + headerBytes.length;
      int[] ends = intsAt(buffer, at, header.count);
      at += Integer.BYTES * header.count;
      int[] indices = intsAt(buffer, at, (buffer.length() - at) / (Integer.BYTES + Float.BYTES));
      at += Integer.BYTES * indices.length;
      float[] values = new float[indices.length];
      for (int i = 0; i < values.length; i++) {
        values[i] = buffer.getFloatLE(at + i * Float.BYTES);
      }
      return new SparseEmbeddings(
          ends, indices, values, header.model, header.dimensions, header.usage);
    }

    private static int[] intsAt(Buffer buffer, int position, int count) {
      // An array would be made before it is looked whether they are there.
      Objects.checkFromIndexSize(
          position, Math.multiplyExact(count, Integer.BYTES), buffer.length());
      int[] ints = new int[count];
      for (int i = 0; i < count; i++) {
        ints[i] = buffer.getIntLE(position + i * Integer.BYTES);
      }
      return ints;
    }

    private record SparseHeader(String model, int dimensions, int count, Usage usage) {}
  }

  /** Arguments with their tensors, as {@link FunctionPayload} writes them. */
  private static final class FunctionCallCodec extends Codec<FunctionCall> {
    FunctionCallCodec() {
      super(FunctionCall.class);
    }

    @Override
    void write(Buffer buffer, FunctionCall value) {
      Map<String, Object> fields = new LinkedHashMap<>();
      fields.put("name", value.name());
      fields.put("args", value.args());
      fields.put("kwargs", value.kwargs());
      appendBytes(buffer, FunctionPayload.write(fields));
    }

    @Override
    @SuppressWarnings("unchecked")
    FunctionCall read(int position, Buffer buffer) {
      Map<String, Object> fields = FunctionPayload.read(getBytes(buffer, position));
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
    void write(Buffer buffer, FunctionResult value) {
      appendBytes(
          buffer, FunctionPayload.write(Collections.singletonMap("result", value.result())));
    }

    @Override
    FunctionResult read(int position, Buffer buffer) {
      return new FunctionResult(FunctionPayload.read(getBytes(buffer, position)).get("result"));
    }
  }

  private static final class ExceptionCodec extends Codec<RagbusException> {
    ExceptionCodec() {
      super(RagbusException.class);
    }

    @Override
    void write(Buffer buffer, RagbusException value) {
      Failure failure =
          new Failure(
              value.kind(),
              value.detail(),
              value.retryable(),
              value.retryAfterMillis(),
              value.pythonType());
      appendBytes(buffer, JsonBodies.bytes(failure));
    }

    @Override
    RagbusException read(int position, Buffer buffer) throws IOException {
      Failure failure = JsonBodies.MAPPER.readValue(getBytes(buffer, position), Failure.class);
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

  private static void appendBytes(Buffer buffer, byte[] bytes) {
    buffer.appendInt(bytes.length).appendBytes(bytes);
  }

  private static byte[] getBytes(Buffer buffer, int position) {
    int length = buffer.getInt(position);
    // A buffer would make room for them before it looks whether they are there.
    Objects.checkFromIndexSize(position + Integer.BYTES, length, buffer.length());
    return buffer.getBytes(position + Integer.BYTES, position + Integer.BYTES + length);
  }
}
