// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import dev.ragbus.FunctionCall;
import dev.ragbus.RagbusException;
import dev.ragbus.service.FunctionSchema.Violation;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A call's arguments by the names of the function's parameters, which is what an input schema
 * describes.
 *
 * <p>Arguments by position take the parameters' names in order; those by name keep theirs. One
 * dictionary that is the only argument stands for itself where the schema does not name the
 * parameter that takes it. Arguments beyond the parameters are left to Python, which refuses them
 * or not.
 *
 * @param values the arguments by name
 * @param places where each came from, for messages: {@code args[0]}, {@code kwargs.x}
 * @param whole where the values come from as a whole, for messages
 */
record BoundArguments(Map<String, Object> values, Map<String, String> places, String whole) {
  /**
   * Binds arguments.
   *
   * @param parameters names of the parameters that take arguments by position, in order
   * @param dictionaryItself whether one dictionary that is the only argument stands for itself
   */
  static BoundArguments of(FunctionCall call, List<String> parameters, boolean dictionaryItself) {
    List<Object> positional = call.positional();
    boolean list = call.args() instanceof List<?>;
    Map<String, Object> values = new LinkedHashMap<>();
    Map<String, String> places = new LinkedHashMap<>();
    String whole = "args";
    if (dictionaryItself && positional.size() == 1 && positional.get(0) instanceof Map<?, ?>) {
      whole = list ? "args[0]" : "args";
      for (Map.Entry<?, ?> entry : ((Map<?, ?>) positional.get(0)).entrySet()) {
        values.put((String) entry.getKey(), entry.getValue());
        places.put((String) entry.getKey(), whole + "." + entry.getKey());
      }
    } else {
      for (int i = 0; i < Math.min(positional.size(), parameters.size()); i++) {
        values.put(parameters.get(i), positional.get(i));
        places.put(parameters.get(i), list ? "args[" + i + "]" : "args");
      }
    }
    for (Map.Entry<String, Object> entry : call.kwargs().entrySet()) {
      values.put(entry.getKey(), entry.getValue());
      places.put(entry.getKey(), "kwargs." + entry.getKey());
    }
    return new BoundArguments(values, places, whole);
  }

  /**
   * Holds a call's arguments against a schema. One that does not describe an object is held against
   * the list of arguments by position.
   *
   * @throws RagbusException {@code INVALID}, naming the place
   */
  static void check(FunctionCall call, List<String> parameters, FunctionSchema schema) {
    FunctionCall plain = call.withoutTensors();
    if (!schema.isOfObject()) {
      Violation violation = schema.violation(plain.positional());
      if (violation != null) {
        throw broken("args" + FunctionSchema.written(violation.path()), violation);
      }
      return;
    }
    boolean named = !parameters.isEmpty() && schema.properties().contains(parameters.get(0));
    of(plain, parameters, !named).check(schema);
  }

  /** Holds the arguments against a schema; throws {@code INVALID}, naming the place. */
  void check(FunctionSchema schema) {
    Violation violation = schema.violation(values);
    if (violation != null) {
      List<String> path = violation.path();
      String place =
          path.isEmpty()
              ? whole
              : places.getOrDefault(path.get(0), whole + "." + path.get(0))
                  + FunctionSchema.written(path.subList(1, path.size()));
      throw broken(place, violation);
    }
  }

  private static RagbusException broken(String place, Violation violation) {
    return RagbusException.invalid(place + " breaks the input schema: " + violation.problem());
  }
}
