// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

/**
 * Names a registered function, to describe it.
 *
 * @param name the function
 * @param code whether the answer has the source too; default false
 */
public record FunctionQuery(String name, Boolean code) {
  /** Checks the name and fills in the default. */
  public FunctionQuery {
    Checks.notBlank("name", name);
    code = Checks.orDefault(code, false);
  }
}
