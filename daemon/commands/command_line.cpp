// The list of commands, help texts, and errors for what is not understood.
#include "daemon/commands/command_line.hpp"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <array>
#include <cstdio>
#include <sstream>
#include <string_view>

#include "daemon/platform/error.hpp"
#include "daemon/platform/format.hpp"
#include "daemon/platform/version.hpp"

namespace hearth::daemon {
namespace {

constexpr const char* description =
    "hearth: a coding assistant that runs a Mixture-of-Experts model on your own machine, in the "
    "background of your editor.";

constexpr const char* epilogue =
    "Examples:\n"
    "  hearth demo                       # see it at work, without an editor\n"
    "  hearth chat                       # a conversation; Ctrl-D ends it\n"
    "  hearth generate \\\n"
    "    --prompt \"def is_even(n): return n % 2 == 0  Explain what this code does.\"\n"
    "  hearth daemon && hearth status    # what the daemon is doing\n"
    "\n"
    "`hearth help COMMAND` and `man hearth` say more. An editor starts\n"
    "`hearth lsp` as its language server. Nothing you type leaves this machine.";

constexpr const char* examples_heading = "Examples:";
constexpr std::size_t page_width = 80;
constexpr std::size_t left_column = 28;

// Options and arguments that are paths, in every command that has them.
void name_paths(CLI::App& command) {
  struct Path {
    const char* option;
    const char* kind;
  };
  constexpr std::array<Path, 7> paths{{{"--model", "DIR"},
                                       {"model", "DIR"},
                                       {"--out", "DIR"},
                                       {"--draft", "DIR"},
                                       {"--trace", "FILE"},
                                       {"file", "FILE"},
                                       {"--tokenizer", "FILE"}}};
  for (const Path& path : paths) {
    if (auto* option = command.get_option_no_throw(path.option)) option->type_name(path.kind);
  }
}

std::size_t columns(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

// The words in lines that end before the page does, from the second on behind `indent` blanks. The
// first begins at the same column.
std::string wrapped(const std::string& text, std::size_t indent) {
  std::string result;
  std::size_t column = indent;
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    const std::size_t length = columns(word);
    if (!result.empty() && column + 1 + length > page_width) {
      result += "\n" + std::string(indent, ' ');
      column = indent;
    } else if (!result.empty()) {
      result += " ";
      ++column;
    }
    result += word;
    column += length;
  }
  return result;
}

std::string entry(const std::string& name, const std::string& meaning) {
  std::string line = "  " + name;
  if (line.size() + 2 > left_column) {
    line += "\n" + std::string(left_column, ' ');
  } else {
    line.resize(left_column, ' ');
  }
  return line + wrapped(meaning, left_column) + "\n";
}

class HelpFormatter : public CLI::Formatter {
 public:
  HelpFormatter() {
    label("SUBCOMMAND", "COMMAND");
    label("Positionals", "Arguments");
  }

  std::string make_description(const CLI::App* app) const override {
    return wrapped(app->get_description(), 0) + "\n\n";
  }

  std::string make_option(const CLI::Option* option, bool positional) const override {
    std::string name = positional ? option->get_name(true, false) : option->get_name(false, true);
    if (const auto comma = name.find(','); comma != std::string::npos) name.insert(comma + 1, " ");
    const std::string value = value_name(*option);
    if (!value.empty() && !positional) name += " " + value;
    std::string meaning = option->get_description();
    if (!option->get_default_str().empty()) meaning += " [" + option->get_default_str() + "]";
    if (option->get_required() && !positional) meaning += " (required)";
    return entry(name, meaning);
  }

  // Paragraphs fill the page; lines that begin with blanks, such as examples, stay as they are.
  std::string make_footer(const CLI::App* app) const override {
    std::string text, paragraph;
    const auto end_paragraph = [&] {
      if (!paragraph.empty()) text += wrapped(paragraph, 0) + "\n";
      paragraph.clear();
    };
    std::istringstream lines(app->get_footer());
    for (std::string line; std::getline(lines, line);) {
      if (!line.empty() && line[0] != ' ' && line != examples_heading) {
        paragraph += " " + line;
        continue;
      }
      end_paragraph();
      text += line + "\n";
    }
    end_paragraph();
    return text;
  }

  std::string make_subcommand(const CLI::App* command) const override {
    return entry(command->get_name(), command->get_description());
  }
};

// The number of letters that were left out, added, changed or swapped.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> cost(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) cost[i][0] = i;
  for (std::size_t j = 0; j <= b.size(); ++j) cost[0][j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t change = a[i - 1] == b[j - 1] ? 0 : 1;
      cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, cost[i - 1][j - 1] + change});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
    }
  }
  return cost[a.size()][b.size()];
}

