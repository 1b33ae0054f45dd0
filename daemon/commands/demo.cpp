// `hearth demo`: hearth at work for someone who has just built it, without an editor: a daemon of
// its own, a language server as its child, and what an editor would show.
#include <sys/ioctl.h>
#include <unistd.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <cstdio>
#include <cstdlib>
#include <optional>

#include "daemon/commands/commands.hpp"
#include "daemon/commands/local_run.hpp"
#include "daemon/commands/scripted_editor.hpp"
#include "daemon/platform/error.hpp"
#include "daemon/platform/files.hpp"
#include "daemon/platform/format.hpp"
#include "daemon/platform/installation.hpp"
#include "daemon/platform/version.hpp"
#include "daemon/transport/control_client.hpp"
#include "lsp/protocol/constants.hpp"
#include "lsp/protocol/extension.hpp"

namespace hearth::daemon {
namespace {

using Clock = std::chrono::steady_clock;
using Json = lsp::Json;
namespace extension = lsp::extension;

constexpr const char* file_name = "stats.py";
constexpr const char* file_uri = "file:///demo/stats.py";

// What the person has written when they open the file; the selection is the first function.
constexpr std::string_view function =
    "def average(values):\n"
    "    total = 0\n"
    "    for value in values:\n"
    "        total += value\n"
    "    return total / len(values)\n";
constexpr std::string_view begun =
    "\n\n"
    "def total_price(prices):\n"
    "    total = 0\n"
    "    for price in prices:\n"
    "        ";
constexpr std::string_view typed_on = "total += price\n    ";
constexpr std::string_view rest = "\n";

std::chrono::milliseconds since(Clock::time_point start) {
  return std::chrono::round<std::chrono::milliseconds>(Clock::now() - start);
}

// Directories that this run has for itself.
class PrivateHome {
 public:
  PrivateHome() {
    std::string name = (std::filesystem::temp_directory_path() / "hearth-demo-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw system_error("cannot make " + name, errno);
    root_ = name;
    for (const char* each : {"run", "state", "config"}) {
      std::filesystem::create_directory(root_ / each);
    }
    paths_.runtime = root_ / "run/hearth";
    paths_.state = root_ / "state/hearth";
    paths_.config = root_ / "config/hearth/config.toml";
    std::filesystem::create_directory(paths_.config.parent_path());
    // Should this process be killed, the daemon follows it soon.
    write_file(paths_.config, "[daemon]\nidle_exit = \"10s\"\n");
  }
  PrivateHome(const PrivateHome&) = delete;
  PrivateHome& operator=(const PrivateHome&) = delete;
  ~PrivateHome() {
    try {
      stop_daemon(paths_);
    } catch (const Error& error) {
      std::fprintf(stderr, "hearth: %s\n", error.what());
    }
    std::error_code ignored;
    std::filesystem::remove_all(root_, ignored);
  }

  const Paths& paths() const { return paths_; }
  std::map<std::string, std::string> environment() const {
    return {{"XDG_RUNTIME_DIR", (root_ / "run").string()},
            {"XDG_STATE_HOME", (root_ / "state").string()},
            {"XDG_CONFIG_HOME", (root_ / "config").string()}};
  }

 private:
  std::filesystem::path root_;
  Paths paths_;
};

int terminal_width() {
  winsize size{};
  constexpr int widest = 84;  // wider lines read worse
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < 40) return widest;
  return std::min<int>(size.ws_col, widest);
}

// Prints text that comes piece by piece, indented, without breaking words.
class Paragraph {
 public:
  explicit Paragraph(int indent) : indent_(indent), width_(terminal_width()) {}

  void add(std::string_view text) {
    for (const char c : printable(text)) {
      if (c != ' ' && c != '\n') {
        word_ += c;
        continue;
      }
      put_word();
      if (c == '\n') column_ = 0;
      if (c == '\n') std::putchar('\n');
    }
    std::fflush(stdout);
  }
  void end() {
    put_word();
    std::putchar('\n');
  }

 private:
  void put_word() {
    if (word_.empty()) return;
    const int length = static_cast<int>(word_.size());
    if (column_ > 0 && column_ + 1 + length > width_) {
      std::putchar('\n');
      column_ = 0;
    }
    if (column_ == 0) {
      std::printf("%*s", indent_, "");
      column_ = indent_;
    } else {
      std::putchar(' ');
      ++column_;
    }
    std::fputs(word_.c_str(), stdout);
    column_ += length;
    word_.clear();
  }

