// The command line as a whole: which commands there are, what each of them takes, and what is said
// of a word that is none of them. Help, manual page and the shells' completions are made of this
// one list. What a command does is in commands_*.cpp.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "daemon/commands/commands.hpp"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace hearth::daemon {

// The program with all of its commands. Parsing it sets `chosen`, which must outlive it.
std::unique_ptr<CLI::App> make_command_line(Command& chosen);

// Parses, and does what was asked for. Returns the exit code: 0 fine, or what the command says.
// Throws CallError where the call is wrong, and what the command throws.
int run_command_line(int argc, const char* const* argv);

// What people are shown of a command (or of the program), in the order in which they meet it.
std::vector<const CLI::App*> commands_of(const CLI::App& command);
std::vector<const CLI::Option*> options_of(const CLI::App& command);
std::vector<const CLI::Option*> positionals_of(const CLI::App& command);

// The command that the words name ("jobs", "cancel"); none name the program. Throws CallError for a
// word that is no command, with the nearest that is.
const CLI::App& find_command(const CLI::App& app, std::span<const std::string> words);

std::string full_name(const CLI::App& command);  // "hearth generate"

// A value as help shows it: "N", "DIR", "lru|lrfu"; empty for a flag.
std::string value_name(const CLI::Option& option);
// Where only certain words will do: these.
std::vector<std::string> value_words(const CLI::Option& option);

// What --help prints, 80 columns wide.
std::string help_of(const CLI::App& command);

// The lines below "Examples:" of a command's help. They work as they stand in a bash.
struct Example {
  std::string line;    // what is typed, which may go on behind a backslash
  std::string remark;  // what follows its #, or nothing
};
std::vector<Example> examples_of(const CLI::App& command);

}  // namespace hearth::daemon
