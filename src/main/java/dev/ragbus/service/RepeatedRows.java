// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import com.github.benmanes.caffeine.cache.Cache;
import com.github.benmanes.caffeine.cache.Caffeine;
import dev.ragbus.ModelType;
import dev.ragbus.RagbusOptions;
import dev.ragbus.python.Engine.TokenRow;
import dev.ragbus.python.RowValues;
import java.util.Arrays;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/**
 * Rows that are the same as others: with {@code batching.coalesce} they wait for the one that is
 * under way, with {@code batching.cache_bytes} they are answered with what came of an earlier one.
 *
 * <p>Rows are the same if the same loaded model would read the same tokens and finish in the same
 * way; a model that was loaded again is another one. Not those of cross-encoders: each has a query
 * of its own. Belongs to the event loop of its {@link Batcher}.
 */
final class RepeatedRows {
  /** What an entry takes besides its tokens and numbers. */
  private static final int ENTRY_BYTES = 200;

  /** All that the numbers of a row depend on. */
  private static final class Key {
    private final int handle;
    private final int[] ids;
    private final int boundary;
    private final int dimensions;
    private final boolean finish;
    private final int hash;

    Key(Row row) {
      TokenRow tokens = row.tokens();
      handle = row.job().spec().model().engineModel().handle();
      ids = Arrays.copyOfRange(tokens.ids(), tokens.offset(), tokens.offset() + tokens.length());
      boundary = tokens.boundary();
      dimensions = tokens.dimensions();
      finish = tokens.finish();
      hash = 31 * (31 * (31 * handle + boundary) + dimensions) + Arrays.hashCode(ids);
    }

    @Override
    public boolean equals(Object other) {
      return other instanceof Key that
          && handle == that.handle
          && boundary == that.boundary
          && dimensions == that.dimensions
          && finish == that.finish
          && Arrays.equals(ids, that.ids);
    }

    @Override
    public int hashCode() {
      return hash;
    }
  }

  private final boolean coalesce;
  private final Cache<Key, RowValues> results;

  /** The rows under way that others may wait for, and who does. */
  private final Map<Key, Row> leaders = new HashMap<>();

  private final IdentityHashMap<Row, Key> keys = new IdentityHashMap<>();
  private final IdentityHashMap<Row, TreeSet<Row>> followers = new IdentityHashMap<>();

  private long coalesced;
  private long cached;

  RepeatedRows(RagbusOptions.Batching options) {
    coalesce = options.coalesce();
    results =
        options.cacheBytes() == 0
            ? null
            : Caffeine.newBuilder()
                .maximumWeight(options.cacheBytes())
                .weigher(RepeatedRows::bytes)
                .executor(Runnable::run)
                .build();
  }

  private static int bytes(Key key, RowValues values) {
    return ENTRY_BYTES + Integer.BYTES * key.ids.length + values.bytes();
  }

  /** Whether rows of the job may be the same as others. */
  boolean concern(Job job) {
    return (coalesce || results != null) && job.spec().model().type() != ModelType.CROSS_ENCODER;
  }

  /**
   * Meets a row that is about to wait for a lane.
   *
   * @return its numbers where they are known: it needs no lane; else null
   */
  RowValues known(Row row) {
    if (!concern(row.job())) {
      return null;
    }
    Key key = new Key(row);
    RowValues values = results == null ? null : results.getIfPresent(key);
    if (values == null) {
      keys.put(row, key);
    } else {
      cached++;
    }
    return values;
  }

  /** Whom a row that is not known waits for, being the same; null: others wait for it. */
  Row leader(Row row) {
    Key key = coalesce ? keys.get(row) : null;
    Row leader = key == null ? null : leaders.putIfAbsent(key, row);
    if (leader != null) {
      coalesced++;
      followers.computeIfAbsent(leader, none -> new TreeSet<>(Row.BY_TURN)).add(row);
    }
    return leader;
  }

  /** A row changes places with the one that it waits for. */
  void changePlaces(Row follower, Row leader) {
    TreeSet<Row> waiting = followers.remove(leader);
    waiting.remove(follower);
    waiting.add(leader);
    followers.put(follower, waiting);
    leaders.put(keys.get(leader), follower);
  }

  /** The row whose numbers are this one's too: whom it waits for, or itself. */
  Row runsFor(Row row) {
    Key key = keys.get(row);
    return key == null ? row : leaders.getOrDefault(key, row);
  }

  /** A row has its numbers; returns those that waited for it, which have them too. */
  List<Row> ended(Row row, RowValues values) {
    Key key = keys.remove(row);
    if (key == null) {
      return List.of();
    }
    if (results != null) {
      results.put(key, values.copy());
    }
    leaders.remove(key, row);
    Set<Row> waited = followers.remove(row);
    if (waited == null) {
      return List.of();
    }
    waited.forEach(keys::remove);
    return List.copyOf(waited);
  }

  /**
   * A row waits no more, and has no numbers.
   *
   * @return who takes its place: the first of those that waited for it; null for none
   */
  Row gone(Row row) {
    Key key = keys.remove(row);
    Row leader = key == null ? null : leaders.get(key);
    if (leader == null) {
      return null;
    }
    if (!leader.equals(row)) {
      followers.get(leader).remove(row);
      return null;
    }
    TreeSet<Row> waiting = followers.remove(row);
    if (waiting == null || waiting.isEmpty()) {
      leaders.remove(key);
      return null;
    }
    Row next = waiting.pollFirst();
    leaders.put(key, next);
    followers.put(next, waiting);
    return next;
  }

  /** Forgets what came of earlier rows. */
  void clear() {
    if (results != null) {
      results.invalidateAll();
    }
  }

  /** Rows that waited for one that is the same. */
  long coalesced() {
    return coalesced;
  }

  /** Rows whose numbers were known. */
  long cached() {
    return cached;
  }
}
