package dev.ragbus.examples.search;

import dev.ragbus.Addresses;
import dev.ragbus.EmbedRequest;
import dev.ragbus.EmbeddingType;
import dev.ragbus.Embeddings;
import dev.ragbus.MessageCodecs;
import dev.ragbus.RagbusException;
import dev.ragbus.Usage;
import io.vertx.core.Vertx;
import io.vertx.core.eventbus.Message;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;

/**
 * A service on the event bus whose answers to {@code rag.embed} a test decides: a vector of one
 * dimension, the text's length, or a failure. It answers when the test says.
 */
final class FakeRagbus {
  private final List<Message<EmbedRequest>> waiting = new ArrayList<>();
  private int mostTexts;
  private int texts;

  FakeRagbus(Vertx vertx) {
    MessageCodecs.register(vertx);
    vertx.eventBus().<EmbedRequest>consumer(Addresses.defaults().embed(), this::received);
  }

  private synchronized void received(Message<EmbedRequest> message) {
    texts += message.body().count();
    mostTexts = Math.max(mostTexts, texts);
    waiting.add(message);
  }

  /** How many requests wait for an answer. */
  synchronized int waiting() {
    return waiting.size();
  }

  /** The most texts that ever waited at once. */
  synchronized int mostTexts() {
    return mostTexts;
  }

  /** Answers all that wait: with vectors where there is no failure for a request. */
  synchronized void answer(Function<EmbedRequest, RagbusException> failure) {
    List<Message<EmbedRequest>> all = List.copyOf(waiting);
    waiting.clear();
    for (Message<EmbedRequest> message : all) {
      texts -= message.body().count();
      RagbusException refused = failure.apply(message.body());
      message.reply(refused == null ? vectors(message.body()) : refused);
    }
  }

  private static Embeddings vectors(EmbedRequest request) {
    float[] values = new float[request.count()];
    for (int at = 0; at < values.length; at++) {
      values[at] = request.texts().get(at).length();
    }
    return new Embeddings(values, "fake", 1, values.length, EmbeddingType.FLOAT, Usage.NONE);
  }
}
