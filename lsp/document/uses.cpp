// What code uses by name and what imports bind, read with the rules of use_rules.hpp.
#include <tree_sitter/api.h>

#include <algorithm>
#include <cctype>
#include <set>
#include <string_view>
#include <utility>

#include "lsp/document/nodes.hpp"
#include "lsp/document/syntax.hpp"
#include "lsp/document/tree_view.hpp"

namespace hearth::lsp {
namespace {

using namespace nodes;

constexpr std::size_t longest_used_name = 80;

bool is_name_character(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return std::isalnum(byte) != 0 || byte >= 0x80U ||
         std::string_view("_$?!'").find(c) != std::string_view::npos;
}

bool is_blank_character(char c) {
  return std::isspace(static_cast<unsigned char>(c)) != 0;
}

// Without the <…> or […] at its end, and the "::" before one.
std::string_view without_arguments(std::string_view text) {
  if (!text.ends_with('>') && !text.ends_with(']')) return text;
  const char close = text.back();
  const char open = close == '>' ? '<' : '[';
  int depth = 0;
  for (std::size_t i = text.size(); i-- > 0;) {
    if (text[i] == close && (i == 0 || text[i - 1] != '-')) ++depth;
    if (text[i] == open && --depth == 0) {
      text = text.substr(0, i);
      if (text.ends_with("::")) text.remove_suffix(2);
      return text;
    }
  }
  return {};
}

// The name at the end of `a.b`, `a::b<T>`, `"x/y"`; empty where something else is there, as in
// `f(x)` or `f x`.
std::string_view last_name(std::string_view text) {
  while (!text.empty() && is_blank_character(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank_character(text.back())) text.remove_suffix(1);
  if (text.size() >= 2 && (text.front() == '"' || text.front() == '\'') &&
      text.back() == text.front()) {
    text = text.substr(1, text.size() - 2);
  }
  text = without_arguments(text);
  // A shell's function may be called do-it.
  if (std::ranges::all_of(text, [](char c) { return is_name_character(c) || c == '-'; })) {
    return text.size() <= longest_used_name ? text : "";
  }
  std::size_t begin = text.size();
  while (begin > 0 && is_name_character(text[begin - 1])) --begin;
  const std::string_view name = text.substr(begin);
  const bool separate =
      begin > 0 && std::string_view(".:>?!\\/@&*~").find(text[begin - 1]) == std::string_view::npos;
  return separate || name.size() > longest_used_name ? "" : name;
}

// Names are not numbers.
bool is_name(std::string_view name) {
  return !name.empty() && name != "_" && std::isdigit(static_cast<unsigned char>(name[0])) == 0;
}

// "np" before the name in `np.array`, "Shelf" in `Shelf::new`.
std::string_view qualifier_before(std::string_view text) {
  const std::size_t end = text.find_last_not_of(".:>-?!\\") + 1;  // npos + 1 is 0
  if (end == text.size() || text.size() - end > 3) return {};
  text = text.substr(0, end);
  std::size_t begin = end;
  while (begin > 0 && is_name_character(text[begin - 1])) --begin;
  return text.substr(begin);
}

// All named nodes below and with `root` in the order of the text, with the field that each is in
// ("" for none). `visit` returns whether to go into a node.
template <typename Visit>
void walk(TSNode root, Visit visit) {
  TSTreeCursor cursor = ts_tree_cursor_new(root);
  for (bool down = true;;) {
    if (down) {
      const TSNode node = ts_tree_cursor_current_node(&cursor);
      const char* field = ts_tree_cursor_current_field_name(&cursor);
      down = ts_node_is_named(node) && visit(node, std::string_view(field != nullptr ? field : ""));
    }
    if (down && ts_tree_cursor_goto_first_child(&cursor)) continue;
    down = ts_tree_cursor_goto_next_sibling(&cursor);
    if (!down && !ts_tree_cursor_goto_parent(&cursor)) break;
  }
  ts_tree_cursor_delete(&cursor);
}

TSNode at_path(TSNode node, std::string_view path) {
  return path.empty() ? node : follow(node, path);
}

// What uses() has found so far.
class Found {
 public:
  Found(const View& view, const Text& text) : view_(view), text_(text) {}

  void declared(TSNode node) {
    if (const DeclarationRule* rule = view_.rule(node)) {
      declared_.insert(range(name_node(*rule, node)).begin.value);
    }
  }
  void add(const UseRule& rule, TSNode node) {
    const TSNode named = at_path(node, rule.name);
    if (ts_node_is_null(named)) return;
    if (rule.kind == UseRule::Kind::call) return add_name(rule.kind, named);
    walk(named, [&](TSNode inner, std::string_view) {
      if (ts_node_named_child_count(inner) == 0) add_name(rule.kind, inner);
      return true;
    });
  }
  std::vector<Use> take() { return std::move(uses_); }
  bool full() const { return uses_.size() >= SyntaxTree::max_uses; }

 private:
  void add_name(UseRule::Kind kind, TSNode node) {
    const std::string_view name = last_name(view_.text(node));
    if (!is_name(name) || full()) return;
    const auto begin = static_cast<std::size_t>(name.data() - text_.str().data());
    if (declared_.contains(begin)) return;
    const std::size_t line = text_.line_range(text_.line_of({begin})).begin.value;
    const std::string_view qualifier = qualifier_before(text_.view({{line}, {begin}}));
    const bool known = !seen_.emplace(name, qualifier).second;
    if (!known) uses_.push_back({kind, std::string(name), std::string(qualifier)});
  }

  const View& view_;
  const Text& text_;
  std::set<std::size_t> declared_;  // where names of declarations begin
  std::set<std::pair<std::string_view, std::string_view>> seen_;
  std::vector<Use> uses_;
};

// Nothing where `node` is not what the rule means.
std::optional<Binding> bound(const View& view, const BindingRule& rule, TSNode node,
                             std::string_view field) {
  if (rule.type != type(node)) return std::nullopt;
  if (rule.field != BindingRule::any && rule.field != field) return std::nullopt;
  const TSNode named = at_path(node, rule.name);
  if (ts_node_is_null(named)) return std::nullopt;
  const std::string_view name = last_name(view.text(named));
  if (!is_name(name)) return std::nullopt;
  const TSNode other = follow(node, rule.alias);
  const std::string_view alias = ts_node_is_null(other) ? "" : last_name(view.text(other));
  return Binding{std::string(name), std::string(is_name(alias) ? alias : name), {}};
}

void add_bindings(const View& view, std::span<const BindingRule> rules, TSNode parent,
                  int containers, std::vector<Binding>& bindings) {
  const auto add = [&](Binding binding, TSNode statement) {
    binding.import = range(statement);
    bindings.push_back(std::move(binding));
  };
  for (const TSNode& node : children(parent)) {
    if (view.is_import(node)) {
      walk(node, [&](TSNode inner, std::string_view field) {
        for (const BindingRule& rule : rules) {
          auto binding = bound(view, rule, inner, field);
          if (!binding) continue;
          const bool renamed = binding->alias != binding->name;
          add(*std::move(binding), node);
          return !renamed;
        }
        return true;
      });
      continue;
    }
    // `using a = b;` is no import. What merely names something is meant in imports only.
    for (const BindingRule& rule : rules) {
      if (rule.alias.empty()) continue;
      if (auto binding = bound(view, rule, node, "")) add(*std::move(binding), node);
    }
    const bool holds = view.is_container(node) || view.is_wrapper(node) ||
                       type(node).starts_with("preproc") || type(node) == "imports";
    if (holds && containers < deepest_container) {
      add_bindings(view, rules, node, containers + 1, bindings);
    }
  }
}

}  // namespace

std::vector<Use> SyntaxTree::uses(ByteRange meant) const {
  if (!tree_) return {};
  const Text& text = *snapshot_->text;
  const View view(tree_, *language_, text);
  Found found(view, text);
  walk(view.root(), [&](TSNode node, std::string_view) {
    const ByteRange here = range(node);
    if (here.end <= meant.begin || here.begin >= meant.end || found.full()) return false;
    found.declared(node);
    for (const UseRule& rule : language_->uses) {
      const bool inside = here.begin >= meant.begin;  // else only a part of it is meant
      if (rule.type == type(node) && inside) found.add(rule, node);
    }
    return true;
  });
  return found.take();
}

std::vector<Binding> SyntaxTree::bindings() const {
  std::vector<Binding> bindings;
  if (!tree_) return bindings;
  const View view(tree_, *language_, *snapshot_->text);
  add_bindings(view, language_->bindings, view.root(), 0, bindings);
  return bindings;
}

}  // namespace hearth::lsp
