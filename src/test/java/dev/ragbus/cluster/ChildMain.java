// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.cluster;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.locks.LockSupport;

/** A worker process for tests: says {@code serving} and does what its argument says. */
public final class ChildMain {
  static final String SERVING = "serving";

  /** What it prints before it ends, with {@code chatty}. */
  static final int CHATTER_LINES = 50_000;

  static final int LEAK_MEGABYTES = 200;

  private ChildMain() {}

  /** Runs until its input ends. */
  public static void main(String[] args) throws IOException {
    List<byte[]> leak = new ArrayList<>();
    switch (args[0]) {
      case "lives" -> endOn(0);
      case "mute" -> awaitEnd();
      case "ends" -> System.exit(3);
      case "stubborn" ->
          Runtime.getRuntime().addShutdownHook(new Thread(ChildMain::neverReturn, "stubborn"));
      case "chatty" -> {
        for (int i = 1; i <= CHATTER_LINES; i++) {
          System.out.println("chatter of number " + i);
        }
        System.exit(7);
      }
      case "leaks" -> {
        for (int i = 0; i < LEAK_MEGABYTES; i++) {
          byte[] megabyte = new byte[1 << 20];
          Arrays.fill(megabyte, (byte) 1);
          leak.add(megabyte);
        }
        endOn(0);
      }
      case "leaves" -> {
        // With the same pipes as this process.
        Process left = new ProcessBuilder("sleep", "300").inheritIO().start();
        System.out.println("left " + left.pid());
        System.out.flush();
        Runtime.getRuntime().halt(9);
      }
      default -> throw new IllegalArgumentException(args[0]);
    }
    System.out.println("input " + readLine());
    System.out.println(SERVING);
    awaitEnd();
    Runtime.getRuntime().halt(1 + leak.size());
  }

  private static void awaitEnd() throws IOException {
    while (System.in.read() >= 0) {
      // The front lives.
    }
  }

  private static String readLine() throws IOException {
    var line = new ByteArrayOutputStream();
    for (int next = System.in.read(); next >= 0 && next != '\n'; next = System.in.read()) {
      line.write(next);
    }
    return line.toString(StandardCharsets.UTF_8);
  }

  /** With what it ends on SIGTERM. */
  private static void endOn(int code) {
    Runtime.getRuntime().addShutdownHook(new Thread(() -> Runtime.getRuntime().halt(code), "end"));
  }

  private static void neverReturn() {
    while (true) {
      LockSupport.park();
    }
  }
}
