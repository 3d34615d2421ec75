// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.langchain4j;

import dev.langchain4j.model.embedding.response.EmbeddingResponseMetadata;
import dev.langchain4j.model.output.TokenUsage;
import java.util.List;

/** The metadata of an answer: the model that served it, the tokens it read, the texts it cut. */
public final class RagbusEmbeddingMetadata extends EmbeddingResponseMetadata {
  private final List<Integer> truncated;

  RagbusEmbeddingMetadata(String modelName, TokenUsage tokenUsage, List<Integer> truncated) {
    super(builder().modelName(modelName).tokenUsage(tokenUsage));
    this.truncated = List.copyOf(truncated);
  }

  /** The indices of the inputs that were longer than the model takes and were cut, ascending. */
  public List<Integer> truncated() {
    return truncated;
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof RagbusEmbeddingMetadata that
        && super.equals(other)
        && truncated.equals(that.truncated);
  }

  @Override
  public int hashCode() {
    return 31 * super.hashCode() + truncated.hashCode();
  }

  @Override
  public String toString() {
    return "RagbusEmbeddingMetadata{modelName='"
        + modelName()
        + "', tokenUsage="
        + tokenUsage()
        + ", truncated="
        + truncated
        + "}";
  }
}
