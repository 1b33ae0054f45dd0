// Walks with cursors: ts_node_child(i) goes from the first child each time.
#include "lsp/document/nodes.hpp"

#include <algorithm>
#include <cctype>
#include <cstdint>

namespace hearth::lsp::nodes {
namespace {

constexpr std::size_t longest_name = 80;

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

}  // namespace

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

TSNode name_node(const DeclarationRule& rule, TSNode node) {
  if (rule.needs == DeclarationRule::Body::required && ts_node_is_null(follow(node, rule.body)))
    return {};
  if (!rule.has.empty() && ts_node_is_null(follow(node, rule.has))) return {};
  if (rule.needs == DeclarationRule::Body::absent) {
    bool sees_function = false;
    const TSNode name = declarator(node, &sees_function);
    return sees_function ? name : TSNode{};
  }
  return follow(node, rule.name);
}

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

}  // namespace hearth::lsp::nodes
