// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

import io.vertx.core.Handler;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.WebSocketBase;
import io.vertx.core.http.WebSocketFrame;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;

/**
 * Puts the frames of a WebSocket together to its messages (RFC 6455, section 5.4). A message that
 * is too long closes the socket with 1009, one of text that is not UTF-8 with 1007.
 *
 * <p>Vert.x's own message handlers lose a message whose first fragment is empty, and read bytes
 * that are not UTF-8 as if they were U+FFFD.
 */
final class TextMessages implements Handler<WebSocketFrame> {
  static final short NOT_UTF_8 = 1007;
  static final short TOO_BIG = 1009;

  private final WebSocketBase socket;
  private final int maxBytes;
  private final Handler<String> reader;
  private final Runnable binary;
  private Buffer message = Buffer.buffer();
  private boolean isText;
  private boolean over;

  /**
   * Reads a socket.
   *
   * @param maxBytes the most that a message may have
   * @param reader gets each message of text
   * @param binary is told of each that is none
   */
  TextMessages(WebSocketBase socket, int maxBytes, Handler<String> reader, Runnable binary) {
    this.socket = socket;
    this.maxBytes = maxBytes;
    this.reader = reader;
    this.binary = binary;
  }

  @Override
  public void handle(WebSocketFrame frame) {
    if (over || !(frame.isText() || frame.isBinary() || frame.isContinuation())) {
      return;
    }
    if (!frame.isContinuation()) {
      isText = frame.isText();
    }
    Buffer data = frame.binaryData();
    if (data.length() > maxBytes - message.length()) {
      end(TOO_BIG, "longer than " + maxBytes + " bytes");
      return;
    }
    message.appendBuffer(data);
    if (frame.isFinal()) {
      byte[] bytes = message.getBytes();
      message = Buffer.buffer();
      if (isText) {
        read(bytes);
      } else {
        binary.run();
      }
    }
  }

  private void read(byte[] bytes) {
    String text;
    try {
      text = StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString();
    } catch (CharacterCodingException notUtf8) {
      end(NOT_UTF_8, "not UTF-8");
      return;
    }
    reader.handle(text);
  }

  private void end(short code, String reason) {
    over = true;
    message = null;
    socket.close(code, reason);
  }
}
