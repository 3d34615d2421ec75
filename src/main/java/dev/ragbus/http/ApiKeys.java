// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * API keys and what each may do. Only their SHA-256 is kept; a given key is compared with all of
 * them, each in constant time, so that the time taken tells nothing about any.
 */
final class ApiKeys {
  private static final Pattern LINE = Pattern.compile("(use|admin):([!-~]{16,512})");

  private final List<Entry> entries;

  private record Entry(Access access, byte[] sha256) {}

  /** Who has a key: a name for logs and counters that tells nothing about the key, and a role. */
  record Holder(String name, Access access) {}

  private ApiKeys(List<Entry> entries) {
    this.entries = entries;
  }

  /**
   * Reads keys; empty lines and those that begin with {@code #} are passed over.
   *
   * @param source where the lines are from, for messages, which never repeat a line
   * @throws IllegalArgumentException for a line that is none, or when there is no key
   */
  static ApiKeys read(String source, Stream<String> lines) {
    List<Entry> entries = new ArrayList<>();
    List<String> all = lines.map(String::strip).toList();
    for (int i = 0; i < all.size(); i++) {
      if (all.get(i).isEmpty() || all.get(i).startsWith("#")) {
        continue;
      }
      Matcher line = LINE.matcher(all.get(i));
      if (!line.matches()) {
        throw new IllegalArgumentException(
            source
                + ", line "
                + (i + 1)
                + ": must be use:KEY or admin:KEY, KEY being 16 to 512 printable ASCII characters"
                + " without spaces");
      }
      Access access = line.group(1).equals("admin") ? Access.ADMIN : Access.USE;
      entries.add(new Entry(access, sha256(line.group(2))));
    }
    if (entries.isEmpty()) {
      throw new IllegalArgumentException(source + " has no key");
    }
    return new ApiKeys(entries);
  }

  /** Whose key it is; empty for nobody's. */
  Optional<Holder> holder(String key) {
    byte[] given = sha256(key);
    Holder holder = null;
    for (int i = 0; i < entries.size(); i++) {
      if (MessageDigest.isEqual(given, entries.get(i).sha256)) {
        holder = new Holder("key " + (i + 1), entries.get(i).access);
      }
    }
    return Optional.ofNullable(holder);
  }

  private static byte[] sha256(String text) {
    try {
      return MessageDigest.getInstance("SHA-256").digest(text.getBytes(StandardCharsets.UTF_8));
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException(e);
    }
  }
}
