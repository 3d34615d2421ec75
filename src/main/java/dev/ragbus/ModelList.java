package dev.ragbus;

import java.util.List;

/**
 * The loaded models.
 *
 * @param cachedModels one entry a model
 * @param totalCount how many there are
 */
public record ModelList(List<ModelInfo> cachedModels, int totalCount) {}
