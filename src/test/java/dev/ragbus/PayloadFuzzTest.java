// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import static org.assertj.core.api.Assertions.assertThat;

import com.code_intelligence.jazzer.junit.FuzzTest;
import io.vertx.core.buffer.Buffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Map;

/** Results of Python with their tensors: read and written again, or SERIALIZATION thrown. */
class PayloadFuzzTest {

  @FuzzTest(maxDuration = "60s")
  void payload(byte[] data) {
    try {
      Map<String, Object> fields = FunctionPayload.read(data);
      Object json = FunctionValues.json(FunctionValues.copy("result", fields));
      assertThat(FunctionPayload.read(FunctionPayload.write(fields))).hasSameSizeAs(fields);
      assertThat(json).isNotNull();
    } catch (RagbusException e) {
      assertThat(e.kind())
          .isIn(
              RagbusException.Kind.SERIALIZATION,
              RagbusException.Kind.TYPE_CONVERSION,
              RagbusException.Kind.TOO_LARGE);
    }
  }

  /** The same with the head that fits, so that what is in the text matters: text, 0, numbers. */
  @FuzzTest
  void text(byte[] data) {
    String all = new String(data, StandardCharsets.ISO_8859_1);
    int end = all.indexOf('\0') < 0 ? data.length : all.indexOf('\0');
    payload(
        Buffer.buffer()
            .appendIntLE(end)
            .appendBytes(data, 0, end)
            .appendBytes(Arrays.copyOfRange(data, Math.min(end + 1, data.length), data.length))
            .getBytes());
  }
}
