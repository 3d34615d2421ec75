// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.python.environment;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/**
 * An exclusive lock on a file of the cache, among the processes of this machine and the threads of
 * this JVM (also those of another class loader). The operating system releases it when its owner
 * dies.
 */
final class FolderLock {
  private static final long POLL_MILLIS = 50;

  private FolderLock() {}

  /** What is done while the lock is held. */
  interface Work<T> {
    T run() throws IOException;
  }

  /**
   * Blocks until the lock is had, then does the work.
   *
   * @param onWait run once if another one has the lock
   */
  static <T> T holding(Path file, Runnable onWait, Work<T> work) throws IOException {
    Files.createDirectories(file.getParent());
    try (FileChannel channel =
        FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.WRITE)) {
      boolean told = false;
      while (tryLock(channel) == null) {
        if (!told) {
          onWait.run();
          told = true;
        }
        Thread.sleep(POLL_MILLIS);
      }
      return work.run();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new PythonEnvironmentException("Interrupted while waiting for " + file, e);
    }
  }

  // Not lock(): it throws, instead of waiting, when this same JVM has the lock already.
  private static FileLock tryLock(FileChannel channel) throws IOException {
    try {
      return channel.tryLock();
    } catch (OverlappingFileLockException e) {
      return null;
    }
  }
}
