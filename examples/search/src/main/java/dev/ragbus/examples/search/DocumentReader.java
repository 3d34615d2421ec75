package dev.ragbus.examples.search;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.Charset;
import java.nio.charset.CoderResult;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.Locale;
import org.jsoup.Jsoup;
import org.jsoup.nodes.Document;

/**
 * Reads files and takes the text out of them; blocks. A file that has none is refused with a reason
 * for people: too large, not readable, binary, in another encoding than it says.
 *
 * @param maxBytes the largest file that is read
 */
record DocumentReader(long maxBytes) {
  private static final int LOOKED_AT_BYTES = 8_192;

  /**
   * A file's bytes.
   *
   * @param hash their SHA-256, in hexadecimal
   */
  record Content(Format format, byte[] bytes, String hash) {}

  /** Reads a file whole. */
  Content load(Path file) throws RefusedException {
    Format format = Format.of(file.getFileName().toString()).orElseThrow();
    try (InputStream in = Files.newInputStream(file)) {
      long size = Files.size(file);
      if (size > maxBytes) {
        throw tooLarge(size);
      }
      byte[] bytes = in.readNBytes((int) Math.min(Integer.MAX_VALUE - 8L, maxBytes + 1));
      if (bytes.length > maxBytes) {
        throw tooLarge(bytes.length);
      }
      return new Content(format, bytes, hash(bytes));
    } catch (IOException e) {
      throw new RefusedException(FolderScan.reason(e));
    }
  }

  private RefusedException tooLarge(long size) {
    return new RefusedException(
        String.format(
            Locale.ROOT,
            "is too large: %,d bytes, and at most %,d are read (--max-file-bytes)",
            size,
            maxBytes));
  }

  private static String hash(byte[] bytes) {
    try {
      return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError("every Java has SHA-256", e);
    }
  }

  /** Takes the text out of a file's bytes. */
  static DocumentText parse(Content content) throws RefusedException {
    try {
      DocumentText text =
          switch (content.format) {
            case MARKDOWN -> MarkdownParser.parse(decode(content.bytes));
            case TEXT -> plain(decode(content.bytes));
            case HTML -> HtmlParser.parse(html(content.bytes));
          };
      if (text.sections().isEmpty()) {
        throw new RefusedException("has no text");
      }
      return text;
    } catch (StackOverflowError e) {
      throw new RefusedException("is nested too deeply");
    } catch (RuntimeException e) {
      // A parser's own trouble with one document is none of the others'.
      throw new RefusedException("could not be parsed: " + e);
    }
  }

  private static DocumentText plain(String text) {
    Sections sections = new Sections();
    for (String paragraph : text.split("\\R\\s*\\R")) {
      sections.block(paragraph);
    }
    return sections.document();
  }

  /** The page in the encoding that its byte order mark or its own head says, else UTF-8. */
  private static Document html(byte[] bytes) throws RefusedException {
    try {
      Document parsed = Jsoup.parse(new ByteArrayInputStream(bytes), null, "");
      decode(bytes, 0, parsed.charset());
      return parsed;
    } catch (IOException e) {
      throw new RefusedException(FolderScan.reason(e));
    }
  }

  /** UTF-8, or what a byte order mark says. */
  private static String decode(byte[] bytes) throws RefusedException {
    if (startsWith(bytes, 0xEF, 0xBB, 0xBF)) {
      return decode(bytes, 3, StandardCharsets.UTF_8);
    }
    if (startsWith(bytes, 0xFF, 0xFE)) {
      return decode(bytes, 2, StandardCharsets.UTF_16LE);
    }
    if (startsWith(bytes, 0xFE, 0xFF)) {
      return decode(bytes, 2, StandardCharsets.UTF_16BE);
    }
    return decode(bytes, 0, StandardCharsets.UTF_8);
  }

  private static boolean startsWith(byte[] bytes, int... start) {
    if (bytes.length < start.length) {
      return false;
    }
    for (int at = 0; at < start.length; at++) {
      if ((bytes[at] & 0xFF) != start[at]) {
        return false;
      }
    }
    return true;
  }

  private static String decode(byte[] bytes, int from, Charset charset) throws RefusedException {
    boolean wide = charset.name().startsWith("UTF-16") || charset.name().startsWith("UTF-32");
    for (int at = from; !wide && at < Math.min(bytes.length, LOOKED_AT_BYTES); at++) {
      if (bytes[at] == 0) {
        throw new RefusedException("is binary: byte " + at + " is 0");
      }
    }
    ByteBuffer in = ByteBuffer.wrap(bytes, from, bytes.length - from);
    CharBuffer out = CharBuffer.allocate(bytes.length - from + 1);
    CoderResult result =
        charset
            .newDecoder()
            .onMalformedInput(CodingErrorAction.REPORT)
            .onUnmappableCharacter(CodingErrorAction.REPORT)
            .decode(in, out, true);
    if (result.isError()) {
      throw new RefusedException(
          String.format(
              Locale.ROOT,
              "is not %s: byte %d is 0x%02X; convert it to UTF-8",
              charset,
              in.position(),
              bytes[in.position()]));
    }
    return out.flip().toString();
  }
}
