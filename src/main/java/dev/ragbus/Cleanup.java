// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import java.util.List;

/**
 * What cleaning up came to.
 *
 * @param status always {@code cleaned}
 * @param clearedModels the cache keys of the models that are gone
 * @param collected objects that Python's collector found unreachable
 * @param residentBytesBefore resident memory of the process before
 * @param residentBytesAfter resident memory of the process after
 */
public record Cleanup(
    String status,
    List<String> clearedModels,
    long collected,
    long residentBytesBefore,
    long residentBytesAfter) {}
