// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import java.math.BigDecimal;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Where a request's time went in the service, in milliseconds. A moment counts as inference while
 * any of its texts is on a lane, else as tokenising while any is tokenised, else as queueing. What
 * the total has besides is reading, loading a model and making the reply.
 *
 * @param queueMillis waiting for the tokenizer or for a lane
 * @param tokenizeMillis being tokenised
 * @param inferenceMillis on a lane
 * @param totalMillis from the message's arrival to the reply
 */
public record Timings(
    double queueMillis, double tokenizeMillis, double inferenceMillis, double totalMillis) {
  private static final Pattern METRIC =
      Pattern.compile("(queue|tokenize|inference|total);dur=([0-9]{1,12}(?:\\.[0-9]{1,9})?)");

  /** In the form of the HTTP header {@code Server-Timing} (W3C Server Timing). */
  public String header() {
    return "queue;dur="
        + millis(queueMillis)
        + ", tokenize;dur="
        + millis(tokenizeMillis)
        + ", inference;dur="
        + millis(inferenceMillis)
        + ", "
        + total(totalMillis);
  }

  /** The part of {@link #header} that a request has which ran no texts. */
  public static String total(double totalMillis) {
    return "total;dur=" + millis(totalMillis);
  }

  /** With three decimals; not by {@code String.format}, since each reply has four of them. */
  private static String millis(double millis) {
    return BigDecimal.valueOf(Math.round(millis * 1_000), 3).toPlainString();
  }

  /** Reads {@link #header}'s form; a time that is not there is 0. */
  public static Timings parse(String header) {
    double queue = 0;
    double tokenize = 0;
    double inference = 0;
    double total = 0;
    Matcher metric = METRIC.matcher(header);
    while (metric.find()) {
      double millis = Double.parseDouble(metric.group(2));
      switch (metric.group(1)) {
        case "queue" -> queue = millis;
        case "tokenize" -> tokenize = millis;
        case "inference" -> inference = millis;
        default -> total = millis;
      }
    }
    return new Timings(queue, tokenize, inference, total);
  }

  /** Those of two requests together. */
  public Timings plus(Timings other) {
    return new Timings(
        queueMillis + other.queueMillis,
        tokenizeMillis + other.tokenizeMillis,
        inferenceMillis + other.inferenceMillis,
        totalMillis + other.totalMillis);
  }

  /** The same with another total. */
  public Timings withTotalMillis(double totalMillis) {
    return new Timings(queueMillis, tokenizeMillis, inferenceMillis, totalMillis);
  }
}
