// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import com.fasterxml.jackson.annotation.JsonInclude;
import io.vertx.core.json.JsonObject;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.regex.Pattern;

/**
 * A Python function to register. Immutable; checked when made. Either {@code code} or a {@code
 * module} of the form {@code package.module:attribute} is needed.
 *
 * @param name the name it is called by: {@code ^[a-z][a-z0-9_]{0,63}$}
 * @param module an installed function, as {@code package.module:attribute}; beside {@code code} no
 *     more than a name for it
 * @param code Python source, at most 64 KiB of UTF-8: a definition of a function, or an expression
 * @param inputSchema JSON Schema of the arguments; null for what the function's type hints say
 * @param outputSchema JSON Schema of the result; null for what the function's type hints say
 * @param timeout the time a call has when it brings none, and the most it may bring; {@code
 *     python.functions.NAME.timeout} goes before it; null for {@code python.default_timeout}
 * @param hardCancel whether a call whose time is over may be ended by an exception thrown into it
 *     wherever it is. That can leave a lock of the function's locked for ever, so it is only for
 *     functions that take none; default false
 * @param replace whether a function of that name is replaced rather than a conflict; default false
 */
@JsonInclude(JsonInclude.Include.NON_NULL)
public record FunctionSpec(
    String name,
    String module,
    String code,
    JsonObject inputSchema,
    JsonObject outputSchema,
    Duration timeout,
    Boolean hardCancel,
    Boolean replace) {
  /** What a function's name looks like. */
  public static final String NAME_PATTERN = "^[a-z][a-z0-9_]{0,63}$";

  /** The most bytes of source. */
  public static final int MAX_CODE_BYTES = 64 * 1024;

  private static final Pattern NAME = Pattern.compile(NAME_PATTERN);
  private static final Pattern ATTRIBUTE = Pattern.compile("[\\p{L}\\p{N}_.]+:[\\p{L}\\p{N}_.]+");

  /** Checks every component and fills in defaults; throws {@link RagbusException}. */
  public FunctionSpec {
    if (!NAME.matcher(Checks.required("name", name)).matches()) {
      throw RagbusException.invalid("name must match " + NAME_PATTERN);
    }
    Checks.notBlankIfPresent("module", module);
    if (code == null) {
      if (module == null || !ATTRIBUTE.matcher(module).matches()) {
        throw RagbusException.invalid(
            "module must be package.module:attribute where there is no code");
      }
    } else {
      int bytes = code.getBytes(StandardCharsets.UTF_8).length;
      if (bytes > MAX_CODE_BYTES) {
        throw RagbusException.of(
            RagbusException.Kind.TOO_LARGE,
            "code is " + bytes + " bytes, the limit is " + MAX_CODE_BYTES);
      }
    }
    if (timeout != null && timeout.toMillis() < 1) {
      throw RagbusException.invalid("timeout must be at least 1ms");
    }
    inputSchema = inputSchema == null ? null : inputSchema.copy();
    outputSchema = outputSchema == null ? null : outputSchema.copy();
    hardCancel = Checks.orDefault(hardCancel, false);
    replace = Checks.orDefault(replace, false);
  }

  /** A function from source, with all defaults. */
  public static FunctionSpec ofCode(String name, String code) {
    return new FunctionSpec(name, null, code, null, null, null, null, null);
  }

  /** An installed function, {@code package.module:attribute}, with all defaults. */
  public static FunctionSpec ofModule(String name, String module) {
    return new FunctionSpec(name, module, null, null, null, null, null, null);
  }

  /** The same with schemas; null for what the type hints say. */
  public FunctionSpec withSchemas(JsonObject inputSchema, JsonObject outputSchema) {
    return new FunctionSpec(
        name, module, code, inputSchema, outputSchema, timeout, hardCancel, replace);
  }

  /** The same with another limit of time. */
  public FunctionSpec withTimeout(Duration timeout) {
    return new FunctionSpec(
        name, module, code, inputSchema, outputSchema, timeout, hardCancel, replace);
  }

  /** The same, to be ended by an exception thrown into it, or not. */
  public FunctionSpec withHardCancel(boolean hardCancel) {
    return new FunctionSpec(
        name, module, code, inputSchema, outputSchema, timeout, hardCancel, replace);
  }

  /** The same, replacing the function of its name, or not. */
  public FunctionSpec withReplace(boolean replace) {
    return new FunctionSpec(
        name, module, code, inputSchema, outputSchema, timeout, hardCancel, replace);
  }
}
