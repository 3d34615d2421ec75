// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.app;

import io.vertx.core.json.JsonObject;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.Optional;

/**
 * The front that has started this process as its worker. It has written one line to the standard
 * input, with the configuration; when that ends, the front is gone, however it went, and the
 * process ends with it at once.
 */
final class ParentWatch {
  /** The system property with the worker's id, which a front starts its workers with. */
  static final String ID_PROPERTY = "dev.ragbus.worker";

  /** With what the process ends when the front is gone: as if that had hung up. */
  static final int ORPHANED = 129;

  private ParentWatch() {}

  /** Whether a front has started this process. */
  static boolean present() {
    return System.getProperty(ID_PROPERTY) != null;
  }

  /**
   * Reads the line, sets the system properties that it has, and watches from then on. Blocks until
   * it has come; to be called before anything reads a property.
   *
   * @return the configuration; empty where no front has started this process
   */
  static Optional<JsonObject> begin() {
    if (!present()) {
      return Optional.empty();
    }
    InputStream in = System.in;
    JsonObject input = new JsonObject(line(in));
    input
        .getJsonObject("properties")
        .forEach(property -> System.setProperty(property.getKey(), (String) property.getValue()));
    Thread watch = new Thread(() -> awaitEnd(in), "ragbus-parent-watch");
    watch.setDaemon(true);
    watch.start();
    return Optional.of(input.getJsonObject("config"));
  }

  private static String line(InputStream in) {
    ByteArrayOutputStream line = new ByteArrayOutputStream();
    for (int next = next(in); next != '\n'; next = next(in)) {
      if (next < 0) {
        Runtime.getRuntime().halt(ORPHANED);
      }
      line.write(next);
    }
    return line.toString(StandardCharsets.UTF_8);
  }

  private static void awaitEnd(InputStream in) {
    while (next(in) >= 0) {
      // Nothing more is said.
    }
    Runtime.getRuntime().halt(ORPHANED);
  }

  private static int next(InputStream in) {
    try {
      return in.read();
    } catch (IOException e) {
      return -1;
    }
  }
}
