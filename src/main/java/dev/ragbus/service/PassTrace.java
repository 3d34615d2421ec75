// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import io.vertx.core.Vertx;
import io.vertx.core.internal.ContextInternal;
import io.vertx.core.internal.VertxInternal;
import io.vertx.core.spi.tracing.SpanKind;
import io.vertx.core.spi.tracing.TagExtractor;
import io.vertx.core.spi.tracing.VertxTracer;
import io.vertx.core.tracing.TracingPolicy;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;

/**
 * Makes a span for each pass that runs texts of a request, below the span of the request's message,
 * by the tracer that the application gave Vert.x. Belongs to the service's event loop.
 *
 * @param tracer the tracer
 * @param context the message's, which has its span
 */
record PassTrace(VertxTracer<?, Object> tracer, ContextInternal context) {
  private static final String NAME = "ragbus.pass";

  private static final TagExtractor<Pass> TAGS =
      new TagExtractor<>() {
        @Override
        public int len(Pass pass) {
          return 4;
        }

        @Override
        public String name(Pass pass, int index) {
          return switch (index) {
            case 0 -> "ragbus.model";
            case 1 -> "ragbus.lane";
            case 2 -> "ragbus.rows";
            default -> "ragbus.tokens";
          };
        }

        @Override
        public String value(Pass pass, int index) {
          return switch (index) {
            case 0 -> pass.model;
            case 1 -> Integer.toString(pass.lane);
            case 2 -> Integer.toString(pass.rows);
            default -> Integer.toString(pass.tokens);
          };
        }
      };

  /**
   * What spans say of a pass.
   *
   * @param rows of all requests in it
   * @param tokens theirs, without padding
   */
  record Pass(String model, int lane, int rows, int tokens) {}

  /** A span that has begun. */
  record Span(PassTrace of, Object operation) {}

  /** For the message that is being handled; null where nobody traces. */
  @SuppressWarnings("unchecked")
  static PassTrace ofMessage(Vertx vertx) {
    VertxTracer<?, ?> tracer = ((VertxInternal) vertx).tracer();
    return tracer == null
        ? null
        : new PassTrace((VertxTracer<?, Object>) tracer, ContextInternal.current());
  }

  /** Begins a span for each of the jobs whose request is traced. */
  static List<Span> begin(Collection<Job> jobs) {
    List<Span> spans = List.of();
    for (Job job : jobs) {
      PassTrace trace = job.trace();
      if (trace != null) {
        spans = spans.isEmpty() ? new ArrayList<>() : spans;
        spans.add(new Span(trace, trace.begin()));
      }
    }
    return spans;
  }

  private Object begin() {
    return tracer.sendRequest(
        context,
        SpanKind.RPC,
        TracingPolicy.PROPAGATE,
        NAME,
        NAME,
        (header, value) -> {},
        TagExtractor.empty());
  }

  /**
   * Ends spans.
   *
   * @param failure why the pass has failed; null where it has not
   */
  static void end(List<Span> spans, Pass pass, Throwable failure) {
    for (Span span : spans) {
      if (span.operation != null) {
        span.of.tracer.receiveResponse(span.of.context, pass, span.operation, failure, TAGS);
      }
    }
  }
}
