// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

import java.util.List;

/**
 * An API that clients speak: reads its requests, calls the facade and writes replies and failures
 * in its words. Stateless; a new one is a class of this kind and a line in {@link HttpVerticle}.
 */
interface Dialect {
  /** The operations it answers. */
  List<Operation<?>> operations();

  /** The status of a failed request. */
  default int status(HttpFailure failure) {
    return failure.status();
  }

  /** The body of a failed request. */
  Reply.Content error(HttpFailure failure);
}
