// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.databind.DeserializationContext;
import com.fasterxml.jackson.databind.deser.std.StdDeserializer;
import dev.ragbus.RagbusException;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/** Reads documents to rank: a list of strings or of objects with a text. */
final class TextsReader extends StdDeserializer<List<String>> {
  private static final long serialVersionUID = 1L;

  TextsReader() {
    super(List.class);
  }

  @Override
  public List<String> deserialize(JsonParser parser, DeserializationContext context)
      throws IOException {
    String field = parser.currentName();
    if (!parser.hasToken(JsonToken.START_ARRAY)) {
      throw RagbusException.invalid(field + " must be a list");
    }
    List<String> texts = new ArrayList<>();
    while (parser.nextToken() != JsonToken.END_ARRAY) {
      texts.add(text(parser, field + "[" + texts.size() + "]"));
    }
    return texts;
  }

  /** A text, as a string or as an object that has it. */
  static String text(JsonParser parser, String field) throws IOException {
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

  private static String string(JsonParser parser, String otherwise) throws IOException {
    if (!parser.hasToken(JsonToken.VALUE_STRING)) {
      throw RagbusException.invalid(otherwise);
    }
    return parser.getText();
  }

  /**
   * The texts to rank, which clients call {@code documents} or {@code texts}.
   *
   * @param word what they are called where there are none
   */
  static List<String> either(List<String> documents, List<String> texts, String word) {
    if (documents != null && texts != null) {
      throw RagbusException.invalid("documents and texts exclude each other");
    }
    return required(word, documents != null ? documents : texts);
  }

  /** A list that must be there and not be empty. */
  static List<String> required(String word, List<String> given) {
    if (given == null) {
      throw RagbusException.invalid(word + " is required");
    }
    if (given.isEmpty()) {
      throw RagbusException.invalid(word + " must not be empty");
    }
    return given;
  }
}
