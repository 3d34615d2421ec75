// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.python;

import dev.ragbus.FunctionPayload;
import dev.ragbus.RagbusException;
import dev.ragbus.RagbusException.Kind;
import dev.ragbus.python.Engine.ForwardCall;
import dev.ragbus.python.Engine.TokenRow;
import dev.ragbus.python.Engine.TokenizeCall;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.CharBuffer;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.nio.charset.CharsetEncoder;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import jep.DirectNDArray;
import jep.NDArray;
import jep.SharedInterpreter;

/**
 * One interpreter and the direct buffers it shares with Java. Opened, used and closed on one
 * thread, as jep demands.
 *
 * <p>Text crosses as UTF-8 bytes, never as a {@code String}: jep turns a lone surrogate into the
 * next caller's exception and reads a leading U+FFFE as a byte-order mark. Python answers failures
 * as values; nothing raises through jep.
 */
final class Bridge implements AutoCloseable {
  private static final System.Logger LOG = System.getLogger(Bridge.class.getName());
  private static final int ROW_HEADER = 5;
  private static final byte[] REPLACEMENT = "\uFFFD".getBytes(StandardCharsets.UTF_8);

  private final SharedInterpreter interpreter;
  private final CharsetEncoder utf8 =
      StandardCharsets.UTF_8
          .newEncoder()
          .onMalformedInput(CodingErrorAction.REPLACE)
          .onUnmappableCharacter(CodingErrorAction.REPLACE)
          .replaceWith(REPLACEMENT);
  private IntBuffer ints = direct(1 << 16).asIntBuffer();
  private FloatBuffer floats = direct(1 << 18).asFloatBuffer();
  private ByteBuffer bytes = direct(1 << 18);

  /**
   * Opens an interpreter for this thread.
   *
   * @param niceness by how much the thread is to give way to the others of the process
   */
  Bridge(PythonRuntime runtime, int niceness) {
    interpreter = new SharedInterpreter();
    try {
      open(runtime.settings(), niceness);
    } catch (RuntimeException | Error e) {
      interpreter.close();
      throw e;
    }
  }

  private void open(PythonRuntime.Settings settings, int niceness) {
    interpreter.set("path", String.join("\n", settings.modulePath()));
    interpreter.exec(
        "import sys; sys.path[:0] = [p for p in path.split('\\n') if p and p not in sys.path]");
    synchronized (Bridge.class) {
      interpreter.exec("import ragbus.bridge as _bridge");
      interpreter.exec("from ragbus.bridge import bind, call, forward, tokenize");
      interpreter.exec(
          "from ragbus.bridge import close_stream, next_items, open_stream, run_function");
      startOnce(settings);
    }
    bind(ints, floats, bytes);
    call(
        "enter",
        new JsonObject().put("thread", Thread.currentThread().getName()).put("niceness", niceness));
  }

  /** The first interpreter sets the process up and gives Python its log. */
  private void startOnce(PythonRuntime.Settings settings) {
    interpreter.exec("first = not hasattr(_bridge, 'log_pipe')");
    if (Boolean.TRUE.equals(interpreter.getValue("first", Boolean.class))) {
      interpreter.exec("import os; _bridge.log_pipe = os.pipe()");
      int pipe = interpreter.getValue("_bridge.log_pipe[1]", Integer.class);
      PythonRuntime.logLines(interpreter.getValue("_bridge.log_pipe[0]", Integer.class));
      JsonObject versions =
          call(
              "start",
              new JsonObject()
                  .put("log_fd", pipe)
                  .put("switch_interval_seconds", settings.switchIntervalSeconds())
                  .put("module_path", new JsonArray())
                  .put("offline", settings.offline())
                  .put("cache_folder", settings.cacheFolder().toString())
                  .put("enable_gpu", settings.enableGpu())
                  .put("enable_gc", settings.enableGc()));
      LOG.log(System.Logger.Level.DEBUG, "Python started: {0}", versions);
    }
  }

