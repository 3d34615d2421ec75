// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import java.util.UUID;
import java.util.regex.Pattern;

/** The names of requests: given by the caller, or made. */
public final class RequestIds {
  /** What a request id looks like. */
  public static final String PATTERN = "^[A-Za-z0-9._-]{1,64}$";

  private static final Pattern COMPILED = Pattern.compile(PATTERN);

  private RequestIds() {}

  /** Whether a caller's id may be used. */
  public static boolean valid(String requestId) {
    return requestId != null && COMPILED.matcher(requestId).matches();
  }

  /** The caller's id where it may be used, else a new one. */
  public static String validOrNew(String requestId) {
    return valid(requestId) ? requestId : UUID.randomUUID().toString();
  }
}
