// What code uses by name, and what imports bind: the rest of language_rules.hpp, a namespace for
// each language of code. languages.hpp says how the rules are read.
#pragma once

#include "lsp/document/languages.hpp"

namespace hearth::lsp::rules {

using Uses = UseRule[];
using Bindings = BindingRule[];
constexpr auto called = UseRule::Kind::call;
constexpr auto used_type = UseRule::Kind::type;

namespace c {
constexpr Uses uses = {{"call_expression", called, "function"}, {"type_identifier", used_type}};
}  // namespace c

namespace cpp {
constexpr Bindings bindings = {
    {"using_declaration", "qualified_identifier"},
    {"alias_declaration", "type", "name"},
    {"namespace_alias_definition", "nested_namespace_specifier", "name"},
};
}  // namespace cpp

namespace python {
constexpr Uses uses = {
    {"call", called, "function"},
    {"decorator", called, "identifier"},
    {"decorator", called, "attribute"},
    {"type", used_type},
    {"class_definition", used_type, "superclasses"},
};
constexpr Bindings bindings = {
    {"aliased_import", "name", "alias"},
    {"dotted_name", "", "", "name"},
};
}  // namespace python

namespace ecma {
constexpr Uses uses = {
    {"call_expression", called, "function"}, {"new_expression", called, "constructor"},
    {"jsx_opening_element", called, "name"}, {"jsx_self_closing_element", called, "name"},
    {"class_heritage", used_type},           {"type_identifier", used_type},
};
constexpr Bindings bindings = {
    {"import_specifier", "name", "alias"},
    {"namespace_import", "identifier"},
    {"import_alias", "nested_identifier", "identifier"},
    {"shorthand_property_identifier_pattern"},
    {"pair_pattern", "key", "value"},
    {"variable_declarator", "name"},
    {"identifier", "", "", ""},
};
}  // namespace ecma

namespace rust {
constexpr Uses uses = {
    {"call_expression", called, "function"},
    {"macro_invocation", called, "macro"},
    {"type_identifier", used_type},
};
constexpr Bindings bindings = {
    {"use_as_clause", "path", "alias"}, {"scoped_identifier", "", "", "argument"},
    {"scoped_identifier", "", "", ""},  {"identifier", "", "", "argument"},
    {"identifier", "", "", ""},         {"type_item", "type", "name"},
};
}  // namespace rust

namespace go {
constexpr Uses uses = {
    {"call_expression", called, "function"},
    {"type_conversion_expression", called, "type"},
    {"type_identifier", used_type},
};
constexpr Bindings bindings = {{"import_spec", "path", "name"}};
}  // namespace go

namespace java {
constexpr Uses uses = {
    {"method_invocation", called, "name"},
    {"method_reference", called},
    {"marker_annotation", used_type, "name"},
    {"type_identifier", used_type},
};
constexpr Bindings bindings = {{"scoped_identifier", "", "", ""}};
}  // namespace java

// Its types are plain identifiers, told by where they are.
namespace csharp {
constexpr Uses uses = {
    {"invocation_expression", called, "function"},
    {"object_creation_expression", used_type, "type"},
    {"parameter", used_type, "type"},
    {"variable_declaration", used_type, "type"},
    {"property_declaration", used_type, "type"},
    {"method_declaration", used_type, "returns"},
    {"local_function_statement", used_type, "type"},
    {"type_argument_list", used_type},
    {"base_list", used_type},
    {"cast_expression", used_type, "type"},
    {"as_expression", used_type, "right"},
    {"is_expression", used_type, "right"},
    {"declaration_pattern", used_type, "type"},
    {"attribute", used_type, "name"},
};
constexpr Bindings bindings = {{"using_directive", "qualified_name", "name"}};
}  // namespace csharp

namespace ruby {
constexpr Uses uses = {{"call", called, "method"}, {"constant", used_type}};
}  // namespace ruby

namespace php {
constexpr Uses uses = {
    {"function_call_expression", called, "function"},
    {"member_call_expression", called, "name"},
    {"nullsafe_member_call_expression", called, "name"},
    {"scoped_call_expression", called, "name"},
    {"object_creation_expression", used_type, "name"},
    {"object_creation_expression", used_type, "qualified_name"},
    {"named_type", used_type},
    {"base_clause", used_type},
    {"class_interface_clause", used_type},
};
constexpr Bindings bindings = {
    {"namespace_use_clause", "qualified_name", "alias"},
    {"namespace_use_clause", "name", "alias"},
};
}  // namespace php

namespace kotlin {
constexpr Uses uses = {
    {"call_expression", called, "navigation_expression"},
    {"call_expression", called, "identifier"},
    {"user_type", used_type},
};
constexpr Bindings bindings = {{"import", "qualified_identifier", "identifier"}};
}  // namespace kotlin

namespace swift {
constexpr Uses uses = {
    {"call_expression", called, "navigation_expression"},
    {"call_expression", called, "simple_identifier"},
    {"type_identifier", used_type},
};
constexpr Bindings bindings = {{"import_declaration", "identifier"}};
}  // namespace swift

namespace scala {
constexpr Uses uses = {{"call_expression", called, "function"}, {"type_identifier", used_type}};
constexpr Bindings bindings = {
    {"import_declaration"},
    {"arrow_renamed_identifier", "name", "alias"},
    {"as_renamed_identifier", "name", "alias"},
    {"identifier", "", "", ""},
};
}  // namespace scala

// Types are plain identifiers, told by where they are.
namespace zig {
constexpr Uses uses = {
    {"call_expression", called, "function"},     {"parameter", used_type, "type"},
    {"container_field", used_type, "type"},      {"function_declaration", used_type, "type"},
    {"variable_declaration", used_type, "type"}, {"struct_initializer", used_type, "identifier"},
};
constexpr Bindings bindings = {
    {"variable_declaration", "field_expression.member", "identifier"},
    {"variable_declaration", "identifier"},
};
}  // namespace zig

// A function that is handed on is as good as called.
namespace haskell {
constexpr Uses uses = {{"variable", called}, {"name", used_type}, {"constructor", used_type}};
constexpr Bindings bindings = {{"import", "module", "alias"}, {"import_name"}};
}  // namespace haskell

namespace ocaml {
constexpr Uses uses = {
    {"application_expression", called, "function"},
    {"infix_expression", called, "right"},
    {"type_constructor_path", used_type},
    {"constructor_path", used_type},
};
constexpr Bindings bindings = {{"open_module", "module"},
                               {"module_binding", "body", "module_name"}};
}  // namespace ocaml

namespace lua {
constexpr Uses uses = {{"function_call", called, "name"}};
constexpr Bindings bindings = {{"variable_declaration", "assignment_statement.variable_list.name"}};
}  // namespace lua

namespace bash {
constexpr Uses uses = {{"command", called, "name"}};
}  // namespace bash

}  // namespace hearth::lsp::rules
