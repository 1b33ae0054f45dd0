// What prompts ask of a tree: declarations, imports and statements, read with the rules of
// languages.hpp.
#include <tree_sitter/api.h>

#include <algorithm>
#include <cctype>
#include <string_view>
#include <utility>

#include "lsp/document/indentation.hpp"
#include "lsp/document/syntax.hpp"

namespace hearth::lsp {
namespace {

using Rule = DeclarationRule;

constexpr int deepest_outline = 1;
constexpr int deepest_container = 16;  // hostile text may nest them without end
constexpr std::size_t longest_name = 80;

bool contains(std::span<const std::string_view> names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

std::string_view type(TSNode node) {
  return ts_node_type(node);
}

bool is_comment(TSNode node) {
  return type(node).find("comment") != std::string_view::npos || type(node) == "haddock";
}

ByteRange range(TSNode node) {
  return {{ts_node_start_byte(node)}, {ts_node_end_byte(node)}};
}

bool covers(TSNode node, ByteRange part) {
  const ByteRange whole = range(node);
  return whole.begin <= part.begin && whole.end >= part.end;
}

// Named ones. A cursor, because ts_node_child(i) walks from the first child each time.
std::vector<TSNode> children(TSNode node) {
  std::vector<TSNode> result;
  TSTreeCursor cursor = ts_tree_cursor_new(node);
  for (bool more = ts_tree_cursor_goto_first_child(&cursor); more;
       more = ts_tree_cursor_goto_next_sibling(&cursor)) {
    const TSNode child = ts_tree_cursor_current_node(&cursor);
    if (ts_node_is_named(child)) result.push_back(child);
  }
  ts_tree_cursor_delete(&cursor);
  return result;
}

// From the root to the smallest named node around all of `part`.
std::vector<TSNode> path_to(TSNode root, ByteRange part) {
  std::vector<TSNode> path{root};
  TSTreeCursor cursor = ts_tree_cursor_new(root);
  const auto begin = static_cast<std::uint32_t>(part.begin.value);
  while (ts_tree_cursor_goto_first_child_for_byte(&cursor, begin) >= 0) {
    const TSNode node = ts_tree_cursor_current_node(&cursor);
    if (!covers(node, part)) break;
    if (ts_node_is_named(node)) path.push_back(node);
  }
  ts_tree_cursor_delete(&cursor);
  return path;
}

TSNode child(TSNode node, std::string_view field_or_type) {
  const TSNode field = ts_node_child_by_field_name(
      node, field_or_type.data(), static_cast<std::uint32_t>(field_or_type.size()));
  if (!ts_node_is_null(field)) return field;
  TSNode found{};
  TSTreeCursor cursor = ts_tree_cursor_new(node);
  for (bool more = ts_tree_cursor_goto_first_child(&cursor); more && ts_node_is_null(found);
       more = ts_tree_cursor_goto_next_sibling(&cursor)) {
    const TSNode candidate = ts_tree_cursor_current_node(&cursor);
    if (type(candidate) == field_or_type) found = candidate;
  }
  ts_tree_cursor_delete(&cursor);
  return found;
}

// `int *(&f)(…)`: from the whole down to `f`. `sees_function`: whether it takes parameters.
TSNode declarator(TSNode node, bool* sees_function) {
  *sees_function = false;
  TSNode inner = child(node, "declarator");
  TSNode name = inner;
  while (!ts_node_is_null(inner)) {
    name = inner;
    if (type(name) == "function_declarator") *sees_function = true;
    inner = child(name, "declarator");
    // These name no field for what they enclose.
    if (ts_node_is_null(inner) && type(name).ends_with("_declarator")) {
      inner = ts_node_named_child(name, 0);
    }
  }
  return name;
}

// Null where the path leads nowhere or is empty.
TSNode follow(TSNode node, std::string_view path) {
  if (path.empty()) return {};
  while (!path.empty() && !ts_node_is_null(node)) {
    const std::string_view step = path.substr(0, path.find('.'));
    path.remove_prefix(std::min(step.size() + 1, path.size()));
    bool sees_function = false;
    node = step == "declarator*" ? declarator(node, &sees_function) : child(node, step);
  }
  return node;
}

// Where the name of what `node` declares is, if the rule holds for it; else null.
TSNode name_node(const Rule& rule, TSNode node) {
  if (rule.needs == Rule::Body::required && ts_node_is_null(follow(node, rule.body))) return {};
  if (!rule.has.empty() && ts_node_is_null(follow(node, rule.has))) return {};
  if (rule.needs == Rule::Body::absent) {
    bool sees_function = false;
    const TSNode name = declarator(node, &sees_function);
    return sees_function ? name : TSNode{};
  }
  return follow(node, rule.name);
}

// On one line, without quotes.
std::string name_from(std::string_view text) {
  std::string name;
  for (const char c : text) {
    const bool blank = std::isspace(static_cast<unsigned char>(c)) != 0;
    if (!blank) {
      name += c;
    } else if (!name.empty() && name.back() != ' ') {
      name += ' ';
    }
  }
  if (name.size() >= 2 && name.front() == name.back() && (name[0] == '"' || name[0] == '\'')) {
    name = name.substr(1, name.size() - 2);
  }
  if (name.size() > longest_name) {
    std::size_t end = longest_name;
    while ((static_cast<unsigned char>(name[end]) & 0xC0U) == 0x80U) --end;
    name.resize(end);
  }
  return name;
}

// One query's view of a tree. Trees may be read by one thread only, so each query has a copy, which
// shares the nodes.
class View {
 public:
  View(const TSTree* tree, const Language& language, const Text& text)
      : tree_(ts_tree_copy(tree)), language_(language), text_(text) {}
  ~View() { ts_tree_delete(tree_); }
  View(const View&) = delete;
  View& operator=(const View&) = delete;

  TSNode root() const { return ts_tree_root_node(tree_); }

  bool is_wrapper(TSNode node) const { return contains(language_.wrappers, type(node)); }
  bool is_container(TSNode node) const {
    return ts_node_is_error(node) || contains(language_.containers, type(node));
  }
  bool is_attribute(TSNode node) const { return type(node) == language_.attribute; }

  // Null: the node declares nothing.
  const Rule* rule(TSNode node) const {
    for (const Rule& rule : language_.declarations) {
      if (rule.type == type(node) && !ts_node_is_null(name_node(rule, node))) return &rule;
    }
    return nullptr;
  }

  // The one declaration inside a wrapper; null where there is none, or several.
  TSNode wrapped(TSNode wrapper) const {
    TSNode inside{};
    for (const TSNode& node : children(wrapper)) {
      if (!rule(node) && !is_wrapper(node)) continue;
      if (!ts_node_is_null(inside)) return {};
      inside = node;
    }
    return inside;
  }

  // The node itself if it declares something, else what it wraps; null where that is nothing.
  TSNode declared(TSNode node) const {
    while (!ts_node_is_null(node) && !rule(node)) {
      node = is_wrapper(node) ? wrapped(node) : TSNode{};
    }
    return node;
  }

  // The outermost wrapper of `node`, or the node itself.
  TSNode wrapping(TSNode node, std::span<const TSNode> parents) const {
    while (!parents.empty() && is_wrapper(parents.back()) &&
           !ts_node_is_null(wrapped(parents.back()))) {
      node = parents.back();
      parents = parents.first(parents.size() - 1);
    }
    return node;
  }

  // `outer` is the node or its wrapper, `begin` where the attributes before it begin.
  Declaration declaration(TSNode node, TSNode outer, Byte begin, int depth) const {
    const Rule& rule = *this->rule(node);
    const TSNode body = follow(node, rule.body);
    ByteRange whole{begin, range(outer).end};
    Byte signature_end = whole.end;
    if (!ts_node_is_null(body)) {
      signature_end = range(body).begin;
    } else if (rule.needs != Rule::Body::absent) {
      const std::size_t first_line = text_.line_of(range(node).begin);
      signature_end = std::min(whole.end, text_.line_end(first_line));
    }
    // C's grammars leave the semicolon after a type outside of it.
    if (text_.str().compare(whole.end.value, 1, ";") == 0) ++whole.end.value;
    while (whole.end > whole.begin &&
           std::isspace(static_cast<unsigned char>(text_.str()[whole.end.value - 1])) != 0) {
      --whole.end.value;
    }
    return {rule.kind, name_from(text_.view(range(name_node(rule, node)))), whole,
            ByteRange{begin, std::min(signature_end, whole.end)}, depth};
  }

  std::string_view text(TSNode node) const { return text_.view(range(node)); }

  bool is_import(TSNode node) const {
    return std::ranges::any_of(language_.imports, [&](const ImportRule& rule) {
      if (rule.type != type(node)) return false;
      if (rule.path.empty()) return true;
      const TSNode word = follow(node, rule.path);
      return !ts_node_is_null(word) && (rule.word.empty() || text(word) == rule.word);
    });
  }

  // A comment or attribute that has its lines to itself leads to what begins right below.
  bool leads(TSNode node) const {
    if (!is_comment(node) && !is_attribute(node)) return false;
    const Byte begin = range(node).begin;
    const Byte line = text_.line_range(text_.line_of(begin)).begin;
    return text_.view({line, begin}).find_first_not_of(" \t") == std::string_view::npos;
  }

  // The sibling that `node` leads to; null where there is none.
  TSNode led_to(TSNode node, TSNode parent) const {
    const std::vector<TSNode> siblings = children(parent);
    auto next =
        std::ranges::find_if(siblings, [&](TSNode other) { return ts_node_eq(other, node); });
    TSNode last = node;
    while (next != siblings.end() && leads(*next)) last = *next++;
    if (next == siblings.end()) return {};
    const std::uint32_t rows_between = ts_node_start_point(*next).row - ts_node_end_point(last).row;
    return rows_between <= 1 ? *next : TSNode{};
  }

  // Where the attributes right before `node` begin, or the node itself.
  Byte with_attributes(TSNode node) const {
    if (language_.attribute.empty()) return range(node).begin;
    TSNode first = node;
    for (TSNode before = ts_node_prev_named_sibling(node);
         !ts_node_is_null(before) && is_attribute(before);
         before = ts_node_prev_named_sibling(before)) {
      first = before;
    }
    return range(first).begin;
  }

 private:
  TSTree* tree_;
  const Language& language_;
  const Text& text_;
};

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
