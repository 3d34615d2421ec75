// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.langchain4j;

import dev.langchain4j.exception.AuthenticationException;
import dev.langchain4j.exception.InternalServerException;
import dev.langchain4j.exception.InvalidRequestException;
import dev.langchain4j.exception.LangChain4jException;
import dev.langchain4j.exception.ModelNotFoundException;
import dev.langchain4j.exception.NonRetriableException;
import dev.langchain4j.exception.RateLimitException;
import dev.langchain4j.exception.TimeoutException;
import dev.ragbus.RagbusException;
import java.util.concurrent.CancellationException;

/** Failures in langchain4j's terms, with what Ragbus said as their cause. */
final class Failures {
  private Failures() {}

  /** What langchain4j takes for worth another try is retriable there, and nothing else. */
  static RuntimeException of(Throwable failure) {
    if (failure instanceof java.util.concurrent.TimeoutException) {
      return new TimeoutException("no answer in time: Ragbus's Vert.x may be closed", failure);
    }
    if (!(failure instanceof RagbusException typed)) {
      return failure instanceof RuntimeException unchecked
          ? unchecked
          : new LangChain4jException(failure);
    }
    return switch (typed.kind()) {
      case INVALID, TOO_LARGE, TYPE_CONVERSION, CONFLICT, MODULE_NOT_FOUND, FUNCTION_NOT_FOUND ->
          new InvalidRequestException(typed);
      case UNAUTHORIZED, FORBIDDEN -> new AuthenticationException(typed);
      case MODEL_NOT_FOUND -> new ModelNotFoundException(typed);
      case OVERLOADED -> new RateLimitException(typed);
      case TIMEOUT -> new TimeoutException(typed);
      case NOT_INITIALIZED, UNAVAILABLE, INTERPRETER_LOCKED, LANE_LOST ->
          new InternalServerException(typed);
      case PYTHON, RUNTIME, SERIALIZATION -> new NonRetriableException(typed);
      case CANCELLED -> cancelled(typed);
    };
  }

  private static CancellationException cancelled(RagbusException cause) {
    CancellationException cancelled = new CancellationException(cause.getMessage());
    cancelled.initCause(cause);
    return cancelled;
  }
}
