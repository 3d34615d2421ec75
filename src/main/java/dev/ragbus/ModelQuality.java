// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

/**
 * How near a model that was made int8 comes to itself in float32, on texts that it was not
 * calibrated on.
 *
 * @param statistic what {@code value} is: {@code mean_cosine} over texts for an embedding model,
 *     {@code correlation} of raw scores over pairs of texts for a cross-encoder
 * @param value what {@code models.min_int8_cosine} applies to
 * @param worst the smallest cosine, or the largest difference between two raw scores
 * @param texts how many texts, or pairs
 */
public record ModelQuality(String statistic, double value, double worst, int texts) {}
