// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

import dev.ragbus.FunctionCall;
import dev.ragbus.FunctionName;
import dev.ragbus.FunctionSpec;
import dev.ragbus.ModelQuery;
import dev.ragbus.ModelSpec;
import dev.ragbus.NoArguments;
import dev.ragbus.Ragbus;
import dev.ragbus.RagbusException;
import dev.ragbus.RagbusException.Kind;
import io.vertx.core.Future;
import java.util.List;
import java.util.Set;
import java.util.function.BiFunction;

/**
 * Ragbus's own operations under {@code /v1/ragbus}: the bodies and replies are those of the event
 * bus, to the letter, and failures are written as OpenAI does. What changes something for others is
 * for admins.
 */
final class AdminDialect implements Dialect {
  private final Dialect errors;

  AdminDialect(Dialect errors) {
    this.errors = errors;
  }

  private static final String PREFIX = "/v1/ragbus/";

  /** Functions that do what has a route for admins alone. */
  private static final Set<String> FOR_ADMINS = Set.of("load_model", "clear_cache");

  /** A body without fields: an operation that changes something is asked for by a JSON body. */
  private record Empty() {}

  @Override
  public List<Operation<?>> operations() {
    return List.of(
        get("models", (ragbus, name) -> ragbus.listModels()),
        get("models/*", Ragbus::model),
        post("models/load", "load_model", ModelSpec.class, Ragbus::loadModel),
        post(
            "models/unload",
            "clear_cache",
            ModelQuery.class,
            (ragbus, query) -> ragbus.clearModels(query.model())),
        post("memory/cleanup", "clear_cache", Empty.class, (ragbus, none) -> ragbus.cleanup()),
        get("functions", (ragbus, name) -> ragbus.functions()),
        get("functions/*", Ragbus::function),
        Operation.post(
            PREFIX + "functions/call", null, FunctionCall.class, "texts", AdminDialect::run),
        post("functions/register", null, FunctionSpec.class, Ragbus::register),
        post(
            "functions/unregister",
            null,
            FunctionName.class,
            (ragbus, function) -> ragbus.unregister(function.name())),
        get("stats", (ragbus, name) -> ragbus.stats()));
  }

  private static Operation<NoArguments> get(
      String path, BiFunction<Ragbus, String, Future<? extends Record>> ask) {
    return Operation.get(
        PREFIX + path, call -> ask.apply(call.ragbus(), call.rest()).map(AdminDialect::ok));
  }

  private static <B extends Record> Operation<B> post(
      String path,
      String function,
      Class<B> bodyType,
      BiFunction<Ragbus, B, Future<? extends Record>> ask) {
    return Operation.post(
            PREFIX + path,
            function,
            bodyType,
            "texts",
            call -> ask.apply(call.ragbus(), call.body()).map(AdminDialect::ok))
        .allowedTo(Access.ADMIN);
  }

  private static Future<Reply> run(Operation.Call<FunctionCall> call) {
    requireRole(call.caller(), call.body());
    return call.ragbus().call(call.body()).map(made -> ok(made.withoutTensors()));
  }

  /** Refuses a call of a function that does what the caller may not do. */
  static void requireRole(Access caller, FunctionCall call) {
    if (FOR_ADMINS.contains(call.name()) && !caller.covers(Access.ADMIN)) {
      throw RagbusException.of(Kind.FORBIDDEN, call.name() + " takes the role 'admin'");
    }
  }

  private static Reply ok(Record reply) {
    return Reply.of(200, reply);
  }

  @Override
  public Reply.Content error(HttpFailure failure) {
    return errors.error(failure);
  }
}
