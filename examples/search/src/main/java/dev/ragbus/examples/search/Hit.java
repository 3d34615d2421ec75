package dev.ragbus.examples.search;

/**
 * A chunk that was found.
 *
 * @param path the document's path in the folder
 * @param chunk the chunk
 * @param lexicalRank its rank by its words (BM25), from 1; null if it was not among the best
 * @param vectorRank its rank by its vector, from 1; null if it was not among the best
 */
record Hit(String path, Chunk chunk, Integer lexicalRank, Integer vectorRank) {}
