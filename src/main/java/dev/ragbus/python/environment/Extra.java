// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.python.environment;

import java.util.List;
import java.util.Optional;

/**
 * What is known of an extra beside its requirement lock. Megabytes are those of Linux on x86_64.
 *
 * @param module what must be importable where it is installed
 * @param installedMegabytes what it takes beside the packages that every environment has
 * @param downloadMegabytes what is downloaded for that
 * @param replaces a package of every environment whose files it brings itself
 */
record Extra(
    String name,
    String module,
    long installedMegabytes,
    long downloadMegabytes,
    Optional<String> replaces) {
  private static final List<Extra> KNOWN =
      List.of(
          new Extra("cuda", "onnxruntime", 2_420, 1_600, Optional.of("onnxruntime")),
          new Extra("quantize", "nncf", 240, 70, Optional.empty()),
          new Extra("torch", "sentence_transformers", 5_750, 3_100, Optional.empty()));

  /** Those of some extras that something is known of. */
  static List<Extra> of(List<String> names) {
    return KNOWN.stream().filter(extra -> names.contains(extra.name)).toList();
  }

  /** The free space that installing it takes for a while: what was downloaded lies beside it. */
  long neededMegabytes() {
    return installedMegabytes + downloadMegabytes;
  }
}
