// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import com.sun.management.HotSpotDiagnosticMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Comparator;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Stream;

/**
 * A file that is mapped into memory, beside the report that the JVM writes when it crashes: what
 * was written to the buffer is in it, however the process ends. Deleted when it is closed; those of
 * processes that did not get so far stay, the newest {@value #KEPT} of them.
 *
 * <p>Its methods block on the file.
 */
final class CrashFile implements AutoCloseable {
  static final int KEPT = 8;

  private static final String PREFIX = "last_requests_pid";

  private static final Set<Path> OPEN = ConcurrentHashMap.newKeySet();

  private final Path file;
  private final FileChannel channel;
  private final ByteBuffer buffer;

  private CrashFile(Path file, FileChannel channel, ByteBuffer buffer) {
    this.file = file;
    this.channel = channel;
    this.buffer = buffer;
  }

  /** Makes a file of its own in a folder, which is made too. */
  static CrashFile open(Path folder, int bytes) throws IOException {
    Files.createDirectories(folder);
    removeOld(folder);
    Path file = Files.createTempFile(folder, PREFIX + ProcessHandle.current().pid() + "_", ".txt");
    FileChannel channel = FileChannel.open(file, StandardOpenOption.READ, StandardOpenOption.WRITE);
    try {
      channel.lock();
      OPEN.add(file);
      // Written, not only mapped: a disk that is full must fail here, not at the first request.
      ByteBuffer zeros = ByteBuffer.allocate(bytes);
      while (zeros.hasRemaining()) {
        channel.write(zeros);
      }
      return new CrashFile(file, channel, channel.map(FileChannel.MapMode.READ_WRITE, 0, bytes));
    } catch (IOException e) {
      OPEN.remove(file);
      channel.close();
      Files.delete(file);
      throw e;
    }
  }

  /** A process that lives keeps its files locked. */
  private static void removeOld(Path folder) throws IOException {
    List<Path> files;
    try (Stream<Path> all = Files.list(folder)) {
      files =
          all.filter(file -> file.getFileName().toString().startsWith(PREFIX))
              .sorted(Comparator.comparingLong((Path file) -> file.toFile().lastModified()))
              .toList();
    }
    for (Path file : files.subList(0, Math.max(0, files.size() - KEPT))) {
      // Closing any channel to a file would give up this process's own lock on it.
      if (!OPEN.contains(file)) {
        removeIfUnlocked(file);
      }
    }
  }

  private static void removeIfUnlocked(Path file) throws IOException {
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE);
        FileLock lock = channel.tryLock()) {
      if (lock != null) {
        Files.delete(file);
      }
    } catch (NoSuchFileException gone) {
      // Another process removed it.
    }
  }

  /** Where the JVM was told to write its report of a crash; null where it was told nothing. */
  static Path errorFile() {
    HotSpotDiagnosticMXBean jvm =
        ManagementFactory.getPlatformMXBean(HotSpotDiagnosticMXBean.class);
    String told = jvm == null ? null : jvm.getVMOption("ErrorFile").getValue();
    return told == null || told.isEmpty() ? null : Path.of(told).toAbsolutePath();
  }

  /** The folder of the JVM's report where that was told, else {@code crashes} in the other. */
  static Path folder(Path cacheFolder) {
    Path errorFile = errorFile();
    return errorFile == null ? cacheFolder.resolve("crashes") : errorFile.getParent();
  }

  Path path() {
    return file;
  }

  ByteBuffer buffer() {
    return buffer;
  }

  @Override
  public void close() throws IOException {
    Files.deleteIfExists(file);
    OPEN.remove(file);
    channel.close();
  }
}
