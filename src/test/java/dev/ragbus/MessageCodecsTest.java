// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import dev.ragbus.RagbusException.Kind;
import io.vertx.core.Vertx;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.eventbus.EventBus;
import io.vertx.core.eventbus.MessageCodec;
import io.vertx.core.json.JsonObject;
import java.lang.reflect.Proxy;
import java.time.Duration;
import java.time.Instant;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class MessageCodecsTest {
  private static final Map<Class<?>, MessageCodec<Object, Object>> CODECS = codecs();

  /** What is registered, taken from a bus that only listens. */
  @SuppressWarnings("unchecked")
  static Map<Class<?>, MessageCodec<Object, Object>> codecs() {
    Map<Class<?>, MessageCodec<Object, Object>> codecs = new HashMap<>();
    ClassLoader loader = MessageCodecsTest.class.getClassLoader();
    EventBus bus =
        (EventBus)
            Proxy.newProxyInstance(
                loader,
                new Class<?>[] {EventBus.class},
                (proxy, method, args) -> {
                  codecs.put((Class<?>) args[0], (MessageCodec<Object, Object>) args[1]);
                  return proxy;
                });
    MessageCodecs.register(
        (Vertx)
            Proxy.newProxyInstance(
                loader, new Class<?>[] {Vertx.class}, (proxy, method, args) -> bus));
    return codecs;
  }

  private static final ModelInfo INFO =
      new ModelInfo(
          "m",
          ModelType.EMBEDDING,
          "embedding:m",
          4,
          "mean",
          null,
          256,
          "e",
          "f32",
          "ready",
          1,
          2,
          3,
          null,
          null);

  private static final Tensor TENSOR = Tensor.of(new float[] {1, -2, 3e-9f, 4, 5, 6}, 2, 3);

  private static final FunctionInfo FUNCTION =
      new FunctionInfo(
          "f",
          "m",
          "d",
          new JsonObject().put("type", "object"),
          null,
          Duration.ofSeconds(30),
          true,
          "function",
          "ab",
          null,
          new FunctionInfo.Usage(
              3,
              1,
              0.5,
              1.5,
              new FunctionInfo.LastError(Kind.PYTHON, "ValueError: x", Instant.EPOCH)));

  static Stream<Record> records() {
    String odd = "ü\u0000\uFFFE😀\"\\";
    return Stream.of(
        new EmbedRequest(
            List.of("a", "", odd),
            "m",
            false,
            8,
            EmbeddingType.INT8,
            "p",
            null,
            InputType.QUERY,
            false,
            TruncationDirection.LEFT,
            null),
        EmbedRequest.of(),
        EmbedRequest.of("a").withPromptName("n"),
        new EmbedSparseRequest(
            List.of("a", odd),
            "m",
            8,
            null,
            "n",
            InputType.DOCUMENT,
            false,
            TruncationDirection.LEFT,
            null),
        new EmbedSparseRequest(
            null, null, null, null, null, null, null, null, List.of(List.of(1, 2))),
        new SparseEmbeddings(
            new int[] {2, 2, 3},
            new int[] {0, 30_521, 7},
            new float[] {3e-9f, -1, 2},
            "m",
            30_522,
            new Usage(7, List.of(1))),
        new SparseEmbeddings(new int[0], new int[0], new float[0], "m", 0, Usage.NONE),
        new PredictRequest(
            List.of(PredictRequest.Input.of(odd), new PredictRequest.Input("", "b")),
            "m",
            true,
            2,
            false,
            TruncationDirection.LEFT),
        PredictRequest.of(),
        new Predictions(
            List.of(List.of(new Predictions.Prediction(odd, -3e-8f)), List.of()),
            "m",
            new Usage(7, List.of())),
        new RerankRequest(
            odd, List.of("a"), "m", 2, false, true, 3, 4, false, TruncationDirection.LEFT, true),
        RerankRequest.of("", List.of()),
        new Ranking(
            List.of(new Ranking.Result(1, odd, 0.1f), new Ranking.Result(0, null, -3e-8f)),
            "m",
            Ranking.Method.SIMILARITY,
            "q",
            new Usage(7, List.of(1))),
        new StreamControl("id", "an address"),
        JsonBodiesTest.EVERY_MODEL_OPTION,
        ModelSpec.of("m", ModelType.EMBEDDING),
        new ModelLoad(
            ModelLoad.Status.LOADED, "m", ModelType.EMBEDDING, 4, "embedding:m", List.of("a")),
        new ModelQuery("m"),
        new ModelQuery(null),
        INFO,
        new ModelList(List.of(INFO), 1),
        new ModelsCleared("cleared", List.of("a"), List.of()),
        new TokenizeRequest(List.of("a"), null, false),
        new Tokens(
            List.of(
                List.of(
                    new Tokens.Token(1, "a", true, null, null),
                    new Tokens.Token(2, odd, false, 0, 1))),
            "m"),
        new DecodeRequest(List.of(List.of(1, 2), List.of()), "m", false),
        new DecodedTexts(List.of(odd), "m"),
        new Cleanup("cleaned", List.of(), 1, 2, 3),
        new Health("DOWN", false, List.of(new Health.Check("i", "UP", "d"))),
        new Stats(
            Map.of("embed", new Stats.Operation(3, 1, Map.of("TIMEOUT", 2L), 0.5, 1.5)),
            new Stats.Queue(1, 2, 3, 4, 5, 6, 7, 8, 9),
            List.of(new Stats.Lane("l", "inference", "idle", 1, 0, 2)),
            List.of(INFO),
            new Stats.ModelCache(1, 2, 3, 4, 5, 6, 7),
            new Stats.Functions(1, 2, 3, 4, 5, 6, Map.of("f", FUNCTION.usage())),
            1L << 40),
        FunctionSpec.ofCode("f", odd)
            .withSchemas(new JsonObject().put("type", "object"), new JsonObject())
            .withTimeout(Duration.ofMillis(1_500))
            .withHardCancel(true)
            .withReplace(true),
        FunctionSpec.ofModule("f", "math:sqrt"),
        new FunctionName("f"),
        new FunctionQuery("f", true),
        FUNCTION,
        new FunctionList(List.of(FUNCTION), 1),
        FunctionCall.of("f"),
        new FunctionCall("f", Map.of("x", TENSOR, "y", List.of(1, odd)), null),
        FunctionCall.of("f", null, 1, 1L << 40, 0.1, true, odd, List.of(TENSOR, TENSOR))
            .withKwargs(Map.of("k", Map.of("t", TENSOR))),
        new FunctionResult(null),
        new FunctionResult(TENSOR),
        new FunctionResult(List.of(1, Map.of("a", List.of()))),
        NoArguments.INSTANCE,
        new Embeddings(
            new float[] {1, -2.5f, Float.MIN_VALUE, 3e38f, 0, -0f},
            odd,
            3,
            2,
            EmbeddingType.FLOAT,
            new Usage(7, List.of(0, 1))),
        new Embeddings(new float[] {255, 128}, "m", 9, 1, EmbeddingType.UBINARY, Usage.NONE),
        new Embeddings(new float[0], "m", 0, 0, EmbeddingType.FLOAT, Usage.NONE));
  }

  private static Buffer wire(Object value, String before) {
    Buffer buffer = Buffer.buffer(before);
    CODECS.get(value.getClass()).encodeToWire(buffer, value);
    return buffer;
  }

  @ParameterizedTest
  @MethodSource("records")
  void goesOverTheWireAndBack(Record value) {
    Buffer buffer = wire(value, "before");
    assertThat(CODECS.get(value.getClass()).decodeFromWire(6, buffer)).isEqualTo(value);
  }

  @ParameterizedTest
  @MethodSource("records")
  void isHandedOverAsItIsWithinTheJvm(Record value) {
    assertThat(CODECS.get(value.getClass()).transform(value)).isSameAs(value);
  }

  @Test
  void everyRecordIsCovered() {
    assertThat(records().map(Object::getClass))
        .as("tested")
        .containsAll(
            CODECS.keySet().stream()
                .filter(type -> type != RagbusException.class)
                .<Class<? extends Record>>map(type -> type.asSubclass(Record.class))
                .toList());
    assertThat(CODECS.values().stream().map(MessageCodec::name)).doesNotHaveDuplicates();
    assertThat(CODECS.values()).allMatch(codec -> codec.systemCodecID() == -1);
  }

  @Test
  void vectorsAreBinary() {
    Embeddings large =
        new Embeddings(new float[10_000], "m", 100, 100, EmbeddingType.FLOAT, Usage.NONE);
    assertThat(wire(large, "").length()).isBetween(40_000, 40_300);
  }

  @Test
  void failuresKeepAllTheirFields() {
    for (Kind kind : Kind.values()) {
      RagbusException failure =
          RagbusException.of(kind, "what: happened", !kind.retryable(), 1_234, "ValueError");
      RagbusException read =
          (RagbusException) CODECS.get(RagbusException.class).decodeFromWire(0, wire(failure, ""));
      assertThat(read.kind()).isEqualTo(kind);
      assertThat(read.code()).isEqualTo(kind.code());
      assertThat(read.getMessage()).isEqualTo(failure.getMessage());
      assertThat(read.retryable()).isEqualTo(!kind.retryable());
      assertThat(read.retryAfterMillis()).isEqualTo(1_234);
      assertThat(read.pythonType()).isEqualTo("ValueError");
    }
  }

  private static Kind unreadable(Object like, Buffer buffer) {
    RagbusException failure =
        catchThrowableOfType(
            RagbusException.class, () -> CODECS.get(like.getClass()).decodeFromWire(0, buffer));
    assertThat(failure).as("%s of %s", buffer, like).isNotNull();
    return failure.kind();
  }

  static Stream<Object> everything() {
    return Stream.concat(records(), Stream.of(RagbusException.of(Kind.PYTHON, "x")));
  }

  @ParameterizedTest
  @MethodSource("everything")
  void anUnknownVersionCannotBeRead(Object value) {
    assertThat(unreadable(value, wire(value, "").setByte(0, (byte) 9)))
        .isEqualTo(Kind.SERIALIZATION);
  }

  @ParameterizedTest
  @MethodSource("everything")
  void whatIsCutOffCannotBeRead(Object value) {
    Buffer whole = wire(value, "");
    for (int length = 0; length < Math.min(whole.length(), 60); length++) {
      assertThat(unreadable(value, whole.getBuffer(0, length))).isEqualTo(Kind.SERIALIZATION);
    }
    assertThat(unreadable(value, whole.getBuffer(0, whole.length() - 1)))
        .isEqualTo(Kind.SERIALIZATION);
  }

  @Test
  void garbageCannotBeRead() {
    Buffer huge = Buffer.buffer().appendByte((byte) 1).appendInt(Integer.MAX_VALUE);
    Buffer negative = Buffer.buffer().appendByte((byte) 1).appendInt(-5);
    Buffer text = Buffer.buffer().appendByte((byte) 1).appendInt(3).appendString("abc");
    for (Buffer buffer : List.of(huge, negative, text)) {
      assertThat(unreadable(NoArguments.INSTANCE, buffer)).isEqualTo(Kind.SERIALIZATION);
    }
  }

  @Test
  void registeringTwiceIsHarmless() {
    Vertx vertx = Vertx.vertx();
    try {
      MessageCodecs.register(vertx);
      MessageCodecs.register(vertx);
      vertx.eventBus().consumer("echo", message -> message.reply(message.body()));
      ModelQuery query = new ModelQuery("m");
      assertThat(vertx.eventBus().request("echo", query).await().body()).isSameAs(query);
    } finally {
      vertx.close().await();
    }
  }
}
