// A tree read with its language's rules: what declares, wraps, contains, imports.
#pragma once

#include <tree_sitter/api.h>

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "lsp/document/languages.hpp"
#include "lsp/document/nodes.hpp"
#include "lsp/document/syntax.hpp"
#include "lsp/support/text.hpp"

namespace hearth::lsp::nodes {

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

  bool is_wrapper(TSNode node) const { return contains(language_.wrappers, node); }
  bool is_container(TSNode node) const {
    return ts_node_is_error(node) || contains(language_.containers, node);
  }
  bool is_attribute(TSNode node) const { return type(node) == language_.attribute; }

  // Null: the node declares nothing.
  const DeclarationRule* rule(TSNode node) const {
    for (const DeclarationRule& rule : language_.declarations) {
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
    const DeclarationRule& rule = *this->rule(node);
    const TSNode body = follow(node, rule.body);
    ByteRange whole{begin, range(outer).end};
    Byte signature_end = whole.end;
    if (!ts_node_is_null(body)) {
      signature_end = range(body).begin;
    } else if (rule.needs != DeclarationRule::Body::absent) {
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
  static bool contains(std::span<const std::string_view> types, TSNode node) {
    return std::ranges::find(types, type(node)) != types.end();
  }

  TSTree* tree_;
  const Language& language_;
  const Text& text_;
};

}  // namespace hearth::lsp::nodes
