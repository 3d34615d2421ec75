/**
 * Hybrid search with streamed reranking over a folder of documents: what a Vert.x application that
 * uses Ragbus looks like.
 *
 * <p>{@link dev.ragbus.examples.search.IndexingVerticle} keeps the index equal to the folder,
 * {@link dev.ragbus.examples.search.QueryVerticle} serves the page and answers queries; both share
 * a {@link dev.ragbus.examples.search.SearchIndex} and talk to each other on the event bus.
 */
package dev.ragbus.examples.search;
