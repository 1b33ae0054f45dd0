// Steps over nodes of a tree-sitter tree, and the paths of languages.hpp. What a language's nodes
// mean is tree_view.hpp's.
#pragma once

#include <tree_sitter/api.h>

#include <string>
#include <string_view>
#include <vector>

#include "lsp/document/languages.hpp"
#include "lsp/support/text.hpp"

namespace hearth::lsp::nodes {

constexpr int deepest_container = 16;  // hostile text may nest them without end

std::string_view type(TSNode node);
bool is_comment(TSNode node);
ByteRange range(TSNode node);
bool covers(TSNode node, ByteRange part);
std::vector<TSNode> children(TSNode node);  // named ones
// From the root to the smallest named node around all of `part`.
std::vector<TSNode> path_to(TSNode root, ByteRange part);
// The first with that field's name, else of that type; null where there is none.
TSNode child(TSNode node, std::string_view field_or_type);
// Null where the path leads nowhere or is empty.
TSNode follow(TSNode node, std::string_view path);
// Where the name of what `node` declares is, if the rule holds for it; else null.
TSNode name_node(const DeclarationRule& rule, TSNode node);
// On one line, without quotes.
std::string name_from(std::string_view text);

}  // namespace hearth::lsp::nodes
