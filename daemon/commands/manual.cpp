// Writes roff with the macros of man(7). The wording is that of --help and --print-config.
#include "daemon/commands/manual.hpp"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <sstream>
#include <string_view>

#include "daemon/commands/command_line.hpp"
#include "daemon/config.hpp"
#include "daemon/platform/version.hpp"

namespace hearth::daemon {
namespace {

// Text as roff takes it: no line is a request, hyphens and quotes stay what they are.
std::string roff(std::string_view text) {
  std::string result;
  bool line_begins = true;
  for (const char c : text) {
    if (line_begins && (c == '.' || c == '\'')) result += "\\&";
    line_begins = c == '\n';
    switch (c) {
      case '\\':
        result += "\\e";
        break;
      case '-':
        result += "\\-";
        break;
      case '~':
        result += "\\(ti";
        break;
      case '^':
        result += "\\(ha";
        break;
      case '`':
        result += "\\(ga";
        break;
      case '\'':
        result += "\\(aq";
        break;
      default:
        result += c;
    }
  }
  return result;
}

// Lines as they stand.
std::string literal(std::string_view text) {
  return ".PP\n.nf\n" + roff(text) + (text.ends_with('\n') ? "" : "\n") + ".fi\n";
}

std::string option_entry(const CLI::Option& option) {
  const bool positional = option.get_positional();
  std::string names = positional ? option.get_name(true, false) : option.get_name(false, true);
  for (std::size_t i = names.find(','); i != std::string::npos; i = names.find(',', i + 2)) {
    names.replace(i, 1, ", ");
  }
  std::string entry = ".TP\n\\fB" + roff(names) + "\\fR";
  const std::string value = value_name(option);
  if (!positional && !value.empty()) entry += " \\fI" + roff(value) + "\\fR";
  entry += "\n" + roff(option.get_description());
  if (!option.get_default_str().empty()) entry += " [" + roff(option.get_default_str()) + "]";
  if (option.get_required() && !positional) entry += " (required)";
  return entry + "\n";
}

std::string command_section(const CLI::App& command) {
  std::string usage = full_name(command) + " [OPTIONS]";
  for (const CLI::Option* each : positionals_of(command)) {
    const std::string name = each->get_name(true, false);
    usage += each->get_required() ? " " + name : " [" + name + "]";
  }
  std::string section = ".SS " + roff(usage) + "\n" + roff(command.get_description()) + ".\n";
  for (const CLI::Option* each : positionals_of(command)) section += option_entry(*each);
  for (const CLI::Option* each : options_of(command)) {
    if (each != command.get_help_ptr()) section += option_entry(*each);
  }
  if (const std::string footer = command.get_footer(); !footer.empty()) section += literal(footer);
  for (const CLI::App* part : commands_of(command)) section += command_section(*part);
  return section;
}

constexpr const char* files =
    ".TP\n\\fI\\(ti/.config/hearth/config.toml\\fR\n"
    "The configuration; see CONFIGURATION. A daemon reads it when it starts.\n"
    ".TP\n\\fI\\(ti/.local/state/hearth/hearth.log\\fR\n"
    "The daemon's log.\n"
    ".TP\n\\fI\\(ti/.local/state/hearth/answers\\fR\n"
    "Answers, for editors that show them as files.\n"
    ".TP\n\\fI\\(ti/.local/state/hearth/engine\\fR\n"
    "What makes the next start faster: which experts were used, and checkpoints of prompts.\n"
    ".TP\n\\fI\\(ti/.local/share/hearth/models\\fR\n"
    "Models that \\fBhearth pull\\fR downloaded, a folder each.\n"
    ".PP\n"
    "$XDG_CONFIG_HOME, $XDG_STATE_HOME and $XDG_DATA_HOME move them; the daemon's socket is in\n"
    "$XDG_RUNTIME_DIR/hearth.\n";

constexpr const char* environment =
    ".TP\n\\fBHEARTH_MODEL\\fR\n"
    "The checkpoint's folder, if neither \\fB\\-\\-model\\fR nor the configuration names one.\n"
    ".TP\n\\fBHEARTH_ISA\\fR\n"
    "The instruction set to compute with where the configuration names none.\n"
    ".TP\n\\fBHF_ENDPOINT\\fR, \\fBHF_TOKEN\\fR\n"
    "The server that \\fBhearth pull\\fR asks instead of https://huggingface.co, and what it is "
    "shown to\n"
    "read models whose licence has to be accepted.\n"
    ".TP\n\\fBNO_COLOR\\fR\n"
    "Print without colours.\n";

constexpr const char* exit_status =
    "0: success. 1: failure; stderr says why. 2: wrong usage.\n"
    "3: \\fBhearth plan\\fR says that it does not fit. 130: stopped by Ctrl\\-C.\n";

}  // namespace

std::string manual_page(const CLI::App& app) {
  std::string page = ".TH HEARTH 1 \"\" \"hearth " + version() + "\" \"User Commands\"\n";
  page += ".SH NAME\nhearth \\- a coding assistant that runs on your own machine\n";
  page += ".SH SYNOPSIS\n\\fBhearth\\fR [\\fICOMMAND\\fR [\\fIOPTIONS\\fR]]\n";
  page += ".SH DESCRIPTION\n" + roff(app.get_description()) + ".PP\n";
  page +=
      "An editor starts \\fBhearth lsp\\fR as its language server; that finds or starts the one\n"
      "daemon that all of a user's editors share.\n";
  page += literal(app.get_footer());
  page += ".SH OPTIONS\n";
  for (const CLI::Option* each : options_of(app)) page += option_entry(*each);
  page += ".SH COMMANDS\n";
  for (const CLI::App* command : commands_of(app)) page += command_section(*command);
  page += ".SH CONFIGURATION\nThe keys and their defaults:\n" + literal(describe_config(Config{}));
  page += std::string(".SH FILES\n") + files;
  page += std::string(".SH ENVIRONMENT\n") + environment;
  page += std::string(".SH EXIT STATUS\n") + exit_status;
  return page;
}

}  // namespace hearth::daemon
