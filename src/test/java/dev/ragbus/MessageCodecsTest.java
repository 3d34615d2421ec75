// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import dev.ragbus.RagbusException.Kind;
import io.vertx.core.Vertx;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.eventbus.EventBus;
import io.vertx.core.eventbus.MessageCodec;
import io.vertx.core.json.JsonObject;
import java.lang.management.ManagementFactory;
import java.lang.reflect.Proxy;
import java.time.Duration;
import java.time.Instant;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
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

  static final String ODD = "ü\u0000\uFFFE😀\"\\";

  private static final ModelInfo INFO =
      new ModelInfo(
          "m",
          ModelType.EMBEDDING,
          "embedding:m",
          4,
          null,
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

  private static final ModelInfo CLASSIFIER =
      new ModelInfo(
          "c",
          ModelType.CLASSIFIER,
          "classifier:c",
          null,
          "cls",
          List.of("no", ODD),
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
    return Stream.of(
        new EmbedRequest(
            List.of("a", "", ODD),
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
            List.of("a", ODD),
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
            List.of(PredictRequest.Input.of(ODD), new PredictRequest.Input("", "b")),
            "m",
            true,
            2,
            false,
            TruncationDirection.LEFT),
        PredictRequest.of(),
        new Predictions(
            List.of(List.of(new Predictions.Prediction(ODD, -3e-8f)), List.of()),
            "m",
            new Usage(7, List.of())),
        new RerankRequest(
            ODD, List.of("a"), "m", 2, false, true, 3, 4, false, TruncationDirection.LEFT, true),
        RerankRequest.of("", List.of()),
        new Ranking(
            List.of(new Ranking.Result(1, ODD, 0.1f), new Ranking.Result(0, null, -3e-8f)),
            "m",
            Ranking.Method.SIMILARITY,
            "q",
            new Usage(7, List.of(1))),
        new StreamControl("id", "an address"),
        JsonBodiesTest.EVERY_MODEL_OPTION.withWorkers(null),
        ModelSpec.of("m", ModelType.EMBEDDING),
        JsonBodiesTest.EVERY_MODEL_OPTION,
        new ModelLoad(
            ModelLoad.Status.LOADED, "m", ModelType.EMBEDDING, 4, "embedding:m", List.of("a")),
        new ModelQuery("m"),
        new ModelQuery(null),
        INFO,
        new ModelList(List.of(INFO), 1),
        CLASSIFIER,
        new ModelsCleared("cleared", List.of("a"), List.of()),
        new TokenizeRequest(List.of("a"), null, false),
        new Tokens(
            List.of(
                List.of(
                    new Tokens.Token(1, "a", true, null, null),
                    new Tokens.Token(2, ODD, false, 0, 1))),
            "m"),
        new DecodeRequest(List.of(List.of(1, 2), List.of()), "m", false),
        new DecodedTexts(List.of(ODD), "m"),
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
        FunctionSpec.ofCode("f", ODD)
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
        new FunctionCall("f", Map.of("x", List.of(1, ODD, TENSOR)), null),
        FunctionCall.of("f", null, 1, 1L << 40, 0.1, true, ODD, List.of(TENSOR, TENSOR))
            .withKwargs(Map.of("k", Map.of("t", TENSOR))),
        new FunctionResult(null),
        new FunctionResult(TENSOR),
        new FunctionResult(List.of(1, Map.of("a", List.of()))),
        NoArguments.INSTANCE,
        new Embeddings(
            new float[] {1, -2.5f, Float.MIN_VALUE, 3e38f, 0, -0f},
            ODD,
            3,
            2,
            EmbeddingType.FLOAT,
            new Usage(7, List.of(0, 1))),
        new Embeddings(new float[] {255, 128}, "m", 9, 1, EmbeddingType.UBINARY, Usage.NONE),
        new Embeddings(new float[0], "m", 0, 0, EmbeddingType.FLOAT, Usage.NONE),
        new Embeddings(new float[] {-128, 127}, "m", 9, 1, EmbeddingType.BINARY, Usage.NONE),
        new Embeddings(new float[] {-128, -1, 0, 127}, "m", 2, 2, EmbeddingType.INT8, Usage.NONE),
        new Embeddings(new float[] {0, 127, 128, 255}, "m", 4, 1, EmbeddingType.UINT8, Usage.NONE),
        // What is null in a map is there.
        new FunctionResult(Arrays.asList(null, Collections.singletonMap("a", null), "b")),
        FunctionSpec.ofModule("f", "math:sqrt")
            .withSchemas(new JsonObject().putNull("default"), null));
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
    assertThat(wire(large, "").length()).isBetween(40_000, 40_100);
    for (EmbeddingType bytes : List.of(EmbeddingType.INT8, EmbeddingType.UINT8)) {
      assertThat(wire(large.as(bytes), "").length()).isBetween(10_000, 10_100);
    }
    assertThat(wire(large.as(EmbeddingType.BINARY), "").length()).isBetween(1_300, 1_400);
  }

  @Test
  void whatRepeatsIsShort() {
    List<Ranking.Result> results =
        IntStream.range(0, 100).mapToObj(i -> new Ranking.Result(i, null, i / 100f)).toList();
    Ranking ranking = new Ranking(results, "m", Ranking.Method.SIMILARITY, "q", Usage.NONE);
    assertThat(wire(ranking, "").length()).isLessThan(100 * 13 + 100);
    List<Tokens.Token> row =
        IntStream.range(0, 100)
            .mapToObj(i -> new Tokens.Token(30_000 + i, "word" + i % 50, false, 5 * i, 5 * i + 4))
            .toList();
    Tokens tokens = new Tokens(Collections.nCopies(10, row), "m");
    assertThat(wire(tokens, "").length()).isLessThan(1_000 * 20);
    assertThat(JsonBodies.bytes(tokens).length).isGreaterThan(1_000 * 60);
  }

  @Test
  void whatUtf8CannotCarryCannotBeWritten() {
    assertThatExceptionOfType(RagbusException.class)
        .isThrownBy(() -> wire(EmbedRequest.of("a\ud800"), ""))
        .withMessage("SERIALIZATION: EmbedRequest cannot be written");
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
    return Stream.concat(
        records(), Stream.of(RagbusException.of(Kind.PYTHON, "x", true, 1_234, "ValueError")));
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
    for (byte version : List.of((byte) 1, (byte) 2)) {
      Buffer huge = Buffer.buffer().appendByte(version).appendInt(Integer.MAX_VALUE);
      Buffer negative = Buffer.buffer().appendByte(version).appendInt(-5);
      for (Buffer buffer : List.of(huge, negative, body(version, "abc".getBytes(UTF_8)))) {
        assertThat(unreadable(NoArguments.INSTANCE, buffer)).isEqualTo(Kind.SERIALIZATION);
      }
    }
  }

  private static Buffer body(byte version, byte[] text) {
    return Buffer.buffer().appendByte(version).appendInt(text.length).appendBytes(text);
  }

  /** Values in Smile that say they are long, where there is nothing, or are deep. */
  @ParameterizedTest
  @CsvSource({
    "binary, fd 0f7f7f7fbf, 1",
    "binary in 7 bits, e8 0f7f7f7fbf, 1",
    "big integer, 26 0f7f7f7fbf, 1",
    "big decimal, 2a 80 0f7f7f7fbf, 1",
    "lists in lists, f8, 100000",
    "objects in objects, fa 80 61, 100000",
  })
  void littleIsMadeOfHostileBytes(String what, String value, int times) {
    var threads = (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();
    String header = "3a290a07";
    String field = "fa 85 726573756c74"; // an object with "result"
    for (Object sample : everything().toList()) {
      for (String start : List.of(header, header + field)) {
        byte[] text = HexFormat.of().parseHex((start + value.repeat(times)).replace(" ", ""));
        boolean payload = sample instanceof FunctionCall || sample instanceof FunctionResult;
        Buffer body =
            body(
                (byte) 2,
                payload
                    ? Buffer.buffer().appendIntLE(text.length).appendBytes(text).getBytes()
                    : text);
        unreadable(sample, body); // what is made once is made
        long before = threads.getCurrentThreadAllocatedBytes();
        assertThat(unreadable(sample, body)).isEqualTo(Kind.SERIALIZATION);
        assertThat(threads.getCurrentThreadAllocatedBytes() - before)
            .as("%s for %s", what, sample.getClass())
            .isLessThan(4 << 20);
      }
    }
  }

  /** Found by mutation: at the mark of an end, the parser went on and Jackson never ended. */
  @Test
  @Timeout(value = 30, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
  void anEndInsideCannotBeRead() {
    String text = "3a290a03 fa 84636f756e74 c0 80 78 fa 80 61 ff 80 62 f8f9 fb fb";
    Buffer body = body((byte) 2, HexFormat.of().parseHex(text.replace(" ", "")));
    for (Object sample : everything().toList()) {
      assertThat(unreadable(sample, body)).isEqualTo(Kind.SERIALIZATION);
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
