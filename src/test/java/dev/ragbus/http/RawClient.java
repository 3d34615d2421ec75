// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayOutputStream;
import java.io.Closeable;
import java.io.DataInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.Socket;
import java.net.SocketException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.ThreadLocalRandom;

/** A connection on which anything can be sent, HTTP or not. */
final class RawClient implements Closeable {
  private static final int READ_MILLIS = 15_000;

  private final Socket socket;
  private final OutputStream out;
  private final DataInputStream in;

  RawClient(Socket socket) {
    try {
      this.socket = socket;
      socket.setSoTimeout(READ_MILLIS);
      socket.setTcpNoDelay(true);
      out = socket.getOutputStream();
      in = new DataInputStream(socket.getInputStream());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  static RawClient to(int port) {
    try {
      return new RawClient(new Socket(InetAddress.getLoopbackAddress(), port));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** A WebSocket that was agreed on. */
  static RawClient socket(int port, String path) {
    RawClient client = to(port);
    client.send(
        "GET "
            + path
            + " HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n");
    String head = client.head();
    assertThat(head).startsWith("HTTP/1.1 101");
    return client;
  }

  RawClient send(String text) {
    return send(text.getBytes(StandardCharsets.ISO_8859_1));
  }

  RawClient send(byte[] bytes) {
    try {
      out.write(bytes);
      out.flush();
      return this;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Sends on until the other side has enough; returns how many bytes it let us send. */
  long flood(byte[] bytes, long most) {
    long sent = 0;
    // A write that blocks knows no timeout.
    Thread waiting = new Thread(this::closeLate);
    waiting.start();
    try {
      while (sent < most) {
        out.write(bytes);
        sent += bytes.length;
      }
    } catch (IOException closed) {
      assertThat(waiting.isAlive()).as("the server ends it before we do").isTrue();
    } finally {
      waiting.interrupt();
    }
    return sent;
  }

  private void closeLate() {
    try {
      Thread.sleep(READ_MILLIS);
      close();
    } catch (InterruptedException inTime) {
      // It was not needed.
    }
  }

  /** A reply's status line and headers. */
  String head() {
    ByteArrayOutputStream head = new ByteArrayOutputStream();
    try {
      while (!head.toString(StandardCharsets.ISO_8859_1).endsWith("\r\n\r\n")) {
        head.write(in.readUnsignedByte());
      }
      return head.toString(StandardCharsets.ISO_8859_1);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  byte[] read(int count) {
    try {
      byte[] bytes = new byte[count];
      in.readFully(bytes);
      return bytes;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Bytes; null where the other side has closed before them. */
  byte[] readOrNull(int count) {
    try {
      byte[] bytes = new byte[count];
      in.readFully(bytes);
      return bytes;
    } catch (EOFException | SocketException closed) {
      return null;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** All that comes until the other side closes, by whatever means it closes. */
  String untilClosed() {
    ByteArrayOutputStream all = new ByteArrayOutputStream();
    byte[] some = new byte[1 << 16];
    try {
      for (int n = in.read(some); n >= 0; n = in.read(some)) {
        all.write(some, 0, n);
      }
    } catch (SocketException reset) {
      // As good as closed.
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return all.toString(StandardCharsets.ISO_8859_1);
  }

  /** A frame of a WebSocket. */
  record Frame(int opcode, byte[] payload) {
    /** The code of a close frame. */
    int closeCode() {
      assertThat(opcode).as(text()).isEqualTo(8);
      return ByteBuffer.wrap(payload).getShort() & 0xffff;
    }

    String text() {
      return new String(payload, StandardCharsets.UTF_8);
    }
  }

  /** Sends a masked frame; {@code head} is FIN, the reserved bits and the opcode. */
  RawClient frame(int head, byte[] payload) {
    return frame(head, payload.length, payload, true);
  }

  RawClient frame(int head, long saidLength, byte[] payload, boolean masked) {
    int mask = ThreadLocalRandom.current().nextInt();
    ByteBuffer frame = ByteBuffer.allocate(14 + payload.length).put((byte) head);
    int maskBit = masked ? 0x80 : 0;
    if (saidLength >= 0 && saidLength < 126) {
      frame.put((byte) (maskBit | saidLength));
    } else if (saidLength >= 0 && saidLength < 1 << 16) {
      frame.put((byte) (maskBit | 126)).putShort((short) saidLength);
    } else {
      frame.put((byte) (maskBit | 127)).putLong(saidLength);
    }
    if (masked) {
      frame.putInt(mask);
    }
    for (int i = 0; i < payload.length; i++) {
      int key = masked ? mask >> 24 - 8 * (i % 4) : 0;
      frame.put((byte) (payload[i] ^ key));
    }
    byte[] bytes = new byte[frame.position()];
    frame.flip().get(bytes);
    return send(bytes);
  }

  /** The next frame from the server; null where it has closed. */
  Frame frame() {
    try {
      int head = in.readUnsignedByte();
      int length = in.readUnsignedByte();
      long size = length < 126 ? length : length == 126 ? in.readUnsignedShort() : in.readLong();
      return new Frame(head & 0xf, read((int) size));
    } catch (EOFException | SocketException closed) {
      return null;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** The code with which the server closes the WebSocket; then it has closed the connection too. */
  int closed() {
    Frame close = frame();
    flood(new byte[] {(byte) 0x88, (byte) 0x80, 0, 0, 0, 0}, 1);
    assertThat(untilClosed()).isEmpty();
    return close.closeCode();
  }

  @Override
  public void close() {
    try {
      socket.close();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
