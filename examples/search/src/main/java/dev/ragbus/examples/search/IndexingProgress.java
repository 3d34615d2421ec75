package dev.ragbus.examples.search;

import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import java.util.List;

/**
 * How far indexing is, as it is published.
 *
 * @param state what it is doing
 * @param message that, for people
 * @param found documents in the folder
 * @param unchanged of these, those that the index had as they are
 * @param indexed of these, those that were added or replaced
 * @param removed documents that were removed from the index, gone from the folder or refused
 * @param texts chunks embedded
 * @param textsPerSecond of these in a second, over the time that embedding took
 * @param skipped how much of the folder is not in the index
 * @param problems the first {@value #MOST_PROBLEMS} of these
 */
record IndexingProgress(
    State state,
    String message,
    int found,
    int unchanged,
    int indexed,
    int removed,
    long texts,
    long textsPerSecond,
    int skipped,
    List<Problem> problems) {
  static final int MOST_PROBLEMS = 100;

  /** What indexing is doing. */
  enum State {
    STARTING,
    INDEXING,
    DONE,
    FAILED
  }

  /** Before anything is known. */
  static IndexingProgress starting() {
    return new IndexingProgress(
        State.STARTING, "waiting for the models", 0, 0, 0, 0, 0, 0, 0, List.of());
  }

  JsonObject toJson() {
    JsonArray told = new JsonArray();
    problems.forEach(
        problem ->
            told.add(new JsonObject().put("path", problem.path()).put("reason", problem.reason())));
    return new JsonObject()
        .put("state", state.name())
        .put("message", message)
        .put("found", found)
        .put("unchanged", unchanged)
        .put("indexed", indexed)
        .put("removed", removed)
        .put("texts", texts)
        .put("texts_per_second", textsPerSecond)
        .put("skipped", skipped)
        .put("problems", told);
  }
}
