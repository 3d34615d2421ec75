// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import dev.ragbus.RagbusException;
import dev.ragbus.RagbusException.Kind;
import dev.ragbus.python.FunctionLanes;
import dev.ragbus.python.FunctionLanes.Items;
import dev.ragbus.service.FunctionQueue.Terms;
import io.vertx.core.AsyncResult;
import io.vertx.core.json.JsonObject;
import java.util.function.Consumer;
import java.util.function.UnaryOperator;

/**
 * A generator under way: its items are pulled a few at a time, in turn with other calls of its
 * lane, while the reader takes them. Belongs to the service's event loop.
 */
final class ItemStream {
  /** Items of one pull; the lane serves others in between. */
  private static final int MAX_ITEMS = 8;

  /** No pull goes on for longer once it has an item. */
  private static final long MAX_MILLIS = 20;

  private final FunctionQueue queue;
  private final FunctionLanes lanes;
  private final FunctionLanes.Run run;
  private final Terms terms;
  private final BusStream stream;
  private final UnaryOperator<Object> check;
  private final Consumer<RagbusException> onEnd;
  private boolean pulling;
  private boolean over;

  /**
   * Takes over a generator that is open.
   *
   * @param terms of its lane
   * @param check returns an item, or throws what is wrong with it
   * @param onEnd called once, with null or the failure
   */
  ItemStream(
      FunctionQueue queue,
      FunctionLanes lanes,
      FunctionLanes.Run run,
      Terms terms,
      BusStream stream,
      UnaryOperator<Object> check,
      Consumer<RagbusException> onEnd) {
    this.queue = queue;
    this.lanes = lanes;
    this.run = run;
    this.terms = terms;
    this.stream = stream;
    this.check = check;
    this.onEnd = onEnd;
  }

  /** Tells that it begins, and pulls. */
  void start(String function) {
    stream.drainHandler(v -> pull());
    stream.exceptionHandler(unwanted -> breakOff(BusEndpoint.typed(unwanted)));
    stream.write(frame("start").put("name", function));
    pull();
  }

  private JsonObject frame(String type) {
    return new JsonObject().put("type", type).put("id", run.requestId());
  }

  private void pull() {
    if (over || pulling || stream.writeQueueFull()) {
      return;
    }
    pulling = true;
    queue
        .submit(terms, lane -> lanes.next(lane, run, MAX_ITEMS, MAX_MILLIS))
        .onComplete(this::pulled);
  }

  private void pulled(AsyncResult<Items> pulled) {
    pulling = false;
    if (over) {
      close();
    } else if (pulled.failed()) {
      failed(BusEndpoint.typed(pulled.cause()));
    } else {
      try {
        for (Object item : pulled.result().items()) {
          stream.write(frame("item").put("value", check.apply(item)));
        }
      } catch (RagbusException broken) {
        failed(broken);
        return;
      }
      if (over) {
        return; // its reader was gone when an item was written
      }
      if (pulled.result().done()) {
        over = true;
        stream.write(frame("end"));
        stream.end();
        onEnd.accept(null);
      } else {
        pull();
      }
    }
  }

  private void failed(RagbusException failure) {
    over = true;
    if (failure.kind() == Kind.TIMEOUT || failure.kind() == Kind.CANCELLED) {
      stream.breakOff(failure);
    } else {
      stream.fail(failure);
    }
    close();
    onEnd.accept(failure);
  }

  /** Ends it because nobody wants its items any more. */
  void cancel(RagbusException reason) {
    stream.breakOff(reason);
  }

  private void breakOff(RagbusException reason) {
    if (over) {
      return;
    }
    over = true;
    if (pulling) {
      lanes.cancel(run.call(), terms.hardCancel());
    } else {
      close();
    }
    onEnd.accept(reason);
  }

  /** Ends the generator on its lane; one that has ended is fine. */
  private void close() {
    queue.submitLast(terms, lane -> lanes.close(lane, run));
  }
}
