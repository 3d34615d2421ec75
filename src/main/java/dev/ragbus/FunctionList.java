// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import io.vertx.core.json.JsonArray;
import java.util.List;

/**
 * The registered functions.
 *
 * @param functions one entry a function, by name
 * @param totalCount how many there are
 */
public record FunctionList(List<FunctionInfo> functions, int totalCount) {
  /** The functions as tools for LLM tool-callers; see {@link FunctionInfo#toTool()}. */
  public JsonArray toTools() {
    return new JsonArray(functions.stream().map(FunctionInfo::toTool).toList());
  }
}
