package dev.ragbus.examples.search;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class FolderScanTest {
  @TempDir Path folder;

  @BeforeEach
  void fill() throws IOException {
    Files.createDirectories(folder.resolve("docs/deep"));
    Files.createDirectories(folder.resolve(".git"));
    Files.createDirectories(folder.resolve("e.md"));
    for (String name :
        List.of("a.md", "docs/b.TXT", "docs/deep/c.html", "d.bin", ".hidden.md", ".git/x.md")) {
      Files.writeString(folder.resolve(name), name);
    }
    Files.createSymbolicLink(folder.resolve("docs/loop"), folder);
    Files.createSymbolicLink(folder.resolve("link.md"), folder.resolve("a.md"));
  }

  @Test
  void documentsAreFoundAndTheRestIsSkippedWithAReason() throws IOException {
    FolderScan scan = FolderScan.of(folder, List.of());

    assertThat(scan.documents().keySet()).containsExactly("a.md", "docs/b.TXT", "docs/deep/c.html");
    assertThat(scan.skipped())
        .containsExactlyInAnyOrder(
            new Problem(".git", "is a hidden folder"),
            new Problem(".hidden.md", "is a hidden file"),
            new Problem("d.bin", "is not Markdown, text or HTML by its name"),
            new Problem("docs/loop", "is a symbolic link, and links are not followed"),
            new Problem("link.md", "is a symbolic link, and links are not followed"));
  }

  @Test
  void onlyWhatIsIncludedIsMeant() throws IOException {
    FolderScan scan = FolderScan.of(folder, List.of("*.md", "docs/**.html"));

    assertThat(scan.documents().keySet()).containsExactly("a.md", "docs/deep/c.html");
    assertThat(scan.skipped())
        .extracting(Problem::path)
        .containsExactlyInAnyOrder(".git", ".hidden.md", "link.md");
  }

  @Test
  void aFolderThatIsNotThereFails() {
    assertThatThrownBy(() -> FolderScan.of(folder.resolve("none"), List.of()))
        .isInstanceOf(NoSuchFileException.class);
    assertThatThrownBy(() -> FolderScan.of(folder.resolve("a.md"), List.of()))
        .isInstanceOf(NotDirectoryException.class);
  }
}
