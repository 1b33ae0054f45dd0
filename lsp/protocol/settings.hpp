// Settings on the wire, and what they mean for a document.
#pragma once

#include <chrono>
#include <span>
#include <string>
#include <string_view>

#include "lsp/protocol/json.hpp"
#include "lsp/support/settings.hpp"
#include "lsp/support/text.hpp"

namespace hearth::lsp {

// `set`, changed by what an editor says, as "settings" of initializationOptions or under "hearth"
// in workspace/didChangeConfiguration:
//   {"actions": {"disabled": ["review"]}, "off": {"languages": ["markdown"], "paths":
//   ["*.min.js"]},
//    "inline": {"automatic": false}}
// The names and meanings of config.toml. What is not there stays. Throws InvalidParams naming the
// setting that has another form.
Settings changed_settings(Settings set, const Json& said);

// Whether hearth keeps quiet in a document. `*` in a pattern stands for anything, `/` included, `?`
// for one character; a pattern without `/` is about the file's own name.
bool is_off(const Settings& settings, const Snapshot& snapshot,
            std::span<const std::string> folders);
bool matches(std::string_view pattern, std::string_view path);

}  // namespace hearth::lsp
