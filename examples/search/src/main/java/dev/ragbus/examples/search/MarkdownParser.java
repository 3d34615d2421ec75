package dev.ragbus.examples.search;

import java.util.List;
import java.util.StringJoiner;
import org.commonmark.ext.gfm.tables.TableRow;
import org.commonmark.ext.gfm.tables.TablesExtension;
import org.commonmark.node.AbstractVisitor;
import org.commonmark.node.Code;
import org.commonmark.node.CustomNode;
import org.commonmark.node.FencedCodeBlock;
import org.commonmark.node.HardLineBreak;
import org.commonmark.node.Heading;
import org.commonmark.node.HtmlBlock;
import org.commonmark.node.IndentedCodeBlock;
import org.commonmark.node.Node;
import org.commonmark.node.Paragraph;
import org.commonmark.node.SoftLineBreak;
import org.commonmark.node.Text;
import org.commonmark.parser.Parser;
import org.jsoup.Jsoup;

/** Markdown (CommonMark with tables) to text. */
final class MarkdownParser extends AbstractVisitor {
  private static final int MAX_NESTED_BLOCKS = 100;
  private static final Parser PARSER =
      Parser.builder()
          .extensions(List.of(TablesExtension.create()))
          .maxOpenBlockParsers(MAX_NESTED_BLOCKS)
          .build();

  private final Sections sections = new Sections();

  private MarkdownParser() {}

  static DocumentText parse(String markdown) {
    MarkdownParser parser = new MarkdownParser();
    PARSER.parse(markdown).accept(parser);
    return parser.sections.document();
  }

  @Override
  public void visit(Heading heading) {
    sections.heading(heading.getLevel(), inline(heading));
  }

  @Override
  public void visit(Paragraph paragraph) {
    sections.block(inline(paragraph));
  }

  @Override
  public void visit(FencedCodeBlock code) {
    code.getLiteral().lines().forEach(sections::block);
  }

  @Override
  public void visit(IndentedCodeBlock code) {
    code.getLiteral().lines().forEach(sections::block);
  }

  @Override
  public void visit(HtmlBlock html) {
    sections.block(Jsoup.parseBodyFragment(html.getLiteral()).text());
  }

  @Override
  public void visit(CustomNode node) {
    if (node instanceof TableRow) {
      StringJoiner cells = new StringJoiner(" | ");
      for (Node cell = node.getFirstChild(); cell != null; cell = cell.getNext()) {
        cells.add(inline(cell));
      }
      sections.block(cells.toString());
    } else {
      super.visit(node);
    }
  }

  private static String inline(Node parent) {
    Inline inline = new Inline();
    for (Node child = parent.getFirstChild(); child != null; child = child.getNext()) {
      child.accept(inline);
    }
    return inline.text.toString();
  }

  private static final class Inline extends AbstractVisitor {
    private final StringBuilder text = new StringBuilder();

    @Override
    public void visit(Text literal) {
      text.append(literal.getLiteral());
    }

    @Override
    public void visit(Code code) {
      text.append(code.getLiteral());
    }

    @Override
    public void visit(SoftLineBreak lineBreak) {
      text.append(' ');
    }

    @Override
    public void visit(HardLineBreak lineBreak) {
      text.append(' ');
    }
  }
}
