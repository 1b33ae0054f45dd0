// The table of programming languages: how each is named, its grammar, and what the nodes of its
// trees mean. Adding a language: a grammar in grammars/CMakeLists.txt, its rules in
// language_rules.hpp and use_rules.hpp, and a row in languages.cpp.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

struct TSLanguage;

namespace hearth::lsp {

// A path leads from a node down to another: steps joined by '.', each the name of a field or the
// type of a child, a keyword's being the keyword; "declarator*" goes down a C declarator to the
// name in its middle.

// Nodes of `type` declare something.
struct DeclarationRule {
  enum class Kind : std::uint8_t { function, type };
  enum class Body : std::uint8_t {
    optional,  // where the path leads nowhere, the first line is the signature
    required,  // without it the node is a mere mention
    absent,    // a C prototype: the whole node is the signature, and a parameter list is required
  };
  std::string_view type;
  Kind kind = Kind::function;
  std::string_view name = "name";  // path
  std::string_view body = "body";  // path
  Body needs = Body::optional;
  std::string_view has = {};  // path that leads somewhere in those that are meant
};

// Nodes of `type` at top level are imports; with a path only those where it leads to `word`, or
// leads anywhere if there is no word.
struct ImportRule {
  std::string_view type;
  std::string_view path = {};
  std::string_view word = {};
};

// Nodes of `type` use what is declared elsewhere: the name at the end of the node that the path
// leads to (`a.b<T>` uses b) is called; of types, every name in it is used.
struct UseRule {
  enum class Kind : std::uint8_t { call, type };
  std::string_view type;
  Kind kind = Kind::call;
  std::string_view name = {};  // path; empty: the node itself
};

// Nodes of `type` in an import, or beside it, bind a name: `import a as b`. Both are at the end of
// the nodes that the paths lead to; where there is no alias, the name is bound.
struct BindingRule {
  static constexpr std::string_view any = "*";
  std::string_view type;
  std::string_view name = {};  // path; empty: the node itself
  std::string_view alias = {};
  std::string_view field = any;  // that the node has to be in its parent; empty: in none
};

struct Language {
  std::string_view name;                         // in fences and prompts: "python"
  std::span<const std::string_view> ids;         // LSP language ids
  std::span<const std::string_view> extensions;  // of file names, or whole names
  const TSLanguage* (*grammar)();
  std::string_view comment_begin;  // of a comment that ends with its line, or with comment_end
  std::string_view comment_end;
  std::span<const DeclarationRule> declarations;
  std::span<const ImportRule> imports;
  std::span<const std::string_view> wrappers;    // belong to the one declaration inside: `export`
  std::span<const std::string_view> containers;  // what is inside counts as top level: namespaces
  std::string_view attribute = {};               // comes before the declaration that it belongs to
  std::span<const UseRule> uses = {};
  std::span<const BindingRule> bindings = {};
};

std::span<const Language> languages();

// By the client's language id, else by the file's name; null: plain text.
const Language* find_language(std::string_view language_id, std::string_view uri);

}  // namespace hearth::lsp
