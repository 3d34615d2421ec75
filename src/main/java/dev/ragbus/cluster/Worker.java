// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.cluster;

import dev.ragbus.Addresses;
import dev.ragbus.RagbusException;
import io.vertx.core.Promise;
import io.vertx.core.eventbus.Message;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.function.Function;

/** One worker as a front knows it. Belongs to the front's event loop. */
final class Worker implements Router.Candidate {
  private final String id;
  private final Addresses addresses;
  private final Backlog backlog = new Backlog();
  private final Set<Sent> underWay = new LinkedHashSet<>();
  private final List<OpenStream> streams = new ArrayList<>();
  private Announcement told;
  private long toldNanos;
  private boolean silent;
  private boolean leaving;

  Worker(String id, Addresses addresses) {
    this.id = id;
    this.addresses = addresses;
  }

  /** A request on its way to a worker, and its answer: the worker's, or that it is lost. */
  static final class Sent {
    private final long tokens;
    private final boolean repeatable;
    private final Promise<Message<Object>> answer = Promise.promise();

    private Sent(long tokens, boolean repeatable) {
      this.tokens = tokens;
      this.repeatable = repeatable;
    }

    /** Completes once, with the first answer. */
    Promise<Message<Object>> answer() {
      return answer;
    }
  }

  /**
   * A stream that a worker writes to a caller.
   *
   * @param id the request's id
   * @param address the caller's
   * @param repeatable whether the request may be sent again
   * @param endNanos when it has ended at the latest
   */
  record OpenStream(String id, String address, boolean repeatable, long endNanos) {}

  /** It has told of itself. */
  void told(Announcement announcement, long nowNanos) {
    told = announcement;
    toldNanos = nowNanos;
    silent = false;
    backlog.announced(announcement.tokens(), announcement.tokensPerSecond());
  }

  /** For so long nothing could be heard of it. */
  void nothingHeardFor(long nanos, long nowNanos) {
    toldNanos += Math.min(nanos, quietNanos(nowNanos));
  }

  /** How long it has told nothing. */
  long quietNanos(long nowNanos) {
    return nowNanos - toldNanos;
  }

  /** Notes whether it has been silent for longer than it should. */
  void silent(boolean silent) {
    this.silent = silent;
  }

  /** A request of so many tokens is on its way to it, until its answer is complete. */
  Sent sent(long tokens, boolean repeatable) {
    Sent sent = new Sent(tokens, repeatable);
    underWay.add(sent);
    backlog.sent(tokens);
    sent.answer.future().onComplete(answered -> ended(sent));
    return sent;
  }

  private void ended(Sent sent) {
    underWay.remove(sent);
    backlog.ended(sent.tokens);
  }

  /** It is gone: whatever is on its way to it fails, in words for what may be repeated or not. */
  void lost(Function<Boolean, RagbusException> failure) {
    List.copyOf(underWay).forEach(sent -> sent.answer.tryFail(failure.apply(sent.repeatable)));
  }

  /** It writes a stream to a caller. */
  void streams(OpenStream stream, long nowNanos) {
    streams.removeIf(each -> each.endNanos() - nowNanos < 0);
    streams.add(stream);
  }

  /** The streams that it may still be writing. */
  List<OpenStream> streams(long nowNanos) {
    return streams.stream().filter(each -> each.endNanos() - nowNanos >= 0).toList();
  }

  String id() {
    return id;
  }

  /** What it has told last. */
  Announcement told() {
    return told;
  }

  Addresses addresses() {
    return addresses;
  }

  /** It is asked to go, whether or not it has told so yet. */
  void leaving() {
    leaving = true;
  }

  /** Whether it takes requests. */
  boolean serving() {
    return told.state() == Announcement.State.SERVING && !leaving;
  }

  /** Whether it is to go on, though it may be down or silent for now. */
  boolean staying() {
    return told.state() != Announcement.State.DRAINING && !leaving;
  }

  /** Whether it would refuse so many more tokens. */
  boolean full(long tokens) {
    return told.items() >= told.maxItems() || backlog.tokens() + tokens > told.maxTokens();
  }

  @Override
  public double waitSeconds() {
    return backlog.waitSeconds();
  }

  @Override
  public double tokensPerSecond() {
    return backlog.tokensPerSecond();
  }

  @Override
  public boolean known() {
    return !silent;
  }

  /** What there is to see of it, in words. */
  String described() {
    String state = silent ? "silent" : told.state().name().toLowerCase(Locale.ROOT);
    return state
        + "; "
        + told.lanes()
        + " lanes; "
        + backlog.tokens()
        + " tokens to do; "
        + told.models();
  }
}
