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
 * is too long closes the socket with 1009, one of text that is not UTF-8 with 1007, one that gives
 * way to others with 1013.
 *
 * <p>Vert.x's own message handlers lose a message whose first fragment is empty, and read bytes
 * that are not UTF-8 as if they were U+FFFD.
 */
final class TextMessages implements Handler<WebSocketFrame> {
  static final short NOT_UTF_8 = 1007;
  static final short TOO_BIG = 1009;
  static final short TRY_AGAIN_LATER = 1013;

  private final WebSocketBase socket;
  private final Bodies bodies;
  private final Handler<String> reader;
  private final Runnable binary;

  /** What there is of the message that is coming; null between messages. */
  private Bodies.Coming message;

  private boolean isText;
  private boolean over;

  /**
   * Reads a socket.
   *
   * @param bodies bounds messages
   * @param reader gets each message of text
   * @param binary is told of each that is none
   */
  TextMessages(WebSocketBase socket, Bodies bodies, Handler<String> reader, Runnable binary) {
    this.socket = socket;
    this.bodies = bodies;
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
    if (message == null) {
      message = bodies.begin(refused -> end(TRY_AGAIN_LATER, "too much is being sent"));
    }
    Buffer data = frame.binaryData();
    if (message.hasNoRoomFor(data.length())) {
      end(TOO_BIG, "the message is too long");
      return;
    }
    message.add(data);
    if (frame.isFinal() && !over) {
      byte[] bytes = message.end().getBytes();
      message = null;
      if (isText) {
        read(bytes);
      } else {
        binary.run();
      }
    }
  }

  /** The socket is closed: gives back what is held of a message. */
  void closed() {
    over = true;
    if (message != null) {
      message.end();
      message = null;
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
    closed();
    socket.close(code, reason);
  }
}