  int indent_;
  int width_;
  int column_ = 0;
  std::string word_;
};

class Demo {
 public:
  explicit Demo(const std::string& model) {
    std::vector<std::string> command{executable().string(), "lsp"};
    if (!model.empty()) {
      command.insert(command.end(), {"--model", std::filesystem::absolute(model).string()});
    }
    editor_.emplace(command, home_.environment());
  }

  void run() {
    open();
    explain();
    complete();
    say_how_to_connect();
    editor_->quit();
  }

 private:
  void heading(const std::string& text) { std::printf("\n%s\n\n", style_.bold(text).c_str()); }
  void figures(const std::string& text) { std::printf("\n     %s\n", style_.dim(text).c_str()); }

  void open() {
    heading("1  An editor opens " + std::string(file_name));
    std::optional<extension::Status> status;
    editor_->on_notification = [&](const std::string& method, const Json& params) {
      if (method == extension::Status::method) status = params.get<extension::Status>();
    };
    const auto started = Clock::now();
    const Json kinds = {{"codeActionKind", {{"valueSet", {"hearth.explain"}}}}};
    editor_->initialize(
        {{"general", {{"positionEncodings", {"utf-8"}}}},
         {"textDocument", {{"codeAction", {{"codeActionLiteralSupport", kinds}}}}}},
        {{"hearth",
          {{"protocol", extension::protocol_version}, {"features", extension::all_features}}}});
    const auto answered = since(started);
    text_ = std::string(function) + std::string(begun) + std::string(rest);
    editor_->open(file_uri, "python", text_);
    show_file();
    editor_->until([&] { return status && status->model_state != lsp::ModelState::loading; });
    if (status->model_state != lsp::ModelState::ready)
      throw Error(status->model_error.value_or("no model"));
    figures("A daemon was started; the editor was answered after " + show_time(answered) +
            ", and the model\n     (" + status->model_name.value_or("") + ") was ready after " +
            show_time(since(started)) + ".");
  }

  void show_file() {
    int line = 1;
    const auto selected = static_cast<int>(std::count(function.begin(), function.end(), '\n'));
    std::size_t begin = 0;
    while (begin < text_.size()) {
      const std::size_t end = text_.find('\n', begin);
      const std::string text = text_.substr(begin, end - begin);
      const std::string bar = line <= selected ? style_.cyan("┃") : " ";
      std::printf("  %s %s %s\n", style_.dim((line < 10 ? " " : "") + std::to_string(line)).c_str(),
                  bar.c_str(), text.c_str());
      begin = end + 1;
      ++line;
    }
  }

  void explain() {
    const Json range = {{"start", {{"line", 0}, {"character", 0}}},
                        {"end", {{"line", 5}, {"character", 0}}}};
    const Json actions = editor_->request(
        "textDocument/codeAction",
        {{"textDocument", {{"uri", file_uri}}},
         {"range", range},
         {"context",
          {{"diagnostics", Json::array()}, {"triggerKind", lsp::code_action_trigger::invoked}}}});
    const Json* chosen = nullptr;
    for (const auto& action : actions) {
      if (action.value("kind", "") == "hearth.explain") chosen = &action;
    }
    if (chosen == nullptr) throw Error("the language server offers no explanation");
    heading("2  The marked function is selected, and the code action “" +
            (*chosen)["title"].get<std::string>() + "” chosen");

    Paragraph answer(5);
    std::optional<extension::JobStateParams> end;
    const auto started = Clock::now();
    std::optional<std::chrono::milliseconds> first;
    StreamedAnswer streamed;
    editor_->on_notification = [&](const std::string& method, const Json& params) {
      const std::string more = streamed.heard(method, params);
      if (!more.empty() && !first) first = since(started);
      answer.add(more);
      if (method == extension::JobStateParams::method) {
        const auto state = params.get<extension::JobStateParams>();
        if (lsp::ended(state.state)) end = state;
      }
    };
    editor_->request("workspace/executeCommand",
                     {{"command", (*chosen)["command"]["command"]},
                      {"arguments", (*chosen)["command"]["arguments"]}});
    editor_->until([&] { return end.has_value(); });
    answer.end();
    if (end->state != lsp::JobState::done) {
      throw Error(end->error.value_or("the explanation was " + std::string(name(end->state))));
    }
    figures("first words after " + show_time(first.value_or(since(started))) + ": " +
            cost(end->prompt_tokens, end->cached_tokens, end->prompt_ms.value_or(0),
                 end->answer_tokens, end->answer_ms.value_or(0), end->by));
  }

