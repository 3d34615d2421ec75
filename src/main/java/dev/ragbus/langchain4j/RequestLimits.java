// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.langchain4j;

import java.util.ArrayList;
import java.util.List;

/**
 * How a call with many texts is cut into requests to Ragbus. The fewer the better: Ragbus makes
 * batches of its own, and the texts of a request are sorted by length in it.
 *
 * @param maxTexts the most texts of a request, at least 1; not more than the deployment's {@code
 *     limits.max_texts}, or {@code limits.max_documents} for scoring
 * @param maxChars the most characters of a request, at least 1; not more than the deployment's
 *     {@code limits.max_request_chars}. A text that is longer goes alone
 * @param maxUnderWay the most requests of one call under way at once, at least 1
 * @param maxRetries how often a request is sent again that was refused with a {@link
 *     dev.ragbus.RagbusException#retryable() retryable} failure, at least 0
 */
public record RequestLimits(int maxTexts, int maxChars, int maxUnderWay, int maxRetries) {
  private static final int MAX_CHARS = 8_000_000;
  private static final int MAX_UNDER_WAY = 2;
  private static final int MAX_RETRIES = 2;

  /** By the default limits of a deployment: 2,048 texts a request, two requests under way. */
  public static final RequestLimits EMBEDDING =
      new RequestLimits(2_048, MAX_CHARS, MAX_UNDER_WAY, MAX_RETRIES);

  /** By the default limits of a deployment: 10,000 texts a request, two requests under way. */
  public static final RequestLimits SCORING =
      new RequestLimits(10_000, MAX_CHARS, MAX_UNDER_WAY, MAX_RETRIES);

  /** Checks the ranges. */
  public RequestLimits {
    atLeast(1, "maxTexts", maxTexts);
    atLeast(1, "maxChars", maxChars);
    atLeast(1, "maxUnderWay", maxUnderWay);
    atLeast(0, "maxRetries", maxRetries);
  }

  private static void atLeast(int least, String name, int value) {
    if (value < least) {
      throw new IllegalArgumentException(name + " must be at least " + least + ", not " + value);
    }
  }

  /**
   * The texts in order, cut into as few requests as the limits allow.
   *
   * @param otherChars what each request holds besides its texts, in characters
   */
  List<List<String>> split(List<String> texts, int otherChars) {
    List<List<String>> requests = new ArrayList<>();
    int first = 0;
    while (first < texts.size()) {
      int end = first;
      long chars = otherChars;
      do {
        chars += texts.get(end).length();
        end++;
      } while (end < texts.size()
          && end - first < maxTexts
          && chars + texts.get(end).length() <= maxChars);
      requests.add(texts.subList(first, end));
      first = end;
    }
    return requests;
  }
}