  /** Runs a control operation. */
  JsonObject call(String operation, JsonObject body) {
    byte[] json = body.toBuffer().getBytes();
    List<?> answer = (List<?>) interpreter.invoke("call", operation, new NDArray<>(json));
    byte[] result = (byte[]) answer.get(1);
    if (!Boolean.TRUE.equals(answer.get(0))) {
      throw failure(result);
    }
    return new JsonObject(Buffer.buffer(result));
  }

  /** Calls a function. */
  Object runFunction(FunctionLanes.Run run) {
    return FunctionPayload.read(invoke("run_function", run, true)).get("result");
  }

  /** Starts a generator. */
  Void openStream(FunctionLanes.Run run) {
    invoke("open_stream", run, false);
    return null;
  }

  private byte[] invoke(String function, FunctionLanes.Run run, boolean arrays) {
    byte[] payload = FunctionPayload.write(run.payload());
    double secondsLeft = (run.deadlineNanos() - System.nanoTime()) / 1e9;
    return answer(
        run,
        interpreter.invoke(
            function, run.function(), run.call(), secondsLeft, new NDArray<>(payload), arrays));
  }

  /** The next items of a generator. */
  FunctionLanes.Items nextItems(FunctionLanes.Run run, int maxItems, long maxMillis) {
    Map<String, Object> fields =
        FunctionPayload.read(
            answer(run, interpreter.invoke("next_items", run.call(), maxItems, maxMillis)));
    @SuppressWarnings("unchecked")
    List<Object> items = (List<Object>) fields.get("items");
    return new FunctionLanes.Items(items, (Boolean) fields.get("done"));
  }

  /** Ends a generator. */
  Void closeStream(FunctionLanes.Run run) {
    answer(run, interpreter.invoke("close_stream", run.call()));
    return null;
  }

  private static byte[] answer(FunctionLanes.Run run, Object answer) {
    List<?> parts = (List<?>) answer;
    byte[] result = (byte[]) parts.get(1);
    if (!Boolean.TRUE.equals(parts.get(0))) {
      throw failure(result, "request " + run.requestId());
    }
    return result;
  }

  /** Tokenises texts. */
  TokenizedTexts tokenize(TokenizeCall call) {
    List<String> texts = call.texts();
    ensureInts(2 * texts.size());
    int position = 0;
    int count = 0;
    for (int i = 0; i < texts.size(); i++) {
      int length = encode(texts.get(i), position);
      ints.put(count++, length);
      position += length;
      String second = call.seconds() == null ? null : call.seconds().get(i);
      if (second != null) {
        length = encode(second, position);
        ints.put(count++, -1 - length); // which says whose second it is
        position += length;
      }
    }
    Object answer =
        interpreter.invoke(
            "tokenize",
            call.handle(),
            count,
            call.pair(),
            call.maxTokens(),
            call.maxChunks(),
            call.truncateLeft());
    if (answer instanceof byte[] json) {
      throw failure(json);
    }
    return new TokenizedTexts((int[]) ((NDArray<?>) answer).getData());
  }

  /** Appends a text's UTF-8 to the byte buffer and returns how many bytes it took. */
  private int encode(String text, int position) {
    int most = text.length() * 3;
    if (bytes.capacity() - position < most) {
      ByteBuffer grown = direct(Integer.highestOneBit(position + most) * 2);
      bytes.position(0).limit(position);
      grown.put(bytes);
      bind(ints, floats, grown);
      bytes = grown;
    }
    bytes.limit(bytes.capacity()).position(position);
    utf8.reset().encode(CharBuffer.wrap(text), bytes, true);
    utf8.flush(bytes);
    return bytes.position() - position;
  }

