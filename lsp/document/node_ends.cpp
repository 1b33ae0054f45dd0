// Where nodes end: what a tree says of the text behind a place, or of one put there, for cutting
// it.
#include <algorithm>
#include <map>

#include "lsp/document/nodes.hpp"
#include "lsp/document/syntax.hpp"
#include "lsp/support/characters.hpp"

namespace hearth::lsp {
namespace {

using nodes::range;

// The line below the one that `place` is on and the blank lines after that.
std::size_t next_line_of_text(const Text& text, Byte place) {
  std::size_t line = text.line_of(place) + 1;
  while (line < text.lines() && is_blank(text.view(text.line_range(line)))) ++line;
  return line;
}

// Whether a node has its first and its last line to itself.
bool has_its_lines(const Text& text, ByteRange node) {
  const Byte first = text.line_range(text.line_of(node.begin)).begin;
  const Byte end = std::max(node.end, text.line_end(text.line_of(node.end)));
  return is_blank(text.view({std::min(first, node.begin), node.begin})) &&
         text.view({node.end, end}).find_first_not_of(" \t;,") == std::string_view::npos;
}

// The named nodes around the byte at `place`, from below the root inwards.
std::vector<TSNode> path_to(TSNode root, Byte place) {
  std::vector<TSNode> path = nodes::path_to(root, {place, Byte{place.value + 1}});
  path.erase(path.begin());
  return path;
}

Byte first_text(const Text& text, Byte from) {
  return {std::min(text.str().find_first_not_of(blanks, from.value), text.str().size())};
}

bool is_several_lines(const Text& text, ByteRange range) {
  return text.line_of(range.begin) != text.line_of(range.end);
}

// At top level: from the statement `node` on, to the end of the first one of several lines, or of
// the last one before a blank line.
TSNode last_of_paragraph(const Text& text, TSNode node) {
  while (!is_several_lines(text, range(node))) {
    const TSNode next = ts_node_next_named_sibling(node);
    if (ts_node_is_null(next)) break;
    if (text.line_of(range(next).begin) > text.line_of(range(node).end) + 1) break;
    node = next;
  }
  return node;
}

// Whether a node is nothing but statements, one below the other. It begins where the first one
// does.
bool is_block(TSNode node) {
  if (ts_node_named_child_count(node) < 2) return false;
  const TSNode first = ts_node_named_child(node, 0);
  const TSNode second = ts_node_named_child(node, 1);
  const TSPoint here = ts_node_start_point(first);
  const TSPoint below = ts_node_start_point(second);
  return ts_node_start_byte(first) == ts_node_start_byte(node) && below.row > here.row &&
         below.column == here.column;
}

// The node that is meant by SyntaxTree::end_around; null: none.
TSNode node_around(const Text& text, TSNode root, ByteRange inserted) {
  const Byte line = text.line_range(text.line_of(inserted.begin)).begin;
  const Byte code = first_text(text, line);
  if (code < inserted.begin) {
    for (const TSNode& node : path_to(root, code)) {
      const ByteRange bytes = range(node);
      if (bytes.begin == code && bytes.end > inserted.begin && !is_block(node)) return node;
    }
  }
  const Byte place = first_text(text, inserted.begin);
  if (place >= inserted.end) return {};
  const std::vector<TSNode> path = path_to(root, place);
  for (auto node = path.rbegin(); node != path.rend(); ++node) {
    if (range(*node).begin < line) return *node;
  }
  return path.empty() ? TSNode{} : last_of_paragraph(text, path.front());
}

}  // namespace

std::optional<Byte> SyntaxTree::end_around(ByteRange inserted) const {
  if (!tree_) return std::nullopt;
  TSTree* const tree = ts_tree_copy(tree_);  // trees may be read by one thread only
  const TSNode node = node_around(*snapshot_->text, ts_tree_root_node(tree), inserted);
  const bool found = !ts_node_is_null(node) && !ts_node_has_error(node);
  const std::optional<Byte> end = found ? std::optional(range(node).end) : std::nullopt;
  ts_tree_delete(tree);
  return end;
}

std::vector<NodeEnd> SyntaxTree::node_ends(ByteRange within) const {
  if (!tree_) return {};
  const Text& text = *snapshot_->text;
  std::map<Byte, int> depths;
  TSTree* const tree = ts_tree_copy(tree_);  // trees may be read by one thread only
  TSTreeCursor cursor = ts_tree_cursor_new(ts_tree_root_node(tree));
  for (bool more = ts_tree_cursor_goto_first_child(&cursor); more;) {
    const TSNode node = ts_tree_cursor_current_node(&cursor);
    const ByteRange bytes = range(node);
    const bool inside = bytes.end > within.begin && bytes.begin < within.end;
    if (inside && ts_node_is_named(node) && bytes.end <= within.end && has_its_lines(text, bytes)) {
      const std::size_t line = next_line_of_text(text, bytes.end);
      const Byte end = line < text.lines() ? text.line_start(line) : Byte{text.str().size()};
      const auto depth = static_cast<int>(ts_tree_cursor_current_depth(&cursor));
      const auto [known, added] = depths.emplace(end, depth);
      if (!added) known->second = std::min(known->second, depth);
    }
    if (inside && ts_tree_cursor_goto_first_child(&cursor)) continue;
    while (!ts_tree_cursor_goto_next_sibling(&cursor)) {
      if (!ts_tree_cursor_goto_parent(&cursor)) {
        more = false;
        break;
      }
    }
  }
  ts_tree_cursor_delete(&cursor);
  ts_tree_delete(tree);
  std::vector<NodeEnd> ends;
  for (const auto& [end, depth] : depths) ends.push_back({end, depth});
  return ends;
}

}  // namespace hearth::lsp
