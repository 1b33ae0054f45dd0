// One generator for each shell. They offer commands, options, words that an option takes, and files
// or folders where a path is wanted.
#include "daemon/commands/completions.hpp"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <string_view>
#include <vector>

#include "daemon/commands/command_line.hpp"

namespace hearth::daemon {
namespace {

enum class Kind { flag, text, file, folder, words };

struct Value {
  Kind kind = Kind::flag;
  std::vector<std::string> words;
};

Value value_of(const CLI::App& app, const CLI::Option& option) {
  const auto words = value_words(option);
  if (!words.empty()) return {Kind::words, words};
  const std::string name = value_name(option);
  if (name.empty()) return {};
  if (name == "DIR") return {Kind::folder, {}};
  if (name == "FILE") return {Kind::file, {}};
  if (option.get_positional() && option.get_name(true, false) == "command") {
    Value commands{Kind::words, {}};
    for (const CLI::App* each : commands_of(app)) commands.words.push_back(each->get_name());
    return commands;
  }
  return {Kind::text, {}};
}

// "--model", "-p": with their dashes, the short ones first.
std::vector<std::string> names_of(const CLI::Option& option) {
  std::vector<std::string> names;
  for (const std::string& each : option.get_snames()) names.push_back("-" + each);
  for (const std::string& each : option.get_lnames()) names.push_back("--" + each);
  return names;
}

// All commands below `command`, itself first.
std::vector<const CLI::App*> tree_of(const CLI::App& command) {
  std::vector<const CLI::App*> tree{&command};
  for (const CLI::App* part : commands_of(command)) {
    for (const CLI::App* each : tree_of(*part)) tree.push_back(each);
  }
  return tree;
}

std::string one_line(std::string text) {
  for (char& c : text) {
    if (c == '\n') c = ' ';
  }
  return text;
}

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  for (std::size_t i = text.find(from); i != std::string::npos;
       i = text.find(from, i + to.size())) {
    text.replace(i, from.size(), to);
  }
  return text;
}

std::string quoted(const std::string& text) {
  return "'" + replaced(text, "'", "'\\''") + "'";
}

std::string joined(const std::vector<std::string>& words) {
  return CLI::detail::join(words, " ");
}

std::string bash_reply(const Value& value) {
  switch (value.kind) {
    case Kind::folder:
      return "compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- \"$word\")";
    case Kind::file:
      return "compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- \"$word\")";
    case Kind::words:
      return "mapfile -t COMPREPLY < <(compgen -W " + quoted(joined(value.words)) +
             " -- \"$word\")";
    default:
      return ":";
  }
}

// What may follow a command's name, other than its options.
std::vector<std::string> parts_of(const CLI::App& command) {
  std::vector<std::string> parts;
  for (const CLI::App* each : commands_of(command)) parts.push_back(each->get_name());
  return parts;
}

// What zsh does for a value; empty for a flag.
std::string zsh_action(const std::string& name, const Value& value) {
  const std::string message = ":" + replaced(name, ":", "\\:") + ":";
  switch (value.kind) {
    case Kind::folder:
      return message + "_files -/";
    case Kind::file:
      return message + "_files";
    case Kind::words:
      return message + "(" + joined(value.words) + ")";
    case Kind::text:
      return message + " ";
    case Kind::flag:
      return "";
  }
  return "";
}

std::string zsh_text(const std::string& text) {
  std::string result = one_line(text);
  for (const char* special : {"[", "]", ":"}) {
    result = replaced(result, special, std::string("\\") + special);
  }
  return result;
}

std::string zsh_arguments(const CLI::App& app, const CLI::App& command) {
  std::string text = "_arguments";
  for (const CLI::App* each : tree_of(command)) {
    for (const CLI::Option* option : options_of(*each)) {
      if (each != &command && option == each->get_help_ptr()) continue;
      const Value value = value_of(app, *option);
      for (const std::string& name : names_of(*option)) {
        text += " \\\n        " + quoted(name + "[" + zsh_text(option->get_description()) + "]" +
                                         zsh_action(value_name(*option), value));
      }
    }
  }
  if (const auto parts = parts_of(command); !parts.empty()) {
    text += " \\\n        " + quoted("1:command:(" + joined(parts) + ")");
  }
  for (const CLI::Option* positional : positionals_of(command)) {
    const std::string name = positional->get_name(true, false);
    text += " \\\n        " + quoted("*" + zsh_action(name, value_of(app, *positional)));
  }
  return text;
}

// Whether the command line has come to this command.
std::string fish_condition(const CLI::App& command) {
  const CLI::App* parent = command.get_parent();
  if (parent == nullptr) return "__fish_use_subcommand";
  std::string condition = "__fish_seen_subcommand_from " + command.get_name();
  if (parent->get_parent() != nullptr) condition = fish_condition(*parent) + "; and " + condition;
  return condition;
}

std::string fish_value(const Value& value) {
  switch (value.kind) {
    case Kind::folder:
      return " -x -a '(__fish_complete_directories)'";
    case Kind::file:
      return " -r -F";
    case Kind::words:
      return " -x -a " + quoted(joined(value.words));
    case Kind::text:
      return " -x";
    case Kind::flag:
      return "";
  }
  return "";
}

}  // namespace