// The one of `known` that was probably meant; empty where none is near.
std::string nearest(const std::string& word, const std::vector<std::string>& known) {
  constexpr std::size_t longest = 64;  // of a word that is worth comparing
  if (word.size() > longest) return {};
  const std::string typed = CLI::detail::to_lower(word);
  std::string best;
  std::size_t min = std::max<std::size_t>(1, std::min<std::size_t>(typed.size() / 3, 3)) + 1;
  for (const std::string& each : known) {
    const std::size_t needed = distance(typed, each);
    if (needed < min) {
      min = needed;
      best = each;
    }
  }
  if (!best.empty() || typed.size() < 2) return best;
  for (const std::string& each : known) {
    if (each.starts_with(typed)) return each;
  }
  return {};
}

// Words that other programs have for it.
std::string elsewhere(const std::string& word) {
  struct Pair {
    const char* word;
    const char* command;
  };
  constexpr std::array<Pair, 21> pairs{
      {{"start", "daemon"},      {"serve", "daemon"},
       {"server", "daemon"},     {"config", "daemon --print-config"},
       {"quit", "stop"},         {"kill", "stop"},
       {"run", "generate"},      {"ask", "generate"},
       {"complete", "generate"}, {"ps", "jobs"},
       {"benchmark", "bench"},   {"info", "status"},
       {"log", "logs"},          {"check", "doctor"},
       {"health", "doctor"},     {"list", "models"},
       {"ls", "models"},         {"download", "pull"},
       {"switch", "use"},        {"remove", "rm"},
       {"delete", "rm"}}};
  for (const Pair& pair : pairs) {
    if (word == pair.word) return pair.command;
  }
  return {};
}

CLI::App* child(const CLI::App& command, const std::string& name) {
  for (CLI::App* each : const_cast<CLI::App&>(command).get_subcommands(
           [&](CLI::App* one) { return one->check_name(name); })) {
    return each;
  }
  return nullptr;
}

CallError unknown_command(const CLI::App& parent, const std::string& word) {
  std::vector<std::string> known;
  for (const CLI::App* each : commands_of(parent)) known.push_back(each->get_name());
  std::string meant = parent.get_parent() == nullptr ? elsewhere(word) : "";
  if (meant.empty()) meant = nearest(word, known);
  const std::string path = full_name(parent);
  const std::string within = parent.get_parent() == nullptr ? "" : " of `" + path + "`";
  std::string sentence = "unknown command \"" + printable(word) + "\"" + within;
  if (!meant.empty()) return CallError(sentence + ", did you mean \"" + meant + "\"?");
  return CallError(sentence + " (`" + path + " --help` lists them)");
}

// A word where a command is expected, but is none, is told before anything else.
const CLI::App& commanded(const CLI::App& app, int argc, const char* const* argv) {
  const CLI::App* command = &app;
  for (int i = 1; i < argc && argv[i][0] != '-' && !commands_of(*command).empty(); ++i) {
    const CLI::App* next = child(*command, argv[i]);
    if (next == nullptr && !positionals_of(*command).empty()) break;
    if (next == nullptr) throw unknown_command(*command, argv[i]);
    command = next;
  }
  return *command;
}

// What the parser has left over.
CallError unexpected(const CLI::App& command, const std::vector<std::string>& words) {
  const auto option = std::find_if(words.begin(), words.end(), [](const std::string& word) {
    return word.size() > 1 && word[0] == '-';
  });
  const std::string name = full_name(command);
  const std::string hint = " (`" + name + " --help` shows how)";
  if (option == words.end()) {
    return CallError("`" + name + "` has no use for \"" + printable(words.front()) + "\"" + hint);
  }
  const std::string typed = option->substr(0, option->find('='));
  std::vector<std::string> known;
  for (const CLI::Option* each : options_of(command)) {
    for (const std::string& one : each->get_lnames()) known.push_back("--" + one);
  }
  const std::string meant = typed.starts_with("--") ? nearest(typed, known) : "";
  const std::string sentence = "`" + name + "` has no option " + printable(typed);
  return CallError(meant.empty() ? sentence + hint : sentence + ", did you mean " + meant + "?");
}

std::vector<const CLI::Option*> shown_options(const CLI::App& command, bool positional) {
  return command.get_options([&](const CLI::Option* option) {
    return !option->get_group().empty() && option->get_positional() == positional;
  });
}

}  // namespace