  /**
   * Runs a batch.
   *
   * @param run a number that the process has given no other run, by which it can be cancelled
   * @return what came of each row
   */
  List<RowValues> forward(ForwardCall call, long run) {
    List<TokenRow> rows = call.rows();
    Engine.Model model = call.model();
    Layout layout = call.layout();
    int head = rows.size() * ROW_HEADER;
    ensureInts(
        Math.max(head + layout.tokens(), model.sparse() ? rows.size() * (1 + model.outputs()) : 0));
    ensureFloats(rows.size() * model.outputs());
    ints.clear();
    for (int i = 0; i < rows.size(); i++) {
      TokenRow row = rows.get(i);
      ints.put(row.length()).put(row.boundary()).put(row.dimensions()).put(row.finish() ? 1 : 0);
      ints.put(layout.starts()[i]);
    }
    for (int i = 0; i < layout.tokens(); i++) {
      ints.put(model.padId());
    }
    for (int i = 0; i < rows.size(); i++) {
      TokenRow row = rows.get(i);
      ints.put(head + layout.starts()[i], row.ids(), row.offset(), row.length());
    }
    Object answer =
        interpreter.invoke(
            "forward",
            model.handle(),
            rows.size(),
            layout.lines(),
            layout.width(),
            run,
            call.alone());
    if (answer instanceof byte[] json) {
      throw failure(json);
    }
    if (model.sparse()) {
      return sparseRows(rows.size());
    }
    float[] values = new float[rows.size() * model.outputs()];
    floats.get(0, values);
    return RowValues.dense(values, model.outputs());
  }

  /** Where each row ends, then the place of each value; the values lie in their own buffer. */
  private List<RowValues> sparseRows(int rows) {
    int[] ends = new int[rows];
    ints.get(0, ends);
    int[] indices = new int[ends[rows - 1]];
    ints.get(rows, indices);
    float[] values = new float[indices.length];
    floats.get(0, values);
    return RowValues.sparse(values, indices, ends);
  }

  private void ensureInts(int count) {
    if (ints.capacity() < count) {
      IntBuffer grown = direct(Integer.highestOneBit(count) * 2 * Integer.BYTES).asIntBuffer();
      bind(grown, floats, bytes);
      ints = grown;
    }
  }

  private void ensureFloats(int count) {
    if (floats.capacity() < count) {
      FloatBuffer grown = direct(Integer.highestOneBit(count) * 2 * Float.BYTES).asFloatBuffer();
      bind(ints, grown, bytes);
      floats = grown;
    }
  }

  /**
   * Gives Python buffers. It has none that Java does not keep: where this fails, it keeps those of
   * before, which must then stay.
   */
  private void bind(IntBuffer ints, FloatBuffer floats, ByteBuffer bytes) {
    Object answer =
        interpreter.invoke(
            "bind",
            new DirectNDArray<>(ints.duplicate().clear()),
            new DirectNDArray<>(floats.duplicate().clear()),
            new DirectNDArray<>(bytes.duplicate().order(ByteOrder.nativeOrder()).clear()));
    if (answer instanceof byte[] json) {
      throw failure(json);
    }
  }

  private static ByteBuffer direct(int bytes) {
    return ByteBuffer.allocateDirect(bytes).order(ByteOrder.nativeOrder());
  }

  private static RagbusException failure(byte[] json) {
    return failure(json, Thread.currentThread().getName());
  }

  /** Python's failure as ours; its traceback goes to the log, once. */
  private static RagbusException failure(byte[] json, String where) {
    JsonObject failure = new JsonObject(Buffer.buffer(json));
    Kind kind = Kind.valueOf(failure.getString("kind"));
    String type = failure.getString("type");
    String message = failure.getString("message");
    if (kind == Kind.PYTHON || kind == Kind.RUNTIME) {
      LOG.log(System.Logger.Level.WARNING, where + ": " + failure.getString("traceback"));
    }
    if (kind != Kind.PYTHON) {
      return RagbusException.of(kind, message);
    }
    return RagbusException.of(kind, type + ": " + message, false, 0, type);
  }

  @Override
  public void close() {
    try {
      call("leave", new JsonObject());
    } finally {
      interpreter.close();
    }
  }
}
