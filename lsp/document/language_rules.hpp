// What the nodes of each grammar mean: the parts of the rows of languages.cpp, a namespace for each
// language. languages.hpp says how they are read. Node types are those of the pinned grammars.
#pragma once

#include <string_view>

#include "lsp/document/languages.hpp"

namespace hearth::lsp::rules {

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

namespace csharp {
constexpr Names ids = {"csharp", "cs"};
constexpr Names extensions = {".cs", ".csx"};
constexpr Declarations declarations = {
    {"method_declaration"},
    {"local_function_statement"},
    {"constructor_declaration"},
    {"destructor_declaration"},
    {"operator_declaration", function, "operator"},
    {"conversion_operator_declaration", function, "type"},
    {"indexer_declaration", function, "this", "accessors", Body::required},
    {"indexer_declaration", function, "this", "value"},
    {"property_declaration", function, "name", "accessors", Body::required},
    {"property_declaration", function, "name", "value"},
    {"class_declaration", type},
    {"interface_declaration", type},
    {"struct_declaration", type},
    {"record_declaration", type},
    {"enum_declaration", type},
    {"delegate_declaration", type, "name", ""},
};
constexpr Imports imports = {{"using_directive"}};
constexpr Names containers = {"namespace_declaration", "declaration_list",
                              "global_statement",      "preproc_if",
                              "preproc_else",          "preproc_elif"};
}  // namespace csharp

// A module is what its classes are in more often than it has methods of its own.
namespace ruby {
constexpr Names ids = {"ruby"};
constexpr Names extensions = {".rb", ".rake", ".gemspec", ".ru", "Gemfile", "Rakefile"};
constexpr Declarations declarations = {
    {"method"},
    {"singleton_method"},
    {"class", type},
    {"singleton_class", type, "value"},
};
constexpr Imports imports = {{"call", "method", "require"}, {"call", "method", "require_relative"}};
constexpr Names containers = {"module", "body_statement"};
}  // namespace ruby

namespace php {
constexpr Names ids = {"php"};
constexpr Names extensions = {".php", ".phtml"};
constexpr Declarations declarations = {
    {"function_definition"},
    {"method_declaration"},
    {"assignment_expression", function, "left", "right.body", Body::required},
    {"class_declaration", type},
    {"interface_declaration", type},
    {"trait_declaration", type},
    {"enum_declaration", type},
};
constexpr Imports imports = {
    {"namespace_use_declaration"},
    {"expression_statement", "require_expression"},
    {"expression_statement", "require_once_expression"},
    {"expression_statement", "include_expression"},
    {"expression_statement", "include_once_expression"},
};
constexpr Names wrappers = {"expression_statement"};
constexpr Names containers = {"namespace_definition", "compound_statement"};
}  // namespace php

namespace kotlin {
constexpr Names ids = {"kotlin"};
constexpr Names extensions = {".kt", ".kts"};
constexpr Declarations declarations = {
    {"function_declaration", function, "name", "function_body"},
    {"secondary_constructor", function, "constructor", "block"},
    {"property_declaration", function, "variable_declaration.identifier", "getter", Body::required},
    {"class_declaration", type, "name", "class_body", Body::required},
    {"class_declaration", type, "name", "enum_class_body"},
    {"object_declaration", type, "name", "class_body"},
    {"companion_object", type, "name", "class_body"},
    {"companion_object", type, "companion", "class_body"},
    {"type_alias", type, "type", ""},
};
constexpr Imports imports = {{"import"}};
}  // namespace kotlin

namespace swift {
constexpr Names ids = {"swift"};
constexpr Names extensions = {".swift"};
constexpr Declarations declarations = {
    {"function_declaration"},
    {"init_declaration"},
    {"deinit_declaration", function, "deinit"},
    {"subscript_declaration", function, "subscript", "computed_property"},
    {"property_declaration", function, "name", "computed_value", Body::required},
    {"protocol_function_declaration", function, "name", ""},
    {"class_declaration", type},
    {"protocol_declaration", type},
    {"typealias_declaration", type, "name", ""},
};
constexpr Imports imports = {{"import_declaration"}};
}  // namespace swift

namespace scala {
constexpr Names ids = {"scala"};
constexpr Names extensions = {".scala", ".sc", ".sbt"};
constexpr Declarations declarations = {
    {"function_definition"},
    {"function_declaration", function, "name", ""},
    {"class_definition", type},
    {"trait_definition", type},
    {"object_definition", type},
    {"package_object", type},
    {"enum_definition", type},
    {"given_definition", type},
    {"type_definition", type, "name", ""},
};
constexpr Imports imports = {{"import_declaration"}};
constexpr Names containers = {"package_clause", "template_body", "extension_definition"};
}  // namespace scala

namespace zig {
constexpr Names ids = {"zig"};
constexpr Names extensions = {".zig"};
constexpr Declarations declarations = {
    {"function_declaration"},
    {"test_declaration", function, "string", "block"},
    {"test_declaration", function, "identifier", "block"},
    {"variable_declaration", type, "identifier", "struct_declaration", Body::required},
    {"variable_declaration", type, "identifier", "enum_declaration", Body::required},
    {"variable_declaration", type, "identifier", "union_declaration", Body::required},
    {"variable_declaration", type, "identifier", "error_set_declaration", Body::required},
};
constexpr Imports imports = {
    {"variable_declaration", "builtin_function.builtin_identifier", "@import"},
    {"variable_declaration", "field_expression.object.builtin_identifier", "@import"},
};
}  // namespace zig

namespace haskell {
constexpr Names ids = {"haskell"};
constexpr Names extensions = {".hs"};
constexpr Declarations declarations = {
    // A type `a -> b` is called a function too.
    {"function", function, "name", "match", Body::required},
    {"bind", function, "name", "match"},
    {"data_type", type, "name", "constructors"},
    {"newtype", type, "name", "constructor"},
    {"type_synomym", type, "name", ""},
    {"class", type, "name", "declarations"},
    {"instance", type, "name", "declarations"},
};
constexpr Imports imports = {{"import"}};
constexpr Names containers = {"declarations"};
}  // namespace haskell

// Interfaces (.mli) have a grammar of their own, which is not built.
namespace ocaml {
constexpr Names ids = {"ocaml"};
constexpr Names extensions = {".ml"};
constexpr Declarations declarations = {
    {"let_binding", function, "pattern", "body", Body::optional, "parameter"},
    {"let_binding", function, "pattern", "function_expression", Body::required},
    {"let_binding", function, "pattern", "fun_expression", Body::required},
    {"method_definition", function, "method_name"},
    {"value_specification", function, "value_name", ""},
    {"type_binding", type},
    {"exception_definition", type, "constructor_declaration.constructor_name", ""},
    {"module_binding", type, "module_name"},
    {"module_type_definition", type, "module_type_name"},
    {"class_binding", type, "class_name"},
};
constexpr Imports imports = {{"open_module"}, {"include_module"}};
constexpr Names wrappers = {"value_definition", "type_definition", "module_definition",
                            "class_definition"};
}  // namespace ocaml

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

namespace yaml {
constexpr Names ids = {"yaml", "dockercompose", "github-actions-workflow"};
constexpr Names extensions = {".yaml", ".yml"};
constexpr Declarations declarations = {{"block_mapping_pair", type, "key", "value"},
                                       {"flow_pair", type, "key", "value"}};
constexpr Names containers = {"document", "block_node", "block_mapping", "flow_node",
                              "flow_mapping"};
}  // namespace yaml

namespace toml {
constexpr Names ids = {"toml"};
constexpr Names extensions = {".toml"};
constexpr Declarations declarations = {
    {"pair", type, "bare_key", ""},
    {"pair", type, "dotted_key", ""},
    {"pair", type, "quoted_key", ""},
    {"table", type, "bare_key", ""},
    {"table", type, "dotted_key", ""},
    {"table", type, "quoted_key", ""},
    {"table_array_element", type, "bare_key", ""},
    {"table_array_element", type, "dotted_key", ""},
    {"table_array_element", type, "quoted_key", ""},
};
constexpr Names containers = {"inline_table"};
}  // namespace toml

namespace html {
constexpr Names ids = {"html"};
constexpr Names extensions = {".html", ".htm"};
constexpr Declarations declarations = {
    {"element", type, "start_tag.tag_name", ""},
    {"element", type, "self_closing_tag.tag_name", ""},
    {"script_element", type, "start_tag.tag_name", ""},
    {"style_element", type, "start_tag.tag_name", ""},
};
}  // namespace html

namespace css {
constexpr Names ids = {"css"};
constexpr Names extensions = {".css"};
constexpr Declarations declarations = {
    {"rule_set", type, "selectors", "block"},
    {"keyframes_statement", type, "keyframes_name", "keyframe_block_list"},
    {"at_rule", type, "at_keyword", "block"},
};
constexpr Imports imports = {{"import_statement"}};
constexpr Names containers = {"media_statement", "supports_statement", "block"};
}  // namespace css

namespace markdown {
constexpr Names ids = {"markdown"};
constexpr Names extensions = {".md", ".markdown"};
constexpr Declarations declarations = {
    {"section", type, "atx_heading.heading_content", ""},
    {"section", type, "setext_heading.heading_content", ""},
};
}  // namespace markdown

}  // namespace hearth::lsp::rules
