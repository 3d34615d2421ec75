package dev.ragbus.examples.search;

/**
 * Something in the folder that is not in the index.
 *
 * @param path its path in the folder
 * @param reason why, for people
 */
record Problem(String path, String reason) {}
