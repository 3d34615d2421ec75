package dev.ragbus.examples.search;

import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;
import java.nio.file.PathMatcher;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeMap;

/**
 * What a folder holds. Symbolic links are not followed, so loops cannot matter and nothing outside
 * the folder is read; hidden files and folders are left alone.
 *
 * @param documents the files to index, by their path in the folder with {@code /} between names
 * @param skipped everything else, with the reason
 */
record FolderScan(TreeMap<String, Source> documents, List<Problem> skipped) {
  /** A file to index, and its size when it was found. */
  record Source(Path file, long bytes) {}

  /**
   * Walks a folder; blocks.
   *
   * @param include globs of the files that are meant; others are passed over without a word, all
   *     are meant where there is none
   * @throws IOException if the folder itself cannot be read
   */
  static FolderScan of(Path folder, List<String> include) throws IOException {
    Path root = folder.toRealPath();
    if (!Files.isDirectory(root)) {
      throw new NotDirectoryException(folder.toString());
    }
    List<PathMatcher> meant =
        include.stream().map(glob -> root.getFileSystem().getPathMatcher("glob:" + glob)).toList();
    Walk walk = new Walk(root, meant);
    Files.walkFileTree(root, walk);
    return walk.found;
  }

  /** Why a file could not be read, for people. */
  static String reason(IOException failure) {
    if (failure instanceof AccessDeniedException) {
      return "may not be read: permission denied";
    }
    if (failure instanceof NoSuchFileException) {
      return "is gone";
    }
    String detail =
        failure instanceof FileSystemException onFile && onFile.getReason() != null
            ? onFile.getReason()
            : String.valueOf(failure.getMessage());
    return "could not be read: " + detail;
  }

  private static final class Walk extends SimpleFileVisitor<Path> {
    private final FolderScan found = new FolderScan(new TreeMap<>(), new ArrayList<>());
    private final Path root;
    private final List<PathMatcher> meant;

    Walk(Path root, List<PathMatcher> meant) {
      this.root = root;
      this.meant = meant;
    }

    @Override
    public FileVisitResult preVisitDirectory(Path folder, BasicFileAttributes attributes) {
      if (!folder.equals(root) && hidden(folder)) {
        skip(folder, "is a hidden folder");
        return FileVisitResult.SKIP_SUBTREE;
      }
      return FileVisitResult.CONTINUE;
    }

    @Override
    public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) {
      Path relative = root.relativize(file);
      if (!meant.isEmpty() && meant.stream().noneMatch(glob -> glob.matches(relative))) {
        return FileVisitResult.CONTINUE;
      }
      if (hidden(file)) {
        skip(file, "is a hidden file");
      } else if (attributes.isSymbolicLink()) {
        skip(file, "is a symbolic link, and links are not followed");
      } else if (!attributes.isRegularFile()) {
        skip(file, "is neither a file nor a folder");
      } else if (Format.of(file.getFileName().toString()).isEmpty()) {
        skip(file, "is not Markdown, text or HTML by its name");
      } else {
        found.documents.put(path(file), new Source(file, attributes.size()));
      }
      return FileVisitResult.CONTINUE;
    }

    @Override
    public FileVisitResult visitFileFailed(Path file, IOException failure) throws IOException {
      if (file.equals(root)) {
        throw failure;
      }
      skip(file, reason(failure));
      return FileVisitResult.CONTINUE;
    }

    @Override
    public FileVisitResult postVisitDirectory(Path folder, IOException failure) throws IOException {
      if (failure != null) {
        visitFileFailed(folder, failure);
      }
      return FileVisitResult.CONTINUE;
    }

    private static boolean hidden(Path file) {
      return file.getFileName().toString().startsWith(".");
    }

    private void skip(Path file, String reason) {
      found.skipped.add(new Problem(path(file), reason));
    }

    private String path(Path file) {
      return root.relativize(file).toString().replace(root.getFileSystem().getSeparator(), "/");
    }
  }
}
