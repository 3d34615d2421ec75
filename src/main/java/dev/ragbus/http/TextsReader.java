package dev.ragbus.http;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.databind.DeserializationContext;
import com.fasterxml.jackson.databind.deser.std.StdDeserializer;
import dev.ragbus.RagbusException;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/** Reads texts in the forms that dialects give them in. */
abstract class TextsReader extends StdDeserializer<List<String>> {
  private static final long serialVersionUID = 1L;

  TextsReader() {
    super(List.class);
  }

  /** OpenAI's input: a string or a list of strings. */
  static final class Input extends TextsReader {
    private static final long serialVersionUID = 1L;

    @Override
    public List<String> deserialize(JsonParser parser, DeserializationContext context)
        throws IOException {
      String field = parser.currentName();
      return parser.hasToken(JsonToken.VALUE_STRING)
          ? List.of(parser.getText())
          : list(parser, field, field + " must be a string or a list of strings");
    }

    @Override
    String element(JsonParser parser, String field) throws IOException {
      if (parser.hasToken(JsonToken.VALUE_NUMBER_INT) || parser.hasToken(JsonToken.START_ARRAY)) {
        throw RagbusException.invalid(field + " must be a string: token ids are not taken yet");
      }
      return string(parser, field + " must be a string");
    }
  }

  /** Documents to rank: a list of strings or of objects with a text. */
  static final class Documents extends TextsReader {
    private static final long serialVersionUID = 1L;

    @Override
    public List<String> deserialize(JsonParser parser, DeserializationContext context)
        throws IOException {
      String field = parser.currentName();
      return list(parser, field, field + " must be a list");
    }

    @Override
    String element(JsonParser parser, String field) throws IOException {
      if (!parser.hasToken(JsonToken.START_OBJECT)) {
        return string(parser, field + " must be a string or an object with a text");
      }
      String text = null;
      while (parser.nextToken() != JsonToken.END_OBJECT) {
        String name = parser.currentName();
        if (!name.equals("text")) {
          throw RagbusException.invalid(field + "." + name + " is not a field; known is text");
        }
        parser.nextToken();
        text = string(parser, field + ".text must be a string");
      }
      if (text == null) {
        throw RagbusException.invalid(field + ".text is required");
      }
      return text;
    }
  }

  abstract String element(JsonParser parser, String field) throws IOException;

  final List<String> list(JsonParser parser, String field, String otherwise) throws IOException {
    if (!parser.hasToken(JsonToken.START_ARRAY)) {
      throw RagbusException.invalid(otherwise);
    }
    List<String> texts = new ArrayList<>();
    while (parser.nextToken() != JsonToken.END_ARRAY) {
      texts.add(element(parser, field + "[" + texts.size() + "]"));
    }
    return texts;
  }

  private static String string(JsonParser parser, String otherwise) throws IOException {
    if (!parser.hasToken(JsonToken.VALUE_STRING)) {
      throw RagbusException.invalid(otherwise);
    }
    return parser.getText();
  }
}
