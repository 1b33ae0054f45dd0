// What prompts ask of a tree: declarations, imports and statements, read with the rules of
// languages.hpp.
#include <tree_sitter/api.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "lsp/document/indentation.hpp"
#include "lsp/document/nodes.hpp"
#include "lsp/document/syntax.hpp"
#include "lsp/document/tree_view.hpp"

namespace hearth::lsp {
namespace {

using namespace nodes;
using Rule = DeclarationRule;

constexpr int deepest_outline = 1;

void add_declarations(const View& view, TSNode parent, int depth, int containers,
                      std::vector<Declaration>& outline) {
  std::optional<Byte> attributes;
  for (const TSNode& node : children(parent)) {
    if (view.is_attribute(node)) {
      if (!attributes) attributes = range(node).begin;
      continue;
    }
    const Byte begin = attributes.value_or(range(node).begin);
    attributes.reset();
    const TSNode declared = view.declared(node);
    if (!ts_node_is_null(declared)) {
      const Declaration& added =
          outline.emplace_back(view.declaration(declared, node, begin, depth));
      if (added.kind == Rule::Kind::function || depth == deepest_outline) continue;
      const TSNode body = follow(declared, view.rule(declared)->body);
      const TSNode members = ts_node_is_null(body) ? declared : body;
      add_declarations(view, members, depth + 1, containers, outline);
    } else if ((view.is_container(node) || view.is_wrapper(node)) &&
               containers < deepest_container) {
      add_declarations(view, node, depth, containers + 1, outline);
    }
  }
}

void add_imports(const View& view, TSNode parent, int containers, const Text& text,
                 std::vector<ByteRange>& imports) {
  for (const TSNode& node : children(parent)) {
    if (view.is_import(node)) {
      ByteRange import = range(node);
      import.end = std::min(import.end, text.line_end(text.line_of({import.end.value - 1})));
      imports.push_back(import);
    } else if ((ts_node_is_error(node) || type(node).starts_with("preproc") ||
                type(node) == "imports") &&
               containers < deepest_container) {
      add_imports(view, node, containers + 1, text, imports);
    }
  }
}

}  // namespace

SyntaxTree::SyntaxTree(SnapshotPtr snapshot, const Language* language, TSTree* tree)
    : snapshot_(std::move(snapshot)), language_(language), tree_(tree) {}

SyntaxTree::~SyntaxTree() {
  if (tree_) ts_tree_delete(tree_);
}

std::optional<Declaration> SyntaxTree::enclosing(ByteRange selection) const {
  const Text& text = *snapshot_->text;
  const ByteRange meant = on_text(text, selection);
  if (!language_) return std::nullopt;
  if (!tree_) return enclosing_by_indentation(text, meant);

  const View view(tree_, *language_, text);
  std::vector<TSNode> path = path_to(view.root(), meant);
  const auto attribute = std::find_if(path.begin() + 1, path.end(),
                                      [&](TSNode node) { return view.is_attribute(node); });
  if (attribute != path.end()) path.erase(attribute + 1, path.end());
  if (path.size() > 1 && view.leads(path.back())) {
    const TSNode next = view.led_to(path.back(), path[path.size() - 2]);
    if (!ts_node_is_null(next)) path.back() = next;
  }
  TSNode found{};
  std::size_t at = 0;
  std::size_t error = 0;
  bool in_function = false;
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (ts_node_is_error(path[i])) error = i + 1;
    // What a wrapper wraps may be further on the path, or beside it: `export` was selected.
    const TSNode declared = view.declared(path[i]);
    if (ts_node_is_null(declared)) continue;
    const Rule& rule = *view.rule(declared);
    if (rule.needs == Rule::Body::absent && in_function) continue;
    found = declared;
    at = i;
    in_function = rule.kind == Rule::Kind::function;
  }
  // Around an error the tree may not show the function that a person sees.
  if (error > at) {
    auto seen = enclosing_by_indentation(text, meant);
    const bool inside = ts_node_is_null(found) || (seen && covers(found, seen->range));
    if (seen && inside) return seen;
  }
  if (ts_node_is_null(found)) return std::nullopt;
  const TSNode outer =
      ts_node_eq(found, path[at]) ? view.wrapping(found, std::span(path).first(at)) : path[at];
  return view.declaration(found, outer, view.with_attributes(outer), 0);
}