std::unique_ptr<CLI::App> make_command_line(Command& chosen) {
  auto app = std::make_unique<CLI::App>(description, "hearth");
  app->formatter(std::make_shared<HelpFormatter>());
  app->set_help_flag("-h,--help", "This help");
  app->set_version_flag("-V,--version", "hearth " + build(),
                        "The version; `hearth version` shows more");
  app->footer(epilogue);
  app->require_subcommand(0, 1);

  // In the order in which a person meets them.
  add_demo(*app, chosen);
  add_lsp(*app, chosen);
  add_chat(*app, chosen);
  add_generate(*app, chosen);
  add_commit_message(*app, chosen);
  add_tokenize(*app, chosen);
  add_serve(*app, chosen);
  add_status(*app, chosen);
  add_jobs(*app, chosen);
  add_forget(*app, chosen);
  add_stop(*app, chosen);
  add_restart(*app, chosen);
  add_pause(*app, chosen);
  add_resume(*app, chosen);
  add_logs(*app, chosen);
  add_doctor(*app, chosen);
  add_editors(*app, chosen);
  add_daemon(*app, chosen);
  add_models(*app, chosen);
  add_pull(*app, chosen);
  add_use(*app, chosen);
  add_rm(*app, chosen);
  add_model(*app, chosen);
  add_plan(*app, chosen);
  add_bench(*app, chosen);
  add_dummy(*app, chosen);
  add_trace(*app, chosen);
  add_help(*app, chosen);
  add_version(*app, chosen);
  for (CLI::App* command : app->get_subcommands({})) {
    name_paths(*command);
    if (!command->get_group().empty()) command->group("Commands");
  }
  return app;
}

int run_command_line(int argc, const char* const* argv) {
  Command chosen;
  const auto app = make_command_line(chosen);
  const CLI::App& command = commanded(*app, argc, argv);
  try {
    app->parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    std::fputs(help_of(command).c_str(), stdout);
    return 0;
  } catch (const CLI::Success& asked) {
    return app->exit(asked);
  } catch (const CLI::ParseError& wrong) {
    const auto left = app->remaining(true);  // a misspelt option says more than one that is missing
    if (!left.empty()) throw unexpected(command, left);
    throw CallError(std::string(wrong.what()) + " (`" + full_name(command) + " --help` shows how)");
  }
  if (!chosen) {
    std::fputs(help_of(command).c_str(), stdout);
    return 0;
  }
  return chosen();
}

std::vector<const CLI::App*> commands_of(const CLI::App& command) {
  return command.get_subcommands(
      [](const CLI::App* each) { return !each->get_name().empty() && !each->get_group().empty(); });
}

std::vector<const CLI::Option*> options_of(const CLI::App& command) {
  return shown_options(command, false);
}

std::vector<const CLI::Option*> positionals_of(const CLI::App& command) {
  return shown_options(command, true);
}

const CLI::App& find_command(const CLI::App& app, std::span<const std::string> words) {
  const CLI::App* command = &app;
  for (const std::string& word : words) {
    const CLI::App* next = child(*command, word);
    if (next == nullptr) throw unknown_command(*command, word);
    command = next;
  }
  return *command;
}

std::string full_name(const CLI::App& command) {
  const CLI::App* parent = command.get_parent();
  return (parent == nullptr ? "" : full_name(*parent) + " ") + command.get_name();
}

std::vector<std::string> value_words(const CLI::Option& option) {
  const std::string type = option.get_type_name();  // "TEXT:{lru,lrfu}"
  const std::size_t begin = type.find('{');
  const std::size_t end = type.rfind('}');
  if (begin == std::string::npos || end == std::string::npos) return {};
  return CLI::detail::split(type.substr(begin + 1, end - begin - 1), ',');
}

std::string value_name(const CLI::Option& option) {
  if (option.get_type_size() == 0) return {};
  const auto words = value_words(option);
  if (!words.empty()) return CLI::detail::join(words, "|");
  std::string type = option.get_type_name();
  type = type.substr(0, type.find(':'));
  if (type.starts_with("INT") || type.starts_with("UINT")) type = "N";
  if (type.starts_with("FLOAT")) type = "NUMBER";
  return type;
}

std::string help_of(const CLI::App& command) {
  std::string text =
      command.get_formatter()->make_help(&command, full_name(command), CLI::AppFormatMode::Normal);
  while (text.ends_with('\n')) text.pop_back();
  return text + "\n";
}

std::vector<Example> examples_of(const CLI::App& command) {
  std::vector<Example> examples;
  std::istringstream lines(command.get_footer());
  bool within = false;
  for (std::string line; std::getline(lines, line);) {
    if (line == examples_heading) within = true;
    if (line.empty()) within = false;
    if (!within || !line.starts_with("  ")) continue;
    for (std::string next; line.ends_with('\\') && std::getline(lines, next);) line += "\n" + next;
    const std::size_t remark = line.find("  # ");
    Example example{line.substr(2, remark == std::string::npos ? remark : remark - 2), ""};
    if (remark != std::string::npos) example.remark = line.substr(remark + 4);
    example.line.erase(example.line.find_last_not_of(' ') + 1);
    examples.push_back(std::move(example));
  }
  return examples;
}

}  // namespace hearth::daemon
