// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import static org.assertj.core.api.Assertions.assertThat;

import com.code_intelligence.jazzer.junit.FuzzTest;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.eventbus.MessageCodec;
import java.util.Comparator;
import java.util.List;
import java.util.Map;

/** Bytes that are said to come from another node: a record is read, or SERIALIZATION thrown. */
class WireFuzzTest {
  private static final List<MessageCodec<Object, Object>> CODECS =
      MessageCodecsTest.codecs().entrySet().stream()
          .sorted(Comparator.comparing((Map.Entry<Class<?>, ?> it) -> it.getKey().getName()))
          .map(Map.Entry::getValue)
          .toList();

  /** The first byte chooses the codec, and how many bytes of another message go before. */
  @FuzzTest(maxDuration = "60s")
  void record(byte[] data) {
    if (data.length == 0) {
      return;
    }
    MessageCodec<Object, Object> codec = CODECS.get((data[0] & 0xff) % CODECS.size());
    int before = (data[0] & 0xff) % 3;
    Buffer wire = Buffer.buffer(new byte[before]).appendBytes(data, 1, data.length - 1);
    Object value;
    Buffer again = Buffer.buffer();
    try {
      value = codec.decodeFromWire(before, wire);
      // A text with half a surrogate pair may be read, but is not written.
      codec.encodeToWire(again, value);
    } catch (RagbusException e) {
      assertThat(e.kind()).isEqualTo(RagbusException.Kind.SERIALIZATION);
      return;
    }
    assertThat(codec.decodeFromWire(0, again)).hasToString(value.toString());
  }
}
