// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonParser.NumberType;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.databind.DeserializationContext;
import com.fasterxml.jackson.databind.annotation.JsonDeserialize;
import com.fasterxml.jackson.databind.deser.std.StdDeserializer;
import dev.ragbus.EmbedRequest;
import dev.ragbus.RagbusException;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/**
 * What is to be embedded, in the forms that OpenAI, Jina and TEI take it in: a text or a list of
 * texts, each a string or an object with one as its {@code "text"}; or token ids, one list or a
 * list of them.
 *
 * @param texts the texts; empty where there are tokens
 * @param tokens the token ids; null where there are texts
 */
@JsonDeserialize(using = Inputs.Reader.class)
record Inputs(List<String> texts, List<List<Integer>> tokens) {

  /** How many there are. */
  int count() {
    return tokens == null ? texts.size() : tokens.size();
  }

  /** The request for them, with all defaults. */
  EmbedRequest request() {
    return tokens == null ? EmbedRequest.of(texts) : EmbedRequest.ofTokens(tokens);
  }

  /** These, which must be there and not be none. */
  static Inputs required(String field, Inputs inputs) {
    if (inputs == null) {
      throw RagbusException.invalid(field + " is required");
    }
    if (inputs.count() == 0) {
      throw RagbusException.invalid(field + " must not be empty");
    }
    return inputs;
  }

  static final class Reader extends StdDeserializer<Inputs> {
    private static final long serialVersionUID = 1L;

    Reader() {
      super(Inputs.class);
    }

    @Override
    public Inputs deserialize(JsonParser parser, DeserializationContext context)
        throws IOException {
      String field = parser.currentName();
      if (parser.hasToken(JsonToken.VALUE_STRING)) {
        return new Inputs(List.of(parser.getText()), null);
      }
      if (!parser.hasToken(JsonToken.START_ARRAY)) {
        throw RagbusException.invalid(
            field + " must be a string, a list of strings, or token ids in lists of integers");
      }
      return switch (parser.nextToken()) {
        case VALUE_NUMBER_INT -> new Inputs(List.of(), List.of(ids(parser, field)));
        case START_ARRAY -> new Inputs(List.of(), lists(parser, field));
        default -> new Inputs(texts(parser, field), null);
      };
    }

    private static List<String> texts(JsonParser parser, String field) throws IOException {
      List<String> texts = new ArrayList<>();
      while (!parser.hasToken(JsonToken.END_ARRAY)) {
        texts.add(TextsReader.text(parser, field + "[" + texts.size() + "]"));
        parser.nextToken();
      }
      return texts;
    }

    private static List<List<Integer>> lists(JsonParser parser, String field) throws IOException {
      List<List<Integer>> lists = new ArrayList<>();
      while (!parser.hasToken(JsonToken.END_ARRAY)) {
        String name = field + "[" + lists.size() + "]";
        if (!parser.hasToken(JsonToken.START_ARRAY)) {
          throw RagbusException.invalid(name + " must be a list of token ids like the others");
        }
        parser.nextToken();
        lists.add(ids(parser, name));
        parser.nextToken();
      }
      return lists;
    }

    private static List<Integer> ids(JsonParser parser, String field) throws IOException {
      List<Integer> ids = new ArrayList<>();
      while (!parser.hasToken(JsonToken.END_ARRAY)) {
        if (!parser.hasToken(JsonToken.VALUE_NUMBER_INT)
            || parser.getNumberType() != NumberType.INT) {
          throw RagbusException.invalid(
              field + "[" + ids.size() + "] must be a token id, an integer in range");
        }
        ids.add(parser.getIntValue());
        parser.nextToken();
      }
      return ids;
    }
  }
}
