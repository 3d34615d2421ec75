// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

/** The body of operations without arguments. */
public record NoArguments() {
  /** The one value there is. */
  public static final NoArguments INSTANCE = new NoArguments();
}
