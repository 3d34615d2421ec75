package dev.ragbus.examples.search;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.nio.charset.StandardCharsets.UTF_16LE;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.ragbus.examples.search.DocumentText.Section;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class DocumentReaderTest {
  private static final DocumentReader READER = new DocumentReader(10_000_000);

  @TempDir Path folder;

  private Path write(String name, byte[] bytes) throws IOException {
    return Files.write(folder.resolve(name), bytes);
  }

  private List<Section> read(String name, byte[] bytes) throws Exception {
    return DocumentReader.parse(READER.load(write(name, bytes))).sections();
  }

  private void refuses(ThrowingCallable read, String reason) {
    assertThatThrownBy(read).isInstanceOf(RefusedException.class).hasMessageContaining(reason);
  }

  @Test
  void markdownIsReadBySections() throws Exception {
    String markdown =
        """
        Before any heading,
        on *two* lines.

        # One
        ## A `b`
        - first [link](x.md)
        - second

        ```java
        int a;

        int b;
        ```

        | k | v |
        |---|---|
        | x | 1 |

        ## C
        # Two
        <p>from <b>HTML</b></p>
        """;

    assertThat(read("a.md", markdown.getBytes(UTF_8)))
        .containsExactly(
            new Section("", List.of("Before any heading, on two lines.")),
            new Section(
                "One › A b", List.of("first link", "second", "int a;", "int b;", "k | v", "x | 1")),
            new Section("Two", List.of("from HTML")));
  }

  @Test
  void htmlIsReadBySections() throws Exception {
    String html =
        """
        <html><head><title>T</title><style>p {}</style></head><body>
        <nav>Home</nav><h1>One</h1><p>a<br>b <i>c</i></p><div>d<script>no()</script></div>
        <table><tr><td>x</td><td>1</td></tr></table><h2>Two</h2>e</body></html>
        """;

    assertThat(read("a.html", html.getBytes(UTF_8)))
        .containsExactly(
            new Section("One", List.of("a b c", "d", "x 1")),
            new Section("One › Two", List.of("e")));
  }

  @Test
  void textIsReadByParagraphs() throws Exception {
    assertThat(read("a.txt", "a\nb\n\n\nc\r\n\r\nd".getBytes(UTF_8)))
        .containsExactly(new Section("", List.of("a b", "c", "d")));
  }

  @Test
  void aByteOrderMarkOrThePagesHeadSaysTheEncoding() throws Exception {
    List<Section> wanted = List.of(new Section("", List.of("Größe")));
    String page = "<meta charset=\"iso-8859-1\"><p>Größe</p>";

    assertThat(read("a.txt", "\uFEFFGröße".getBytes(UTF_8))).isEqualTo(wanted);
    assertThat(read("b.txt", "\uFEFFGröße".getBytes(UTF_16LE))).isEqualTo(wanted);
    assertThat(read("c.html", page.getBytes(ISO_8859_1))).isEqualTo(wanted);
  }

  @Test
  void aWrongEncodingIsRefusedWithTheByte() {
    refuses(() -> read("a.md", "abc Größe".getBytes(ISO_8859_1)), "is not UTF-8: byte 6 is 0xF6");
    refuses(
        () -> read("b.html", "<meta charset=utf-8><p>Größe</p>".getBytes(ISO_8859_1)),
        "is not UTF-8");
  }

  @Test
  void binaryEmptyAndNestedWithoutEndAreRefused() {
    refuses(() -> read("a.txt", new byte[] {'a', 0, 1}), "is binary: byte 1 is 0");
    refuses(() -> read("b.txt", new byte[0]), "has no text");
    refuses(() -> read("c.md", "# only a heading".getBytes(UTF_8)), "has no text");
    refuses(() -> read("d.html", "<script>a()</script>".getBytes(UTF_8)), "has no text");
  }

  @Test
  void deepNestingIsReadOrRefusedNotFatal() throws Exception {
    byte[] quotes = (">".repeat(100_000) + "deep").getBytes(UTF_8);
    byte[] emphasis = ("*a ".repeat(50_000) + "b*".repeat(50_000)).getBytes(UTF_8);
    byte[] elements = ("<div>".repeat(100_000) + "deep").getBytes(UTF_8);

    assertThat(read("a.md", quotes)).isNotEmpty();
    assertThat(read("c.html", elements)).isNotEmpty();
    try {
      assertThat(read("b.md", emphasis)).isNotEmpty();
    } catch (RefusedException e) {
      assertThat(e).hasMessage("is nested too deeply");
    }
  }

  @Test
  void markdownThatNamesNothingIsStillRead() throws Exception {
    for (String odd : List.of("[a]: <", "|---|", "![](", "```", "&#0;&#x110000; a")) {
      try {
        assertThat(read("odd.md", odd.getBytes(UTF_8))).isNotEmpty();
      } catch (RefusedException e) {
        assertThat(e).hasMessage("has no text");
      }
    }
  }

  @Test
  void aHundredMegabytesAreRefusedUnread() throws IOException {
    Path large = folder.resolve("large.txt");
    try (RandomAccessFile file = new RandomAccessFile(large.toFile(), "rw")) {
      file.setLength(100_000_000);
    }

    refuses(
        () -> READER.load(large),
        "is too large: 100,000,000 bytes, and at most 10,000,000 are read (--max-file-bytes)");
  }

  @Test
  void whatCannotBeReadIsRefused() throws IOException {
    refuses(() -> READER.load(folder.resolve("gone.md")), "is gone");

    Path secret = write("secret.md", "a".getBytes(UTF_8));
    assertThat(secret.toFile().setReadable(false)).isTrue();
    Assumptions.assumeFalse(Files.isReadable(secret), "root may read everything");
    refuses(() -> READER.load(secret), "permission denied");
  }
}
