// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.cluster;

import dev.ragbus.DecodeRequest;
import dev.ragbus.EmbedRequest;
import dev.ragbus.EmbedSparseRequest;
import dev.ragbus.FunctionCall;
import dev.ragbus.FunctionName;
import dev.ragbus.FunctionQuery;
import dev.ragbus.ModelQuery;
import dev.ragbus.PredictRequest;
import dev.ragbus.RerankRequest;
import dev.ragbus.TokenizeRequest;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import java.util.List;

/** What a front has to know of a request before a worker reads it, typed or JSON. */
final class Requests {
  private static final int CHARS_PER_TOKEN = 4;

  /** Of a longer text a model reads no more. */
  private static final int MAX_TOKENS_PER_TEXT = 512;

  /** The special tokens of a text. */
  private static final int TOKENS_PER_TEXT = 2;

  private Requests() {}

  /** The model or function that a request names; null for none, and for one that is malformed. */
  static String name(Object body, Route.Target target) {
    if (body instanceof JsonObject json) {
      Object name = json.getValue(target == Route.Target.FUNCTION ? "name" : "model");
      return name instanceof String text ? plain(text) : null;
    }
    if (body instanceof EmbedRequest embed) {
      return embed.model();
    }
    if (body instanceof EmbedSparseRequest embed) {
      return embed.model();
    }
    if (body instanceof PredictRequest predict) {
      return predict.model();
    }
    if (body instanceof RerankRequest rerank) {
      return rerank.model();
    }
    if (body instanceof TokenizeRequest tokenize) {
      return tokenize.model();
    }
    if (body instanceof DecodeRequest decode) {
      return decode.model();
    }
    if (body instanceof ModelQuery query) {
      return plain(query.model());
    }
    if (body instanceof FunctionCall call) {
      return call.name();
    }
    if (body instanceof FunctionName function) {
      return function.name();
    }
    return body instanceof FunctionQuery function ? function.name() : null;
  }

  /** The name in a cache key. */
  private static String plain(String model) {
    return model == null ? null : model.replaceFirst("^[a-z-]+:", "");
  }

  /** About how many tokens it takes; 1 for what runs no model. */
  static long tokens(Object body) {
    if (body instanceof EmbedRequest embed) {
      return 1 + given(embed.tokens()) + tokens(embed.texts(), embed.prompt());
    }
    if (body instanceof EmbedSparseRequest embed) {
      return 1 + given(embed.tokens()) + tokens(embed.texts(), embed.prompt());
    }
    if (body instanceof PredictRequest predict) {
      return 1 + tokens(predict.texts(), null);
    }
    if (body instanceof RerankRequest rerank) {
      return 1 + tokens(rerank.texts(), rerank.query());
    }
    if (body instanceof JsonObject json && json.getValue("texts") instanceof JsonArray texts) {
      String query = json.getValue("query") instanceof String text ? text : null;
      return 1 + tokens(texts.getList(), query);
    }
    return 1;
  }

  private static long given(List<List<Integer>> tokens) {
    return tokens == null ? 0 : tokens.stream().mapToLong(List::size).sum();
  }

  private static long tokens(List<?> texts, String beside) {
    long besideChars = chars(beside);
    long tokens = 0;
    for (Object text : texts) {
      long chars = chars(text);
      tokens +=
          Math.min(MAX_TOKENS_PER_TEXT, (besideChars + chars) / CHARS_PER_TOKEN + TOKENS_PER_TEXT);
    }
    return tokens;
  }

  private static long chars(Object text) {
    if (text instanceof PredictRequest.Input input) {
      return chars(input.text()) + chars(input.second());
    }
    return text instanceof String string ? string.length() : 0;
  }
}
