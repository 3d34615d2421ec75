package dev.ragbus.examples.search;

import java.io.IOException;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.lucene.store.Directory;
import org.apache.lucene.store.FilterDirectory;
import org.apache.lucene.store.FilterIndexOutput;
import org.apache.lucene.store.IOContext;
import org.apache.lucene.store.IndexOutput;

/** A directory on a disk with only so much room left. */
final class FullDisk extends FilterDirectory {
  private final AtomicLong room = new AtomicLong(Long.MAX_VALUE);

  FullDisk(Directory in) {
    super(in);
  }

  /** Leaves so many bytes; what is deleted gives nothing back. */
  void leave(long bytes) {
    room.set(bytes);
  }

  @Override
  public IndexOutput createOutput(String name, IOContext context) throws IOException {
    return bounded(super.createOutput(name, context));
  }

  @Override
  public IndexOutput createTempOutput(String prefix, String suffix, IOContext context)
      throws IOException {
    return bounded(super.createTempOutput(prefix, suffix, context));
  }

  private IndexOutput bounded(IndexOutput out) {
    return new FilterIndexOutput("bounded " + out, out.getName(), out) {
      @Override
      public void writeByte(byte b) throws IOException {
        take(1);
        super.writeByte(b);
      }

      @Override
      public void writeBytes(byte[] b, int offset, int length) throws IOException {
        take(length);
        super.writeBytes(b, offset, length);
      }
    };
  }

  private void take(long bytes) throws IOException {
    if (room.addAndGet(-bytes) < 0) {
      throw new IOException("No space left on device");
    }
  }
}
