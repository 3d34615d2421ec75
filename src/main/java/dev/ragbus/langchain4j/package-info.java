/**
 * Ragbus as a model of langchain4j, for applications that have {@code langchain4j-core}. Over the
 * {@link dev.ragbus.Ragbus} client alone.
 */
package dev.ragbus.langchain4j;
