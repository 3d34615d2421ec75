// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.core.JsonParseException;
import com.fasterxml.jackson.core.io.IOContext;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.dataformat.smile.SmileConstants;
import com.fasterxml.jackson.dataformat.smile.SmileFactory;
import com.fasterxml.jackson.dataformat.smile.SmileGenerator;
import com.fasterxml.jackson.dataformat.smile.SmileParser;
import com.fasterxml.jackson.dataformat.smile.databind.SmileMapper;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Optional;

/**
 * A version of what {@link MessageCodecs} writes.
 *
 * @param number its byte
 * @param mapper writes and reads its texts
 * @param packed whether vectors of bytes are bytes; else they are float32, as all others
 */
record WireVersion(byte number, ObjectMapper mapper, boolean packed) {
  /** Texts in Smile, without what is null: the one that this node writes. */
  static final WireVersion WRITTEN =
      new WireVersion(
          (byte) 2,
          JsonBodies.withRules(SmileMapper.builder(new WholeSmileFactory()))
              .disable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES)
              .enable(SmileGenerator.Feature.CHECK_SHARED_STRING_VALUES)
              .defaultPropertyInclusion(
                  JsonInclude.Value.construct(
                      JsonInclude.Include.NON_NULL, JsonInclude.Include.ALWAYS))
              .build(),
          true);

  /** Texts in JSON. */
  private static final WireVersion BEFORE = new WireVersion((byte) 1, JsonBodies.LENIENT, false);

  private static final List<WireVersion> READ = List.of(WRITTEN, BEFORE);

  static Optional<WireVersion> of(byte number) {
    return READ.stream().filter(version -> version.number == number).findFirst();
  }

  /** The numbers of all that are read. */
  static List<Byte> numbers() {
    return READ.stream().map(WireVersion::number).toList();
  }

  /**
   * Refuses the mark of an end of content. At such a mark inside an object the parser says that
   * there is nothing more, and goes on: who skips the object then looks for its end for ever. In
   * what is written here no such byte can occur.
   */
  private static final class WholeSmileFactory extends SmileFactory {
    private static final long serialVersionUID = 1L;

    @Override
    protected SmileParser _createParser(byte[] data, int offset, int length, IOContext context)
        throws IOException {
      // Of all that looks for a byte, strings are the fastest.
      String bytes = new String(data, offset, length, StandardCharsets.ISO_8859_1);
      if (bytes.indexOf(SmileConstants.BYTE_MARKER_END_OF_CONTENT & 0xff) >= 0) {
        throw new JsonParseException(null, "an end of content inside");
      }
      return super._createParser(data, offset, length, context);
    }
  }
}
