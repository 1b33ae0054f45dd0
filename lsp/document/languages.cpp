// The rows of the table in languages.hpp. Node types are those of the pinned grammars.
#include "lsp/document/languages.hpp"

#include <algorithm>
#include <array>
#include <string>

#include "lsp/protocol/source_path.hpp"

extern "C" {
const TSLanguage* tree_sitter_bash();
const TSLanguage* tree_sitter_c();
const TSLanguage* tree_sitter_cpp();
const TSLanguage* tree_sitter_go();
const TSLanguage* tree_sitter_java();
const TSLanguage* tree_sitter_javascript();
const TSLanguage* tree_sitter_json();
const TSLanguage* tree_sitter_lua();
const TSLanguage* tree_sitter_markdown();
const TSLanguage* tree_sitter_python();
const TSLanguage* tree_sitter_rust();
const TSLanguage* tree_sitter_tsx();
const TSLanguage* tree_sitter_typescript();
}

namespace hearth::lsp {
namespace {

using Names = std::string_view[];
using Declarations = DeclarationRule[];
using Imports = ImportRule[];
using Body = DeclarationRule::Body;
constexpr auto function = DeclarationRule::Kind::function;
constexpr auto type = DeclarationRule::Kind::type;

namespace c {
constexpr Names ids = {"c"};
constexpr Names extensions = {".c", ".h"};
constexpr Declarations declarations = {
    {"function_definition", function, "declarator*"},
    {"declaration", function, "declarator*", "", Body::absent},
    {"struct_specifier", type, "name", "body", Body::required},
    {"union_specifier", type, "name", "body", Body::required},
    {"enum_specifier", type, "name", "body", Body::required},
    {"type_definition", type, "declarator*", "type.body", Body::required},
};
constexpr Imports imports = {{"preproc_include"}};
constexpr Names wrappers = {"type_definition"};
constexpr Names containers = {"preproc_ifdef",         "preproc_if",
                              "preproc_else",          "preproc_elif",
                              "linkage_specification", "declaration_list"};
}  // namespace c

namespace cpp {
constexpr Names ids = {"cpp", "c++", "cuda-cpp", "cuda"};
constexpr Names extensions = {".cpp", ".cc", ".cxx", ".hpp", ".hh", ".hxx", ".ipp", ".cu", ".cuh"};
constexpr Declarations declarations = {
    {"function_definition", function, "declarator*"},
    {"declaration", function, "declarator*", "", Body::absent},
    {"field_declaration", function, "declarator*", "", Body::absent},
    {"class_specifier", type, "name", "body", Body::required},
    {"struct_specifier", type, "name", "body", Body::required},
    {"union_specifier", type, "name", "body", Body::required},
    {"enum_specifier", type, "name", "body", Body::required},
    {"type_definition", type, "declarator*", "type.body", Body::required},
    {"concept_definition", type, "name", ""},
};
constexpr Imports imports = {{"preproc_include"}, {"using_declaration"}, {"import_declaration"}};
constexpr Names wrappers = {"type_definition", "template_declaration"};
constexpr Names containers = {"preproc_ifdef",        "preproc_if",        "preproc_else",
                              "preproc_elif",         "declaration_list",  "linkage_specification",
                              "namespace_definition", "export_declaration"};
}  // namespace cpp

namespace python {
constexpr Names ids = {"python"};
constexpr Names extensions = {".py", ".pyi", ".pyw"};
constexpr Declarations declarations = {{"function_definition"}, {"class_definition", type}};
constexpr Imports imports = {
    {"import_statement"}, {"import_from_statement"}, {"future_import_statement"}};
constexpr Names wrappers = {"decorated_definition"};
}  // namespace python

// JavaScript, TypeScript and TSX differ in what their declarations are.
namespace ecma {
constexpr Names javascript_ids = {"javascript", "javascriptreact"};
constexpr Names javascript_extensions = {".js", ".jsx", ".mjs", ".cjs"};
constexpr Names typescript_ids = {"typescript"};
constexpr Names typescript_extensions = {".ts", ".mts", ".cts"};
constexpr Names tsx_ids = {"typescriptreact", "tsx"};
constexpr Names tsx_extensions = {".tsx"};
constexpr Declarations declarations = {
    {"function_declaration"},
    {"generator_function_declaration"},
    {"function_expression"},
    {"generator_function"},
    {"class", type},
    {"method_definition"},
    {"class_declaration", type},
    {"variable_declarator", function, "name", "value.body", Body::required},
    {"assignment_expression", function, "left", "right.body", Body::required},
    {"field_definition", function, "property", "value.body", Body::required},
    {"pair", function, "key", "value.body", Body::required},
    {"public_field_definition", function, "name", "value.body", Body::required},
    {"abstract_class_declaration", type},
    {"interface_declaration", type},
    {"enum_declaration", type},
    {"type_alias_declaration", type, "name", ""},
    {"function_signature"},
    {"method_signature"},
    {"abstract_method_signature"},
};
constexpr Imports imports = {
    {"import_statement"},
    {"lexical_declaration", "variable_declarator.value.function", "require"},
    {"variable_declaration", "variable_declarator.value.function", "require"},
};
constexpr Names wrappers = {"export_statement", "lexical_declaration", "variable_declaration",
                            "expression_statement", "ambient_declaration"};
constexpr Names containers = {"internal_module", "module", "statement_block"};
}  // namespace ecma

namespace rust {
constexpr Names ids = {"rust"};
constexpr Names extensions = {".rs"};
constexpr Declarations declarations = {
    {"function_item"},           {"function_signature_item"}, {"struct_item", type},
    {"enum_item", type},         {"union_item", type},        {"trait_item", type},
    {"impl_item", type, "type"}, {"macro_definition"},
};
constexpr Imports imports = {{"use_declaration"}, {"extern_crate_declaration"}};
constexpr Names containers = {"mod_item", "declaration_list", "foreign_mod_item"};
}  // namespace rust

namespace go {
constexpr Names ids = {"go"};
constexpr Names extensions = {".go"};
constexpr Declarations declarations = {
    {"function_declaration"}, {"method_declaration"}, {"type_spec", type, "name", ""}};
constexpr Imports imports = {{"import_declaration"}};
constexpr Names wrappers = {"type_declaration"};
}  // namespace go

namespace java {
constexpr Names ids = {"java"};
constexpr Names extensions = {".java"};
constexpr Declarations declarations = {
    {"method_declaration"},
    {"constructor_declaration"},
    {"compact_constructor_declaration"},
    {"class_declaration", type},
    {"interface_declaration", type},
    {"enum_declaration", type},
    {"record_declaration", type},
    {"annotation_type_declaration", type},
};
constexpr Imports imports = {{"import_declaration"}};
}  // namespace java

namespace lua {
constexpr Names ids = {"lua"};
constexpr Names extensions = {".lua"};
constexpr Declarations declarations = {
    {"function_declaration"},
    {"assignment_statement", function, "variable_list", "expression_list.value.body",
     Body::required},
    {"field", function, "name", "value.body", Body::required},
};
constexpr Imports imports = {
    {"variable_declaration", "assignment_statement.expression_list.value.name", "require"},
    {"function_call", "name", "require"},
};
constexpr Names wrappers = {"variable_declaration"};
}  // namespace lua

namespace bash {
constexpr Names ids = {"shellscript", "bash", "sh"};
constexpr Names extensions = {".sh", ".bash", ".bashrc", ".profile"};
constexpr Declarations declarations = {{"function_definition"}};
constexpr Imports imports = {{"command", "name", "source"}, {"command", "name", "."}};
}  // namespace bash

namespace json {
constexpr Names ids = {"json", "jsonc"};
constexpr Names extensions = {".json", ".jsonc"};
constexpr Declarations declarations = {{"pair", type, "key", "value"}};
constexpr Names containers = {"object"};
}  // namespace json

namespace markdown {
constexpr Names ids = {"markdown"};
constexpr Names extensions = {".md", ".markdown"};
constexpr Declarations declarations = {
    {"section", type, "atx_heading.heading_content", ""},
    {"section", type, "setext_heading.heading_content", ""},
};
}  // namespace markdown

constexpr std::span<const std::string_view> none;

constexpr std::array table = {
    Language{"c", c::ids, c::extensions, tree_sitter_c, "//", "", c::declarations, c::imports,
             c::wrappers, c::containers},
    Language{"cpp", cpp::ids, cpp::extensions, tree_sitter_cpp, "//", "", cpp::declarations,
             cpp::imports, cpp::wrappers, cpp::containers},
    Language{"python", python::ids, python::extensions, tree_sitter_python, "#", "",
             python::declarations, python::imports, python::wrappers, none},
    Language{"javascript", ecma::javascript_ids, ecma::javascript_extensions,
             tree_sitter_javascript, "//", "", ecma::declarations, ecma::imports, ecma::wrappers,
             ecma::containers},
    Language{"typescript", ecma::typescript_ids, ecma::typescript_extensions,
             tree_sitter_typescript, "//", "", ecma::declarations, ecma::imports, ecma::wrappers,
             ecma::containers},
    Language{"tsx", ecma::tsx_ids, ecma::tsx_extensions, tree_sitter_tsx, "//", "",
             ecma::declarations, ecma::imports, ecma::wrappers, ecma::containers},
    Language{"rust", rust::ids, rust::extensions, tree_sitter_rust, "//", "", rust::declarations,
             rust::imports, none, rust::containers, "attribute_item"},
    Language{"go", go::ids, go::extensions, tree_sitter_go, "//", "", go::declarations, go::imports,
             go::wrappers, none},
    Language{"java", java::ids, java::extensions, tree_sitter_java, "//", "", java::declarations,
             java::imports, none, none},
    Language{"lua", lua::ids, lua::extensions, tree_sitter_lua, "--", "", lua::declarations,
             lua::imports, lua::wrappers, none},
    Language{"bash", bash::ids, bash::extensions, tree_sitter_bash, "#", "", bash::declarations,
             bash::imports, none, none},
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
