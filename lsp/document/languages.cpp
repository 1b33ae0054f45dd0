// The rows of the table in languages.hpp, from the rules in language_rules.hpp.
#include "lsp/document/languages.hpp"

#include <algorithm>
#include <array>
#include <string>

#include "lsp/document/language_rules.hpp"
#include "lsp/document/use_rules.hpp"
#include "lsp/protocol/source_path.hpp"

extern "C" {
const TSLanguage* tree_sitter_bash();
const TSLanguage* tree_sitter_c();
const TSLanguage* tree_sitter_c_sharp();
const TSLanguage* tree_sitter_cpp();
const TSLanguage* tree_sitter_css();
const TSLanguage* tree_sitter_go();
const TSLanguage* tree_sitter_haskell();
const TSLanguage* tree_sitter_html();
const TSLanguage* tree_sitter_java();
const TSLanguage* tree_sitter_javascript();
const TSLanguage* tree_sitter_json();
const TSLanguage* tree_sitter_kotlin();
const TSLanguage* tree_sitter_lua();
const TSLanguage* tree_sitter_markdown();
const TSLanguage* tree_sitter_ocaml();
const TSLanguage* tree_sitter_php();
const TSLanguage* tree_sitter_python();
const TSLanguage* tree_sitter_ruby();
const TSLanguage* tree_sitter_rust();
const TSLanguage* tree_sitter_scala();
const TSLanguage* tree_sitter_swift();
const TSLanguage* tree_sitter_toml();
const TSLanguage* tree_sitter_tsx();
const TSLanguage* tree_sitter_typescript();
const TSLanguage* tree_sitter_yaml();
const TSLanguage* tree_sitter_zig();
}

namespace hearth::lsp {
namespace {

using namespace rules;

constexpr std::span<const std::string_view> none;

constexpr std::array table = {
    Language{"c", c::ids, c::extensions, tree_sitter_c, "//", "", c::declarations, c::imports,
             c::wrappers, c::containers, "", c::uses},
    Language{"cpp", cpp::ids, cpp::extensions, tree_sitter_cpp, "//", "", cpp::declarations,
             cpp::imports, cpp::wrappers, cpp::containers, "", c::uses, cpp::bindings},
    Language{"python", python::ids, python::extensions, tree_sitter_python, "#", "",
             python::declarations, python::imports, python::wrappers, none, "", python::uses,
             python::bindings},
    Language{"javascript", ecma::javascript_ids, ecma::javascript_extensions,
             tree_sitter_javascript, "//", "", ecma::declarations, ecma::imports, ecma::wrappers,
             ecma::containers, "", ecma::uses, ecma::bindings},
    Language{"typescript", ecma::typescript_ids, ecma::typescript_extensions,
             tree_sitter_typescript, "//", "", ecma::declarations, ecma::imports, ecma::wrappers,
             ecma::containers, "", ecma::uses, ecma::bindings},
    Language{"tsx", ecma::tsx_ids, ecma::tsx_extensions, tree_sitter_tsx, "//", "",
             ecma::declarations, ecma::imports, ecma::wrappers, ecma::containers, "", ecma::uses,
             ecma::bindings},
    Language{"rust", rust::ids, rust::extensions, tree_sitter_rust, "//", "", rust::declarations,
             rust::imports, none, rust::containers, "attribute_item", rust::uses, rust::bindings},
    Language{"go", go::ids, go::extensions, tree_sitter_go, "//", "", go::declarations, go::imports,
             go::wrappers, none, "", go::uses, go::bindings},
    Language{"java", java::ids, java::extensions, tree_sitter_java, "//", "", java::declarations,
             java::imports, none, none, "", java::uses, java::bindings},
    Language{"csharp", csharp::ids, csharp::extensions, tree_sitter_c_sharp, "//", "",
             csharp::declarations, csharp::imports, none, csharp::containers, "", csharp::uses,
             csharp::bindings},
    Language{"ruby", ruby::ids, ruby::extensions, tree_sitter_ruby, "#", "", ruby::declarations,
             ruby::imports, none, ruby::containers, "", ruby::uses},
    Language{"php", php::ids, php::extensions, tree_sitter_php, "//", "", php::declarations,
             php::imports, php::wrappers, php::containers, "", php::uses, php::bindings},
    Language{"kotlin", kotlin::ids, kotlin::extensions, tree_sitter_kotlin, "//", "",
             kotlin::declarations, kotlin::imports, none, none, "", kotlin::uses, kotlin::bindings},
    Language{"swift", swift::ids, swift::extensions, tree_sitter_swift, "//", "",
             swift::declarations, swift::imports, none, none, "", swift::uses, swift::bindings},
    Language{"scala", scala::ids, scala::extensions, tree_sitter_scala, "//", "",
             scala::declarations, scala::imports, none, scala::containers, "", scala::uses,
             scala::bindings},
    Language{"zig", zig::ids, zig::extensions, tree_sitter_zig, "//", "", zig::declarations,
             zig::imports, none, none, "", zig::uses, zig::bindings},
    Language{"haskell", haskell::ids, haskell::extensions, tree_sitter_haskell, "--", "",
             haskell::declarations, haskell::imports, none, haskell::containers, "signature",
             haskell::uses, haskell::bindings},
    Language{"ocaml", ocaml::ids, ocaml::extensions, tree_sitter_ocaml, "(*", "*)",
             ocaml::declarations, ocaml::imports, ocaml::wrappers, none, "", ocaml::uses,
             ocaml::bindings},
    Language{"lua", lua::ids, lua::extensions, tree_sitter_lua, "--", "", lua::declarations,
             lua::imports, lua::wrappers, none, "", lua::uses, lua::bindings},
    Language{"bash", bash::ids, bash::extensions, tree_sitter_bash, "#", "", bash::declarations,
             bash::imports, none, none, "", bash::uses},
    Language{"json",
             json::ids,
             json::extensions,
             tree_sitter_json,
             "//",
             "",
             json::declarations,
             {},
             none,
             json::containers},
    Language{"yaml",
             yaml::ids,
             yaml::extensions,
             tree_sitter_yaml,
             "#",
             "",
             yaml::declarations,
             {},
             none,
             yaml::containers},
    Language{"toml",
             toml::ids,
             toml::extensions,
             tree_sitter_toml,
             "#",
             "",
             toml::declarations,
             {},
             none,
             toml::containers},
    Language{"html",
             html::ids,
             html::extensions,
             tree_sitter_html,
             "<!--",
             "-->",
             html::declarations,
             {},
             none,
             none},
    Language{"css", css::ids, css::extensions, tree_sitter_css, "/*", "*/", css::declarations,
             css::imports, none, css::containers},
    Language{"markdown",
             markdown::ids,
             markdown::extensions,
             tree_sitter_markdown,
             "<!--",
             "-->",
             markdown::declarations,
             {},
             none,
             none},
};

bool contains(std::span<const std::string_view> names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

}  // namespace

std::span<const Language> languages() {
  return table;
}

const Language* find_language(std::string_view language_id, std::string_view uri) {
  const auto by_id = std::ranges::find_if(
      table, [&](const Language& row) { return contains(row.ids, language_id); });
  if (by_id != table.end()) return &*by_id;
  const std::string path = path_of(uri);
  const auto ends = [&](std::string_view extension) { return path.ends_with(extension); };
  const auto by_name = std::ranges::find_if(
      table, [&](const Language& row) { return std::ranges::any_of(row.extensions, ends); });
  return by_name != table.end() ? &*by_name : nullptr;
}

}  // namespace hearth::lsp
