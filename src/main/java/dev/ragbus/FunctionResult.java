// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import io.vertx.core.json.JsonObject;

/**
 * What a function returned.
 *
 * @param result null, {@code Boolean}, a number ({@code Integer} where it fits, else {@code Long},
 *     {@code BigInteger} or {@code Double}), {@code String}, {@code List}, {@code Map} or, for a
 *     NumPy array, {@link Tensor}
 */
public record FunctionResult(Object result) {
  /** A JSON object as a result. */
  public static FunctionResult of(JsonObject json) {
    return new FunctionResult(FunctionValues.copy("result", json));
  }

  /**
   * The same with lists in the place of tensors.
   *
   * @throws RagbusException {@code SERIALIZATION} for a tensor with a number that is not finite
   */
  public FunctionResult withoutTensors() {
    return new FunctionResult(FunctionValues.json(result));
  }

  /**
   * The JSON reply of the contract, with lists in the place of tensors.
   *
   * @throws RagbusException {@code SERIALIZATION} for a tensor with a number that is not finite
   */
  public JsonObject toJson() {
    return new JsonObject().put("result", FunctionValues.json(result));
  }
}
