// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import static org.assertj.core.api.Assertions.assertThat;

import com.code_intelligence.jazzer.junit.FuzzTest;
import dev.ragbus.Await;
import dev.ragbus.RagbusException;
import dev.ragbus.RagbusException.Kind;
import io.vertx.core.Vertx;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.json.DecodeException;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;

/** JSON Schemas from strangers, and values held against them. */
class SchemaFuzzTest {
  private static final FunctionSchema.Compiler COMPILER = compiler();

  private static FunctionSchema.Compiler compiler() {
    Vertx vertx = Vertx.vertx();
    FunctionSchema.Compiler compiler = new FunctionSchema.Compiler(vertx);
    Await.result(vertx.close());
    return compiler;
  }

  /** A list: the schema, then values. */
  @FuzzTest(maxDuration = "60s")
  void schema(byte[] data) {
    JsonArray all;
    try {
      all = new JsonArray(Buffer.buffer(data));
    } catch (DecodeException notJson) {
      return;
    }
    if (all.isEmpty() || !(all.getValue(0) instanceof JsonObject schema)) {
      return;
    }
    try {
      FunctionSchema compiled = COMPILER.compile("input_schema", schema);
      for (int i = 1; i < all.size() && compiled != null; i++) {
        FunctionSchema.Violation violation = compiled.violation(all.getValue(i));
        if (violation != null) {
          assertThat(FunctionSchema.written(violation.path()) + violation.problem()).isNotBlank();
        }
      }
    } catch (RagbusException e) {
      assertThat(e.kind()).isEqualTo(Kind.INVALID);
    }
  }
}
