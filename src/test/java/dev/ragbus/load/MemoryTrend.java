// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.load;

import dev.ragbus.Await;
import dev.ragbus.Ragbus;
import dev.ragbus.python.TestInterpreter;
import io.vertx.core.json.JsonObject;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.List;
import java.util.function.ToDoubleFunction;

/** Memory over time, and straight lines through it by least squares. */
final class MemoryTrend {
  /** What was there at a time; bytes, and the blocks that Python's allocator has given out. */
  record Sample(double seconds, long residentBytes, long heapBytes, long pythonBlocks) {}

  /** A line's slope in a minute, and its standard error. */
  record Slope(double perMinute, double error) {}

  private final long startedNanos = System.nanoTime();
  private final List<Sample> samples = new ArrayList<>();

  /** Measures, from a thread that may block. */
  void sample(Ragbus ragbus) {
    samples.add(
        new Sample(
            (System.nanoTime() - startedNanos) / 1e9,
            Await.result(ragbus.stats()).residentBytes(),
            ManagementFactory.getMemoryMXBean().getHeapMemoryUsage().getCommitted(),
            pythonBlocks()));
  }

  static long pythonBlocks() {
    return (Long) TestInterpreter.value("import sys", "sys.getallocatedblocks()");
  }

  /** From the first to the last. */
  double seconds() {
    return samples.get(samples.size() - 1).seconds - samples.get(0).seconds;
  }

  /** The samples from a time on. */
  private List<Sample> from(double seconds) {
    return samples.stream().filter(sample -> sample.seconds >= seconds).toList();
  }

  /** The line through the samples from a time on. */
  Slope slope(double fromSeconds, ToDoubleFunction<Sample> value) {
    List<Sample> taken = from(fromSeconds);
    int count = taken.size();
    if (count < 3) {
      return new Slope(0, 0);
    }
    double middle = taken.stream().mapToDouble(Sample::seconds).average().orElseThrow();
    double mean = taken.stream().mapToDouble(value).average().orElseThrow();
    double above = 0;
    double below = 0;
    for (Sample sample : taken) {
      above += (sample.seconds - middle) * (value.applyAsDouble(sample) - mean);
      below += (sample.seconds - middle) * (sample.seconds - middle);
    }
    double slope = above / below;
    double squares = 0;
    for (Sample sample : taken) {
      double line = mean + slope * (sample.seconds - middle);
      squares += Math.pow(value.applyAsDouble(sample) - line, 2);
    }
    return new Slope(slope * 60, Math.sqrt(squares / (count - 2) / below) * 60);
  }

  JsonObject json(double warmUpSeconds) {
    List<Sample> taken = from(warmUpSeconds);
    Sample first = taken.get(0);
    Sample last = taken.get(taken.size() - 1);
    return new JsonObject()
        .put("warm_up_seconds", warmUpSeconds)
        .put("resident_mb_first", first.residentBytes / 1e6)
        .put("resident_mb_last", last.residentBytes / 1e6)
        .put(
            "resident_mb_most",
            samples.stream().mapToLong(Sample::residentBytes).max().orElseThrow() / 1e6)
        .put("resident_mb_per_minute", line(slope(warmUpSeconds, Sample::residentBytes), 1e6))
        .put("heap_committed_mb_first", first.heapBytes / 1e6)
        .put("heap_committed_mb_last", last.heapBytes / 1e6)
        .put("python_blocks_first", first.pythonBlocks)
        .put("python_blocks_last", last.pythonBlocks)
        .put("python_blocks_per_minute", line(slope(warmUpSeconds, Sample::pythonBlocks), 1));
  }

  private static JsonObject line(Slope slope, double unit) {
    return new JsonObject().put("slope", slope.perMinute / unit).put("error", slope.error / unit);
  }
}
