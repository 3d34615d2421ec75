// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;

/** Runs a command to its end and shows what it prints. */
public final class ChildProcess {
  private ChildProcess() {}

  /** The command's exit code. */
  public static int run(ProcessBuilder builder) throws IOException, InterruptedException {
    Process process = builder.redirectErrorStream(true).start();
    try (BufferedReader lines =
        new BufferedReader(
            new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8))) {
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        System.out.println(line);
      }
    }
    return process.waitFor();
  }
}
