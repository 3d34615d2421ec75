// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.benchmarks.layers;

import dev.ragbus.python.environment.PythonEnvironment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import jep.DirectNDArray;
import jep.MainInterpreter;
import jep.NDArray;
import jep.PyConfig;
import jep.SharedInterpreter;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;

/** The way from Java into Python and back by itself, in the environment that Ragbus makes. */
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
public class CrossingBenchmark {
  private static final int ROWS = 32;
  private static final int WIDTH = 384;

  private final byte[] texts =
      "How tall is it? ".repeat(12 * ROWS).getBytes(StandardCharsets.UTF_8);
  private final float[] values = new float[ROWS * WIDTH];
  private SharedInterpreter interpreter;
  private FloatBuffer shared;

  /** Opens an interpreter on JMH's thread, which is the one that runs the benchmark. */
  @Setup
  public void open() {
    PythonEnvironment environment =
        PythonEnvironment.prepare(
            new PythonEnvironment.Settings(
                "python3",
                Optional.empty(),
                PythonEnvironment.Settings.defaultCacheFolder(),
                List.of()),
            System.err::println);
    MainInterpreter.setJepLibraryPath(environment.jepLibrary().toString());
    MainInterpreter.setInitParams(
        PyConfig.isolated().setProgramName(environment.python().toString()));
    interpreter = new SharedInterpreter();
    interpreter.exec("import numpy as np");
    interpreter.exec("vectors = np.ones((%d, %d), np.float32)".formatted(ROWS, WIDTH));
    interpreter.exec("def nothing():\n    pass");
    interpreter.exec("def take(texts):\n    return len(texts)");
    interpreter.exec("def give(out):\n    out[:] = vectors");
    shared =
        ByteBuffer.allocateDirect(4 * values.length).order(ByteOrder.nativeOrder()).asFloatBuffer();
  }

  /** Closes it. */
  @TearDown
  public void close() {
    interpreter.close();
  }

  /** A call with nothing to carry. */
  @Benchmark
  public Object call() {
    return interpreter.invoke("nothing");
  }

  /** A call with the bytes of 32 paragraphs. */
  @Benchmark
  public Object callWithTexts() {
    return interpreter.invoke("take", new NDArray<>(texts));
  }

  /** A call that fills a direct buffer with 32 vectors, which are then read into an array. */
  @Benchmark
  public float[] callForVectors() {
    interpreter.invoke("give", new DirectNDArray<>(shared, ROWS, WIDTH));
    shared.get(0, values);
    return values;
  }
}
