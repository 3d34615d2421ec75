// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import static org.assertj.core.api.Assertions.assertThat;

import dev.ragbus.Await;
import io.vertx.core.Vertx;
import io.vertx.core.json.JsonObject;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;

/** Lanes that run models, and the engine's own threads, give way; event loops do not. */
@EnabledOnOs(OS.LINUX)
class LanePriorityTest {
  /** Linux keeps so many characters of a thread's name. */
  private static final int NAME_CHARS = 15;

  private static final int NICENESS_FIELD = 18;

  private static Set<Path> threads() throws IOException {
    try (Stream<Path> threads = Files.list(Path.of("/proc/self/task"))) {
      return threads.collect(Collectors.toSet());
    }
  }

  /**
   * The niceness of the threads of this process, by the beginnings of their names.
   *
   * @param except threads to pass over: an engine keeps threads, under the name of the lane that
   *     made them, beyond the deployment
   */
  private static Map<String, Set<Integer>> nicenessByThread(Set<Path> except) throws IOException {
    Map<String, Set<Integer>> found = new HashMap<>();
    for (Path thread : threads()) {
      if (except.contains(thread)) {
        continue;
      }
      try {
        String stat = Files.readString(thread.resolve("stat"));
        String name = stat.substring(stat.indexOf('(') + 1, stat.lastIndexOf(')'));
        List<String> fields = List.of(stat.substring(stat.lastIndexOf(')') + 2).split(" "));
        found
            .computeIfAbsent(name, of -> new HashSet<>())
            .add(Integer.parseInt(fields.get(NICENESS_FIELD - 2)));
      } catch (NoSuchFileException ended) {
        // Nobody asks for it.
      }
    }
    return found;
  }

  private static Set<Integer> of(Map<String, Set<Integer>> niceness, String thread) {
    return niceness.get(thread.substring(0, Math.min(NAME_CHARS, thread.length())));
  }

  private static Map<String, Set<Integer>> deployed(int niceness) throws IOException {
    Set<Path> before = threads();
    Vertx vertx = Vertx.vertx();
    JsonObject lanes = new JsonObject().put("niceness", niceness).put("inference", 1);
    try (TestService service = TestService.start(vertx, new JsonObject().put("lanes", lanes))) {
      Await.result(service.ragbus().embed("a text"));
      return nicenessByThread(before);
    } finally {
      Await.result(vertx.close());
    }
  }

  @Test
  void whatRunsModelsGivesWayToEventLoops() throws IOException {
    int own = of(nicenessByThread(Set.of()), "java").stream().max(Integer::compare).orElseThrow();
    int expected = Math.min(19, own + 7);
    Map<String, Set<Integer>> niceness = deployed(7);
    assertThat(of(niceness, "ragbus-lane-inference-0")).containsExactly(expected);
    // The engine's threads have the name of the lane that made them.
    assertThat(of(niceness, "ragbus-lane-loader-0")).containsExactly(expected);
    assertThat(of(niceness, "ragbus-lane-control-0")).containsExactly(own);
    assertThat(of(niceness, "ragbus-lane-function-0")).containsExactly(own);
    assertThat(of(niceness, "vert.x-eventloop-thread-0")).containsExactly(own);
  }
}
