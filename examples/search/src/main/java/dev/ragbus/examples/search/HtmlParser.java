package dev.ragbus.examples.search;

import org.jsoup.nodes.Document;
import org.jsoup.nodes.Element;
import org.jsoup.nodes.Node;
import org.jsoup.nodes.TextNode;
import org.jsoup.select.NodeVisitor;

/** HTML to text; navigation, scripts and styles are left out. */
final class HtmlParser implements NodeVisitor {
  private final Sections sections = new Sections();
  private final StringBuilder block = new StringBuilder();

  private HtmlParser() {}

  static DocumentText parse(Document html) {
    html.select("nav, noscript, template, script, style").remove();
    HtmlParser parser = new HtmlParser();
    html.body().traverse(parser);
    parser.end();
    return parser.sections.document();
  }

  @Override
  public void head(Node node, int depth) {
    if (node instanceof TextNode text) {
      block.append(text.getWholeText());
    } else if (node instanceof Element element) {
      if (standsAlone(element)) {
        end();
      } else if (element.normalName().matches("br|t[dh]")) {
        block.append(' ');
      }
    }
  }

  @Override
  public void tail(Node node, int depth) {
    if (node instanceof Element element && standsAlone(element)) {
      if (element.normalName().matches("h[1-6]")) {
        sections.heading(element.normalName().charAt(1) - '0', block.toString());
        block.setLength(0);
      } else {
        end();
      }
    }
  }

  /** A row of a table is one block, its cells are not. */
  private static boolean standsAlone(Element element) {
    return element.isBlock() && !element.normalName().matches("t[dh]");
  }

  private void end() {
    sections.block(block.toString());
    block.setLength(0);
  }
}