  void complete() {
    heading("3  Typing on: inline completions, as ghost text");
    complete_here();
    text_.insert(text_.size() - rest.size(), typed_on);
    editor_->change(file_uri, ++version_, text_);
    std::printf(
        "\n     The person accepts it and begins the next line. Tokens that were processed before\n"
        "     are not processed again:\n\n");
    complete_here();
  }

  // Asks at the end of what is written, and shows the function with the completion in it.
  void complete_here() {
    const std::string_view written = std::string_view(text_).substr(0, text_.size() - rest.size());
    const auto lines = std::count(written.begin(), written.end(), '\n');
    const std::string_view line = written.substr(written.rfind('\n') + 1);
    const auto started = Clock::now();
    const Json result =
        editor_->request("textDocument/inlineCompletion",
                         {{"textDocument", {{"uri", file_uri}}},
                          {"position", {{"line", lines}, {"character", line.size()}}},
                          {"context", {{"triggerKind", lsp::inline_completion_trigger::invoked}}}});
    const auto time = since(started);
    const Json& items = result.is_object() ? result["items"] : result;
    if (!items.is_array() || items.empty()) throw Error("no completion came");
    const Json& item = items.front();
    const std::string inserted = item["insertText"].get<std::string>();
    // The inserted text may replace what is before the cursor on its line.
    const auto replaced = item.contains("range")
                              ? line.size() - item["range"]["start"]["character"].get<std::size_t>()
                              : 0;
    const std::string added = inserted.substr(std::min(replaced, inserted.size()));
    show_ghost(written, added);
    const auto detail = item.value("hearth", Json::object()).get<extension::CompletionDetail>();
    figures("after " + show_time(time) + ": " +
            cost(detail.prompt_tokens, detail.cached_tokens, detail.prompt_ms, detail.answer_tokens,
                 detail.answer_ms, detail.by));
  }

  void show_ghost(std::string_view written, std::string_view added) {
    const std::string_view last_function = written.substr(written.rfind("def "));
    const std::string ghost = printable(added);
    const std::size_t line_end = std::min(ghost.find('\n'), ghost.size());
    std::printf("     %s%s%s\n", indented(last_function).c_str(), style_.cyan("▏").c_str(),
                style_.ghost(ghost.substr(0, line_end)).c_str());
    if (line_end < ghost.size()) {
      std::printf("     %s\n", style_.ghost(indented(ghost.substr(line_end + 1))).c_str());
    }
  }

  static std::string indented(std::string_view text) {
    std::string result;
    for (const char c : text) result += c == '\n' ? std::string("\n     ") : std::string(1, c);
    return result;
  }

  static std::string cost(std::int64_t prompt, std::int64_t cached, std::int64_t prompt_ms,
                          std::int64_t answer, std::int64_t answer_ms,
                          const std::optional<std::string>& by) {
    return "read " + show_count(prompt, "token") + " (" + std::to_string(cached) + " re-used) in " +
           show_time(std::chrono::milliseconds(prompt_ms)) + ", wrote " + std::to_string(answer) +
           " in " + show_time(std::chrono::milliseconds(answer_ms)) + (by ? ", by " + *by : "");
  }

  void say_how_to_connect() {
    heading("4  In your editor");
    const std::string command = command_name();
    if (const auto plugin = neovim_plugin()) {
      const bool found = neovim_finds(*plugin);
      const std::string path =
          found ? "" : "       vim.opt.runtimepath:append('" + plugin->string() + "')\n";
      const std::string options =
          command == "hearth" ? "" : "{ cmd = { '" + command + "', 'lsp' } }";
      std::printf("     Neovim, from 0.7 on, in init.lua:\n\n%s\n",
                  style_.green(path + "       require('hearth').setup(" + options + ")\n").c_str());
    }
    std::printf(
        "     Helix, Emacs, Kate, Sublime Text and others run this as a language server:\n\n%s\n"
        "     README.md says more, also how to run a large model; `hearth help` lists the\n"
        "     commands.\n\n",
        style_.green("       " + command + " lsp\n").c_str());
  }

  Style style_{STDOUT_FILENO};
  PrivateHome home_;
  std::optional<ScriptedEditor> editor_;
  std::string text_;
  std::int64_t version_ = 1;
};

}  // namespace

void add_demo(CLI::App& app, Command& chosen) {
  auto* command = app.add_subcommand("demo", "Shows hearth at work, without an editor");
  auto model = std::make_shared<std::string>();
  command->add_option("--model", *model, "Directory of the checkpoint");
  command->callback([&chosen, model] {
    chosen = [model] {
      Demo(*model).run();
      return 0;
    };
  });
}

}  // namespace hearth::daemon
