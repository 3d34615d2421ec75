// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import java.util.Arrays;
import java.util.List;
import java.util.Map;

/**
 * A call of a registered function. Immutable: arguments are copied when it is made, except the
 * bytes of a {@link Tensor}.
 *
 * <p>Arguments are null, {@code Boolean}, numbers, strings, lists (or {@code JsonArray}, {@code
 * Object[]}), maps with string keys (or {@code JsonObject}) and {@link Tensor}s; anything else is
 * refused with {@code TYPE_CONVERSION}.
 *
 * @param name the function
 * @param args a list is passed by position, a map as one dictionary, anything else as one argument;
 *     null for none
 * @param kwargs arguments by name; default none
 */
public record FunctionCall(String name, Object args, Map<String, Object> kwargs) {
  /** Checks and copies; throws {@link RagbusException}. */
  @SuppressWarnings("unchecked")
  public FunctionCall {
    Checks.notBlank("name", name);
    args = FunctionValues.copy("args", args);
    kwargs =
        kwargs == null ? Map.of() : (Map<String, Object>) FunctionValues.copy("kwargs", kwargs);
  }

  /** A call with arguments by position. */
  public static FunctionCall of(String name, Object... args) {
    return new FunctionCall(name, Arrays.asList(args), null);
  }

  /** The same with arguments by name beside those it has. */
  public FunctionCall withKwargs(Map<String, Object> kwargs) {
    return new FunctionCall(name, args, kwargs);
  }

  /** The arguments by position; anything but a list is one. */
  public List<Object> positional() {
    if (args instanceof List<?> list) {
      @SuppressWarnings("unchecked")
      List<Object> items = (List<Object>) list;
      return items;
    }
    return args == null ? List.of() : List.of(args);
  }

  /**
   * The same with lists in the place of tensors.
   *
   * @throws RagbusException {@code SERIALIZATION} for a tensor with a number that is not finite
   */
  public FunctionCall withoutTensors() {
    boolean tensors = FunctionValues.holdsTensor(args) || FunctionValues.holdsTensor(kwargs);
    return tensors ? new FunctionCall(name, FunctionValues.json(args), json(kwargs)) : this;
  }

  @SuppressWarnings("unchecked")
  private static Map<String, Object> json(Map<String, Object> values) {
    return (Map<String, Object>) FunctionValues.json(values);
  }
}
