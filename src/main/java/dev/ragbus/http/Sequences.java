// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.databind.DeserializationContext;
import com.fasterxml.jackson.databind.annotation.JsonDeserialize;
import com.fasterxml.jackson.databind.deser.std.StdDeserializer;
import dev.ragbus.PredictRequest.Input;
import dev.ragbus.RagbusException;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/**
 * What is to be classified, in the forms that TEI takes it in: a string, a list of one string or
 * two (one text, or a pair), or a list of such lists.
 *
 * @param inputs the texts and pairs
 * @param single whether there is one that did not come in a list of them: its answer does not
 *     either
 */
@JsonDeserialize(using = Sequences.Reader.class)
record Sequences(List<Input> inputs, boolean single) {

  /** These, which must be there and not be none. */
  static Sequences required(Sequences sequences) {
    if (sequences == null) {
      throw RagbusException.invalid("inputs is required");
    }
    if (sequences.inputs.isEmpty()) {
      throw RagbusException.invalid("inputs must not be empty");
    }
    return sequences;
  }

  static final class Reader extends StdDeserializer<Sequences> {
    private static final long serialVersionUID = 1L;

    Reader() {
      super(Sequences.class);
    }

    @Override
    public Sequences deserialize(JsonParser parser, DeserializationContext context)
        throws IOException {
      if (parser.hasToken(JsonToken.VALUE_STRING)) {
        return new Sequences(List.of(Input.of(parser.getText())), true);
      }
      if (!parser.hasToken(JsonToken.START_ARRAY)) {
        throw wrong("inputs", "a string, a list of one or two strings, or a list of such lists");
      }
      return switch (parser.nextToken()) {
        case START_ARRAY -> new Sequences(batch(parser), false);
        case END_ARRAY -> new Sequences(List.of(), false);
        default -> new Sequences(List.of(sequence(parser, "inputs")), true);
      };
    }

    private static List<Input> batch(JsonParser parser) throws IOException {
      List<Input> inputs = new ArrayList<>();
      while (!parser.hasToken(JsonToken.END_ARRAY)) {
        String field = "inputs[" + inputs.size() + "]";
        if (!parser.hasToken(JsonToken.START_ARRAY)) {
          throw wrong(field, "a list like the others");
        }
        parser.nextToken();
        inputs.add(sequence(parser, field));
        parser.nextToken();
      }
      return inputs;
    }

    /** Reads to the end of the list, from its first element on. */
    private static Input sequence(JsonParser parser, String field) throws IOException {
      List<String> texts = new ArrayList<>();
      while (parser.hasToken(JsonToken.VALUE_STRING) && texts.size() < 2) {
        texts.add(parser.getText());
        parser.nextToken();
      }
      if (texts.isEmpty() || !parser.hasToken(JsonToken.END_ARRAY)) {
        throw wrong(field, "a list of one or two strings");
      }
      return new Input(texts.get(0), texts.size() == 1 ? null : texts.get(1));
    }

    private static RagbusException wrong(String field, String wanted) {
      return RagbusException.invalid(field + " must be " + wanted);
    }
  }
}
