package dev.ragbus.http;

import dev.ragbus.Ragbus;
import io.vertx.core.Future;
import io.vertx.core.http.HttpMethod;

/**
 * One operation of a dialect.
 *
 * @param method its HTTP method
 * @param path its path; a {@code *} at the end stands for the rest
 * @param function the function whose {@code [python.functions]} timeout is the operation's; null
 *     for {@code python.default_timeout}
 * @param bodyType what its JSON body is read into; {@link dev.ragbus.NoArguments} for none
 * @param answer does it; fails with {@link dev.ragbus.RagbusException}, thrown or in the future
 */
record Operation<B extends Record>(
    HttpMethod method, String path, String function, Class<B> bodyType, Answer<B> answer) {

  /** Does the operation, on the event loop. */
  interface Answer<B> {
    Future<Reply> to(Call<B> call);
  }

  /**
   * One request.
   *
   * @param ragbus the facade, with the request's id and deadline
   * @param id the request's id
   * @param rest what the {@code *} of the path stands for, decoded; null without one
   * @param body the body
   */
  record Call<B>(Ragbus ragbus, String id, String rest, B body) {}
}
