package dev.ragbus.examples.search;

import java.util.List;

/**
 * A document as the index takes it.
 *
 * @param path its path in the folder
 * @param hash of the file's bytes
 * @param chunks at least one
 * @param vectors one a chunk, of length 1
 */
record IndexedDocument(String path, String hash, List<Chunk> chunks, List<float[]> vectors) {}