std::string bash_completions(const CLI::App& app) {
  std::string paths, values, words;
  for (const CLI::App* command : tree_of(app)) {
    const std::string path = full_name(*command);
    if (command != &app) paths += (paths.empty() ? "" : " | ") + quoted(path);
    std::vector<std::string> offered = parts_of(*command);
    for (const CLI::Option* option : options_of(*command)) {
      const Value value = value_of(app, *option);
      for (const std::string& name : names_of(*option)) {
        offered.push_back(name);
        if (value.kind == Kind::flag) continue;
        values += "    " + quoted(path + " " + name) + ") " + bash_reply(value) + "; return ;;\n";
      }
    }
    words += "    " + quoted(path) + ") words=" + quoted(joined(offered)) + " ;;\n";
  }
  std::string positionals;
  for (const CLI::App* command : tree_of(app)) {
    for (const CLI::Option* each : positionals_of(*command)) {
      positionals += "    " + quoted(full_name(*command)) + ") " +
                     bash_reply(value_of(app, *each)) + "; return ;;\n";
    }
  }
  return "# Completions of hearth for bash.\n"
         "_hearth() {\n"
         "  local word=$2 before=$3 path=hearth words='' i\n"
         "  COMPREPLY=()\n"
         "  for ((i = 1; i < COMP_CWORD; ++i)); do\n"
         "    case \"$path ${COMP_WORDS[i]}\" in\n"
         "      " +
         paths +
         ") path+=\" ${COMP_WORDS[i]}\" ;;\n"
         "    esac\n"
         "  done\n"
         "  case \"$path $before\" in\n" +
         values +
         "  esac\n"
         "  [[ $word == -* ]] || case $path in\n" +
         positionals +
         "  esac\n"
         "  case $path in\n" +
         words +
         "  esac\n"
         "  mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n"
         "}\n"
         "complete -F _hearth hearth\n";
}

std::string zsh_completions(const CLI::App& app) {
  std::string commands, arguments;
  for (const CLI::App* command : commands_of(app)) {
    const std::string name = command->get_name();
    commands += "    " + quoted(name + ":" + zsh_text(command->get_description())) + "\n";
    arguments += "      " + name + ")\n      " + zsh_arguments(app, *command) + "\n        ;;\n";
  }
  std::string options;
  for (const CLI::Option* option : options_of(app)) {
    for (const std::string& name : names_of(*option)) {
      options += "    " + quoted(name + "[" + zsh_text(option->get_description()) + "]") + " \\\n";
    }
  }
  return "#compdef hearth\n"
         "# Completions of hearth for zsh.\n"
         "_hearth() {\n"
         "  local curcontext=\"$curcontext\" state line\n"
         "  local -a commands\n"
         "  typeset -A opt_args\n"
         "  commands=(\n" +
         commands +
         "  )\n"
         "  _arguments -C \\\n" +
         options +
         "    '1:command:->command' '*::argument:->argument'\n"
         "  case $state in\n"
         "    command) _describe command commands ;;\n"
         "    argument) case $words[1] in\n" +
         arguments +
         "    esac ;;\n"
         "  esac\n"
         "}\n"
         "_hearth \"$@\"\n";
}

std::string fish_completions(const CLI::App& app) {
  std::string text = "# Completions of hearth for fish.\ncomplete -c hearth -f\n";
  for (const CLI::App* command : tree_of(app)) {
    const std::string here = "complete -c hearth -n " + quoted(fish_condition(*command));
    for (const CLI::App* part : commands_of(*command)) {
      text += here + " -a " + part->get_name() + " -d " +
              quoted(one_line(part->get_description())) + "\n";
    }
    for (const CLI::Option* option : options_of(*command)) {
      text += here;
      for (const std::string& each : option->get_snames()) text += " -s " + each;
      for (const std::string& each : option->get_lnames()) text += " -l " + each;
      text += fish_value(value_of(app, *option)) + " -d " +
              quoted(one_line(option->get_description())) + "\n";
    }
    for (const CLI::Option* positional : positionals_of(*command)) {
      const Value value = value_of(app, *positional);
      if (value.kind != Kind::text) text += here + fish_value(value) + "\n";
    }
  }
  return text;
}

}  // namespace hearth::daemon
