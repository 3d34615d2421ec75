// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.python.environment;

import java.io.IOException;
import java.net.URL;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * The requirement locks that are packed beside this class: {@code runtime}, {@code jep}, and one
 * for each extra. Each pins every package by version and hash.
 */
record RequirementLocks(ResourceTree tree) {
  private static final Pattern JEP = Pattern.compile("(?m)^jep==(\\S+)");
  private static final Pattern PIN = Pattern.compile("(?m)^[A-Za-z0-9][A-Za-z0-9._-]*==");

  static RequirementLocks shipped() throws IOException {
    URL runtime =
        RequirementLocks.class.getResource("/dev/ragbus/python/requirements/runtime.lock");
    if (runtime == null) {
      throw new PythonEnvironmentException(
          "Ragbus's jar lacks its requirement locks (dev/ragbus/python/requirements): build it anew");
    }
    return around(runtime);
  }

  /** All the locks beside one of them. */
  static RequirementLocks around(URL lock) throws IOException {
    return new RequirementLocks(ResourceTree.around(lock, name -> name.endsWith(".lock")));
  }

  /** Refuses an extra that there is no lock for. */
  void check(List<String> extras) {
    List<String> known = new ArrayList<>();
    for (String file : tree.files().keySet()) {
      known.add(file.substring(0, file.length() - ".lock".length()));
    }
    known.removeAll(List.of("runtime", "jep"));
    for (String extra : extras) {
      if (!known.contains(extra)) {
        throw new PythonEnvironmentException(
            "There is no extra '" + extra + "'; the extras are " + known);
      }
    }
  }

  /** The version of jep that is built. */
  String jepVersion() throws IOException {
    Matcher pin = JEP.matcher(text("jep"));
    if (!pin.find()) {
      throw new PythonEnvironmentException("jep.lock pins no version of jep");
    }
    return pin.group(1);
  }

  /** How many packages a lock pins, those for other platforms too. */
  int pins(String name) throws IOException {
    return (int) PIN.matcher(text(name)).results().count();
  }

  /** Changes when one of the locks that an environment with these extras is made of does. */
  String fingerprint(List<String> extras) {
    return tree.files().entrySet().stream()
        .filter(file -> wanted(file.getKey(), extras))
        .map(file -> file.getKey() + " " + file.getValue().fingerprint())
        .collect(Collectors.joining("\n"));
  }

  private static boolean wanted(String file, List<String> extras) {
    String name = file.substring(0, file.length() - ".lock".length());
    return name.equals("runtime") || name.equals("jep") || extras.contains(name);
  }

  /** Writes a lock where pip can read it. */
  Path write(String name, Path folder) throws IOException {
    return Files.writeString(folder.resolve(name + ".lock"), text(name));
  }

  private String text(String name) throws IOException {
    ResourceTree.Resource file = tree.files().get(name + ".lock");
    return new String(file.bytes(), StandardCharsets.UTF_8);
  }
}
