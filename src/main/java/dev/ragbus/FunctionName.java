// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

/**
 * The name of a registered function, to unregister it; also the answer to that.
 *
 * @param name the function
 */
public record FunctionName(String name) {
  /** Checks the name. */
  public FunctionName {
    Checks.notBlank("name", name);
  }
}
