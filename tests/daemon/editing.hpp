// What an editor in these tests shows and asks for: a small function, requests about it, and what a
// person is told meanwhile.
#pragma once

#include <string>
#include <vector>

#include "daemon/commands/scripted_editor.hpp"
#include "tests/daemon/home.hpp"

namespace hearth::tests {

inline constexpr const char* stats_uri = "file:///stats.py";
// Five lines that the embedded checkpoint can explain.
inline constexpr const char* average =
    "def average(values):\n"
    "    total = 0\n"
    "    for value in values:\n"
    "        total += value\n"
    "    return total / len(values)\n";

// The params of workspace/executeCommand for an explanation of the first `lines` lines.
Json explain_command(const std::string& uri, int lines);
// The params of textDocument/inlineCompletion there in stats_uri, as a person asks.
Json completion_at(int line, int character);
// The code actions that are offered for these lines.
Json actions(daemon::ScriptedEditor& editor, const std::string& uri, int lines);

// One explanation of `text` for an editor that is shown a file and then goes.
void explain_into_a_file(const Home& home, const std::string& text = average);

// Texts of window/showMessage, from now on; the editor has no other listener meanwhile.
struct Messages {
  explicit Messages(daemon::ScriptedEditor& editor);
  std::size_t with(const std::string& words) const;  // how many have these words
  std::vector<std::string> shown;
};

}  // namespace hearth::tests
