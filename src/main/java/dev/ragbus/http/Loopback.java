// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

import java.util.Locale;
import java.util.regex.Pattern;

/**
 * Which host names lead to this machine only. Names are judged as they are written, never resolved:
 * a name that a web page's owner points at 127.0.0.1 is not one of these.
 */
final class Loopback {
  private static final Pattern NAME = Pattern.compile("localhost|127(\\.\\d{1,3}){3}|::1|\\[::1]");

  private Loopback() {}

  static boolean is(String host) {
    return NAME.matcher(host.toLowerCase(Locale.ROOT)).matches();
  }
}
