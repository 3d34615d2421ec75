// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import com.fasterxml.jackson.annotation.JsonInclude;
import io.vertx.core.json.JsonObject;
import java.time.Duration;
import java.time.Instant;

/**
 * A registered function, as it is described. Null components are left out in JSON.
 *
 * @param name the name it is called by
 * @param module where it is from, {@code package.module:attribute}, or what its registration said
 * @param description its docstring
 * @param inputSchema JSON Schema of its arguments: an object with one property a parameter
 * @param outputSchema JSON Schema of its result
 * @param timeout the time a call has when it brings none, and the most it may bring
 * @param hardCancel whether a call may be ended by an exception thrown into it
 * @param kind {@code function}, {@code async}, {@code generator}, {@code async_generator}, {@code
 *     expression}, or {@code operation} for one of Ragbus's own
 * @param sourceSha256 the hash of its source, hexadecimal; null for Ragbus's own
 * @param code its source, where that was asked for
 * @param usage how it has been used
 */
@JsonInclude(JsonInclude.Include.NON_NULL)
public record FunctionInfo(
    String name,
    String module,
    String description,
    JsonObject inputSchema,
    JsonObject outputSchema,
    Duration timeout,
    boolean hardCancel,
    String kind,
    String sourceSha256,
    String code,
    Usage usage) {

  /**
   * How a function has been used since it was registered.
   *
   * @param calls calls accepted
   * @param errors calls that failed, for whatever reason
   * @param p50Millis median time from arrival to result
   * @param p99Millis 99th percentile of it
   * @param lastError the last failure; null for none
   */
  @JsonInclude(JsonInclude.Include.NON_NULL)
  public record Usage(
      long calls, long errors, double p50Millis, double p99Millis, LastError lastError) {}

  /**
   * The last failure of a function.
   *
   * @param kind its kind
   * @param message what it said
   * @param at when
   */
  public record LastError(RagbusException.Kind kind, String message, Instant at) {}

  /**
   * The function as a tool for LLM tool-callers, in the form of OpenAI's {@code tools}: {@code
   * {"type": "function", "function": {"name", "description", "parameters"}}}.
   */
  public JsonObject toTool() {
    JsonObject function = new JsonObject().put("name", name);
    if (description != null) {
      function.put("description", description);
    }
    JsonObject parameters =
        inputSchema == null
            ? new JsonObject().put("type", "object").put("properties", new JsonObject())
            : inputSchema.copy();
    return new JsonObject()
        .put("type", "function")
        .put("function", function.put("parameters", parameters));
  }
}
