// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import io.vertx.core.eventbus.ReplyException;
import io.vertx.core.eventbus.ReplyFailure;
import java.util.Objects;

/**
 * The one failure of Ragbus: a {@link ReplyException} whose failure code is an HTTP status.
 *
 * <p>Typed callers get it from every operation, local or remote; callers that send JSON get a plain
 * {@code ReplyException} with the same code and message. The message begins with the kind, as in
 * {@code MODEL_NOT_FOUND: no model 'x'}. Expected failures carry no Java stack trace, and a Python
 * traceback never leaves the log.
 */
public final class RagbusException extends ReplyException {
  private static final long serialVersionUID = 1L;

  /** What went wrong, with the failure code it travels under and whether trying again can help. */
  public enum Kind {
    /** Malformed, missing, of the wrong type or out of range; the message names the field. */
    INVALID(400, false),
    /** No key or a wrong one. */
    UNAUTHORIZED(401, false),
    /** The caller may not do this, or the operation is switched off. */
    FORBIDDEN(403, false),
    /** A Python module that does not exist. */
    MODULE_NOT_FOUND(404, false),
    /** A function that is not registered. */
    FUNCTION_NOT_FOUND(404, false),
    /** A model that is not loaded and may not or cannot be had. */
    MODEL_NOT_FOUND(404, false),
    /** Registered already, or being loaded with other options. */
    CONFLICT(409, false),
    /** Too many texts, characters or tokens; the message names the limit and the value. */
    TOO_LARGE(413, false),
    /** A value without a JSON form, the wrong kind of model, or impossible dimensions. */
    TYPE_CONVERSION(422, false),
    /** Too much waits already; {@link #retryAfterMillis()} says when to come back. */
    OVERLOADED(429, true),
    /** The caller cancelled. */
    CANCELLED(499, false),
    /** Python raised an exception; {@link #pythonType()} names its class. */
    PYTHON(500, false),
    /** A fault of Ragbus itself, or a vector that is not finite. */
    RUNTIME(500, false),
    /** Bytes that cannot be read or written. */
    SERIALIZATION(500, false),
    /** The service is starting. */
    NOT_INITIALIZED(503, true),
    /** Nobody serves the address, or the service is shutting down. */
    UNAVAILABLE(503, true),
    /** The interpreter lock could not be had. */
    INTERPRETER_LOCKED(503, true),
    /** The lane or node that did the work died. */
    LANE_LOST(503, true),
    /** The deadline passed. */
    TIMEOUT(504, false);

    private final int code;
    private final boolean retryable;

    Kind(int code, boolean retryable) {
      this.code = code;
      this.retryable = retryable;
    }

    /** The failure code on the event bus, which is the HTTP status. */
    public int code() {
      return code;
    }

    /** Whether the same request may succeed later; a failure may say otherwise for its own case. */
    public boolean retryable() {
      return retryable;
    }
  }

  private final Kind kind;
  private final boolean retryable;
  private final long retryAfterMillis;
  private final String pythonType;

  private RagbusException(
      Kind kind, String message, boolean retryable, long retryAfterMillis, String pythonType) {
    super(ReplyFailure.RECIPIENT_FAILURE, kind.code(), message, true);
    this.kind = kind;
    this.retryable = retryable;
    this.retryAfterMillis = retryAfterMillis;
    this.pythonType = pythonType;
  }

  /**
   * A failure of a kind.
   *
   * @param detail what happened, without the kind in front
   */
  public static RagbusException of(Kind kind, String detail) {
    return of(kind, detail, kind.retryable(), 0, null);
  }

  /** A failure with everything it can carry; {@code pythonType} may be null. */
  public static RagbusException of(
      Kind kind, String detail, boolean retryable, long retryAfterMillis, String pythonType) {
    Objects.requireNonNull(kind, "kind");
    String message = kind + ": " + (detail == null ? "" : detail);
    return new RagbusException(kind, message, retryable, retryAfterMillis, pythonType);
  }

  /** Malformed input: {@code detail} begins with the field's name. */
  public static RagbusException invalid(String detail) {
    return of(Kind.INVALID, detail);
  }

  /** What went wrong. */
  public Kind kind() {
    return kind;
  }

  /** The failure code, an HTTP status; the same as {@link #failureCode()}. */
  public int code() {
    return failureCode();
  }

  /** The message without the kind in front. */
  public String detail() {
    return getMessage().substring(kind.name().length() + 2);
  }

  /** Whether sending the same request again may succeed. */
  public boolean retryable() {
    return retryable;
  }

  /** When to try again, in milliseconds; 0 when the failure does not know. */
  public long retryAfterMillis() {
    return retryAfterMillis;
  }

  /** The class of the Python exception, such as {@code ValueError}; null for other failures. */
  public String pythonType() {
    return pythonType;
  }
}
