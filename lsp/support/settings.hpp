// Where hearth keeps quiet: what a person set in the configuration, and in an editor for its
// session.
#pragma once

#include <set>
#include <string>

namespace hearth::lsp {

struct Settings {
  using Names = std::set<std::string, std::less<>>;

  Names disabled_actions;  // by an action's id: listed nowhere, and refused
  // Documents for which nothing happens unasked: no completion while typing, no menu. Asked in so
  // many words, hearth answers there too.
  Names off_languages;    // by LSP language id
  Names off_paths;        // patterns of the path in the workspace: "generated/*", "*.min.js"
  bool completes = true;  // while typing, at all
};

}  // namespace hearth::lsp
