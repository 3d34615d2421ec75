// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

import dev.ragbus.NoArguments;
import dev.ragbus.Ragbus;
import dev.ragbus.RerankStream;
import io.vertx.core.Future;
import io.vertx.core.http.HttpMethod;

/**
 * One operation of a dialect.
 *
 * @param method its HTTP method
 * @param path its path; a {@code *} at the end stands for the rest
 * @param function the function whose {@code [python.functions]} timeout is the operation's; null
 *     for {@code python.default_timeout}
 * @param bodyType what its JSON body is read into; {@link NoArguments} for none
 * @param textsField its word for the facade's {@code texts}, so that a failure names the field that
 *     was sent
 * @param access who may ask for it
 * @param answer does it; fails with {@link dev.ragbus.RagbusException}, thrown or in the future
 * @param stream does it in frames, for a client that asks for a {@link FrameFormat}; null where
 *     there are none
 */
record Operation<B extends Record>(
    HttpMethod method,
    String path,
    String function,
    Class<B> bodyType,
    String textsField,
    Access access,
    Answer<Reply, B> answer,
    Answer<RerankStream, B> stream) {

  /** An operation without a body. */
  static Operation<NoArguments> get(String path, Answer<Reply, NoArguments> answer) {
    return new Operation<>(
        HttpMethod.GET, path, null, NoArguments.class, "texts", Access.USE, answer, null);
  }

  /** An operation on texts. */
  static <B extends Record> Operation<B> post(
      String path, String function, Class<B> bodyType, String textsField, Answer<Reply, B> answer) {
    return new Operation<>(
        HttpMethod.POST, path, function, bodyType, textsField, Access.USE, answer, null);
  }

  /** The same for others. */
  Operation<B> allowedTo(Access access) {
    return new Operation<>(method, path, function, bodyType, textsField, access, answer, stream);
  }

  /** The same, also in frames. */
  Operation<B> withStream(Answer<RerankStream, B> stream) {
    return new Operation<>(method, path, function, bodyType, textsField, access, answer, stream);
  }

  /** Does the operation, on the event loop. */
  interface Answer<R, B> {
    Future<R> to(Call<B> call);
  }

  /**
   * One request.
   *
   * @param ragbus the facade, with the request's id and deadline
   * @param id the request's id
   * @param rest what the {@code *} of the path stands for, decoded; null without one
   * @param caller what its sender may do
   * @param body the body
   */
  record Call<B>(Ragbus ragbus, String id, String rest, Access caller, B body) {}
}