std::optional<ByteRange> SyntaxTree::statement(Byte place) const {
  if (!tree_) return std::nullopt;
  const Text& text = *snapshot_->text;
  const View view(tree_, *language_, text);
  const std::vector<TSNode> path = path_to(view.root(), on_text(text, {place, place}));
  const auto node = std::find_if(path.begin() + 1, path.end(),
                                 [&](TSNode inner) { return !view.is_container(inner); });
  if (node == path.end()) return std::nullopt;
  if (!view.leads(*node)) return range(*node);
  const TSNode next = view.led_to(*node, *(node - 1));
  return range(ts_node_is_null(next) ? *node : next);
}

std::vector<Declaration> SyntaxTree::outline() const {
  std::vector<Declaration> outline;
  if (!tree_) return outline;
  const View view(tree_, *language_, *snapshot_->text);
  add_declarations(view, view.root(), 0, 0, outline);
  return outline;
}

std::vector<ByteRange> SyntaxTree::imports() const {
  std::vector<ByteRange> imports;
  if (!tree_) return imports;
  const View view(tree_, *language_, *snapshot_->text);
  add_imports(view, view.root(), 0, *snapshot_->text, imports);
  return imports;
}

std::string SyntaxTree::dump() const {
  if (!tree_) return {};
  const View view(tree_, *language_, *snapshot_->text);
  std::string dump;
  TSTreeCursor cursor = ts_tree_cursor_new(view.root());
  bool down = true;
  for (;;) {
    if (down) {
      const TSNode node = ts_tree_cursor_current_node(&cursor);
      const char* field = ts_tree_cursor_current_field_name(&cursor);
      const ByteRange bytes = range(node);
      dump += std::string(ts_tree_cursor_current_depth(&cursor), ' ') +
              (field ? std::string(field) + ": " : "") +
              (ts_node_is_missing(node) ? "MISSING " : "") + ts_node_type(node) + " " +
              std::to_string(bytes.begin.value) + "-" + std::to_string(bytes.end.value) + "\n";
    }
    if (down && ts_tree_cursor_goto_first_child(&cursor)) continue;
    down = ts_tree_cursor_goto_next_sibling(&cursor);
    if (!down && !ts_tree_cursor_goto_parent(&cursor)) break;
  }
  ts_tree_cursor_delete(&cursor);
  return dump;
}

bool SyntaxTree::in_comment(Byte place) const {
  if (!tree_ || place.value == 0) return false;
  const auto last = static_cast<std::uint32_t>(place.value - 1);
  const TSNode node = ts_node_descendant_for_byte_range(ts_tree_root_node(tree_), last, last + 1);
  if (!is_comment(node)) return false;
  // Behind a comment that was closed is not in it.
  const std::string_view text = snapshot_->text->view(range(node));
  const bool closed =
      text.ends_with("*/") || text.ends_with("-->") || text.ends_with("*)") || text.ends_with("-}");
  return range(node).end > place || !closed;
}

std::vector<Byte> SyntaxTree::error_places() const {
  std::vector<Byte> places;
  if (!tree_) return places;
  TSTreeCursor cursor = ts_tree_cursor_new(ts_tree_root_node(tree_));
  for (bool more = true; more;) {
    const TSNode node = ts_tree_cursor_current_node(&cursor);
    const bool wrong = ts_node_is_error(node) || ts_node_is_missing(node);
    if (wrong) places.push_back(Byte{ts_node_start_byte(node)});
    if (!wrong && ts_node_has_error(node) && ts_tree_cursor_goto_first_child(&cursor)) continue;
    while (!ts_tree_cursor_goto_next_sibling(&cursor)) {
      if (!ts_tree_cursor_goto_parent(&cursor)) {
        more = false;
        break;
      }
    }
  }
  ts_tree_cursor_delete(&cursor);
  return places;
}

}  // namespace hearth::lsp
