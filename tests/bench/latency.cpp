// How long a person waits: percentiles over real daemons and a scripted editor. Prints, asserts
// nothing. Usage: latency [RUNS] [MODEL-DIRECTORY]
#include <stdlib.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "daemon/commands/scripted_editor.hpp"
#include "daemon/transport/control_client.hpp"
#include "lsp/protocol/extension.hpp"

using namespace hearth::daemon;
using Json = nlohmann::json;
using Clock = std::chrono::steady_clock;
namespace extension = hearth::lsp::extension;

namespace {

constexpr const char* uri = "file:///stats.py";

// A file of some length, with the cursor in its last function.
std::string source() {
  std::string text;
  for (int i = 0; i < 8; ++i) {
    const std::string n = std::to_string(i);
    text += "def average_" + n + "(values):\n    total = 0\n    for value in values:\n" +
            "        total += value * " + n + "\n    return total / len(values)\n\n\n";
  }
  return text + "def total_price(items):\n    total = 0\n    for item in items:\n        ";
}

double milliseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

class Series {
 public:
  explicit Series(const char* name) : name_(name) {}
  void add(double milliseconds) { all_.push_back(milliseconds); }
  void print() {
    if (all_.empty()) return;
    std::sort(all_.begin(), all_.end());
    const auto at = [this](double share) {
      return all_[static_cast<std::size_t>(share * static_cast<double>(all_.size() - 1) + 0.5)];
    };
    std::printf("%-52s %9.1f %9.1f %9.1f %9.1f %6zu\n", name_, at(0.5), at(0.95), at(0.99),
                all_.back(), all_.size());
  }

 private:
  const char* name_;
  std::vector<double> all_;
};

struct Measured {
  Series initialize{"initialize, daemon and model starting"};
  Series initialize_again{"initialize, daemon running"};
  Series initialize_busy{"initialize, while the model writes"};
  Series first_menu{"from the start of hearth lsp to the first menu"};
  Series inline_cold{"inline completion, nothing read before"};
  Series inline_typed{"inline completion, typed on"};
  Series inline_same{"inline completion, at the same place"};
  Series explain_first{"explain, first words"};
  Series explain_done{"explain, whole"};
  Series cancel{"cancel of an explanation, to its end"};
  Series many_edits{"20,000 edits in one message, to a request's answer"};
  Series beside_edits{"another session's longest wait meanwhile"};
  Series menu{"menu while the model writes"};
  Series inline_ready{"completion that is there, while the model writes"};
  Series keystroke{"typing in 10,000 lines: to a menu's answer"};
  Series beside_typing{"another session's wait meanwhile"};
};

class Session {
 public:
  // `settled`: the time that the process takes to start is left out.
  Session(const std::map<std::string, std::string>& environment, const std::string& model,
          Series& initialize, bool settled = false)
      : editor_(command(model), environment, true) {
    editor_.on_notification = [this](const std::string& method, const Json& params) {
      if (method == extension::TextDelta::method && !first_text_) first_text_ = Clock::now();
      if (method == extension::JobStateParams::method) job_ = params;
      if (method == extension::Status::method) model_state_ = params["model"]["state"];
    };
    if (settled) editor_.wait(editor_.begin("hearth/status", nullptr));  // is refused
    const auto start = Clock::now();
    const Json literals = {{"codeActionKind", {{"valueSet", {"hearth.explain"}}}}};
    editor_.initialize(
        {{"general", {{"positionEncodings", {"utf-8"}}}},
         {"textDocument", {{"codeAction", {{"codeActionLiteralSupport", literals}}}}}},
        {{"hearth",
          {{"protocol", extension::protocol_version}, {"features", extension::all_features}}}});
    initialize.add(milliseconds_since(start));
  }

  void wait_for_model() {
    editor_.until([this] { return model_state_ != "loading" && !model_state_.empty(); });
    if (model_state_ != "ready") throw std::runtime_error("the model cannot be loaded");
  }

  void open(const std::string& text) {
    text_ = text;
    editor_.open(uri, "python", text_);
  }
  void type(const std::string& more) {
    text_ += more;
    editor_.change(uri, ++version_, text_);
  }

  void complete(Series& series) {
    const auto line = std::count(text_.begin(), text_.end(), '\n');
    const auto column = text_.size() - (text_.rfind('\n') + 1);
    const auto start = Clock::now();
    editor_.request("textDocument/inlineCompletion",
                    {{"textDocument", {{"uri", uri}}},
                     {"position", {{"line", line}, {"character", column}}},
                     {"context", {{"triggerKind", 1}}}});
    series.add(milliseconds_since(start));
  }

  // Explains the n-th function of source().
  void explain(int n, Measured& measured) {
    const auto start = begin_explanation(n);
    editor_.until([this] { return ended(); });
    measured.explain_done.add(milliseconds_since(start));
    if (first_text_) {
      measured.explain_first.add(
          std::chrono::duration<double, std::milli>(*first_text_ - start).count());
    }
  }

  // Asks for a menu of the n-th function.
  void open_menu(int n, Series& series) {
    const auto start = Clock::now();
    editor_.request("textDocument/codeAction",
                    {{"textDocument", {{"uri", uri}}},
                     {"range",
                      {{"start", {{"line", 7 * n}, {"character", 0}}},
                       {"end", {{"line", 7 * n + 5}, {"character", 0}}}}},
                     {"context", {{"diagnostics", Json::array()}, {"triggerKind", 2}}}});
    series.add(milliseconds_since(start));
  }
  void begin_explaining(int n) { begin_explanation(n); }
  bool is_explaining() {
    ping();  // hears what was said meanwhile
    return !ended();
  }

  // A character at a time, in the middle of a file of code, and what a menu's answer waits for.
  void type_in_large(int lines, int characters, Series& series) {
    constexpr std::chrono::milliseconds between{50};
    std::string text;
    for (int i = 0; i < lines / 2; ++i)
      text += "def f_" + std::to_string(i) + "(x):\n    return x\n";
    editor_.open(large_code, "python", text);
    const Json at_cursor = {{"line", lines / 2}, {"character", 0}};
    const Json place = {{"start", at_cursor}, {"end", at_cursor}};
    for (int i = 0; i < characters; ++i) {
      const auto start = Clock::now();
      editor_.notify("textDocument/didChange",
                     {{"textDocument", {{"uri", large_code}, {"version", i + 2}}},
                      {"contentChanges", {{{"range", place}, {"text", "y"}}}}});
      editor_.request("textDocument/codeAction",
                      {{"textDocument", {{"uri", large_code}}},
                       {"range", place},
                       {"context", {{"diagnostics", Json::array()}, {"triggerKind", 2}}}});
      series.add(milliseconds_since(start));
      std::this_thread::sleep_until(start + between);
    }
  }

  void cancel_explanation(int n, Measured& measured) {
    begin_explanation(n);
    editor_.until([this] { return ended() || (job_.contains("id") && first_text_); });
    if (ended()) return;
    const auto start = Clock::now();
    editor_.request("hearth/cancelJob", {{"id", job_["id"]}});
    editor_.until([this] { return ended(); });
    measured.cancel.add(milliseconds_since(start));
  }

  // A line at the start of which each edit puts a letter.
  void open_large(int lines) {
    std::string text;
    for (int i = 0; i < lines; ++i) text += std::string(184, 'y') + "\n";
    editor_.open(large, "plaintext", text);
    editor_.request("textDocument/codeAction", large_actions());
  }
  // A message of one edit in each line, ready to be sent: making it is an editor's work.
  static std::string many_edits(int lines, std::int64_t version) {
    Json changes = Json::array();
    for (int i = lines; i-- > 0;) {
      const Json place = {{"line", i}, {"character", 0}};
      changes.push_back({{"range", {{"start", place}, {"end", place}}}, {"text", "x"}});
    }
    return Json{{"jsonrpc", "2.0"},
                {"method", "textDocument/didChange"},
                {"params",
                 {{"textDocument", {{"uri", large}, {"version", version}}},
                  {"contentChanges", std::move(changes)}}}}
        .dump();
  }
  // The id of a request whose answer shows that all edits were made.
  std::int64_t begin_edits(const std::string& message) {
    editor_.send_raw(message);
    return editor_.begin("textDocument/codeAction", large_actions());
  }
  void wait(std::int64_t id) { editor_.wait(id); }
  void ping() { editor_.request("hearth/status", nullptr); }

  void quit() { editor_.quit(); }

 private:
  static constexpr const char* large = "file:///large.txt";
  static constexpr const char* large_code = "file:///large.py";
  static Json large_actions() {
    return {
        {"textDocument", {{"uri", large}}},
        {"range",
         {{"start", {{"line", 0}, {"character", 0}}}, {"end", {{"line", 1}, {"character", 0}}}}},
        {"context", {{"diagnostics", Json::array()}}}};
  }

  static std::vector<std::string> command(const std::string& model) {
    std::vector<std::string> words{HEARTH_BINARY_DIR "/hearth", "lsp"};
    if (!model.empty()) words.insert(words.end(), {"--model", model});
    return words;
  }

  Clock::time_point begin_explanation(int n) {
    job_ = Json::object();
    first_text_.reset();
    const Json actions =
        editor_.request("textDocument/codeAction",
                        {{"textDocument", {{"uri", uri}}},
                         {"range",
                          {{"start", {{"line", 7 * n}, {"character", 0}}},
                           {"end", {{"line", 7 * n + 5}, {"character", 0}}}}},
                         {"context", {{"diagnostics", Json::array()}, {"triggerKind", 1}}}});
    const auto start = Clock::now();
    editor_.request("workspace/executeCommand",
                    {{"command", actions.at(0)["command"]["command"]},
                     {"arguments", actions.at(0)["command"]["arguments"]}});
    return start;
  }

  bool ended() const {
    const std::string state = job_.value("state", "");
    return state == "done" || state == "failed" || state == "cancelled";
  }

  ScriptedEditor editor_;
  std::string model_state_;
  std::string text_;
  std::int64_t version_ = 1;
  Json job_ = Json::object();
  std::optional<Clock::time_point> first_text_;
};

// What a message of very many edits costs its own session, and another one that asks all the time.
void edit_much(Session& session, Session& other, Measured& measured) {
  constexpr int lines = 20'000;
  session.open_large(lines);
  const std::string message = Session::many_edits(lines, 2);
  std::atomic<bool> over = false;
  std::thread beside([&] {
    double longest = 0;
    while (!over) {
      const auto start = Clock::now();
      other.ping();
      longest = std::max(longest, milliseconds_since(start));
    }
    measured.beside_edits.add(longest);
  });
  const auto start = Clock::now();
  session.wait(session.begin_edits(message));
  measured.many_edits.add(milliseconds_since(start));
  over = true;
  beside.join();
}

// Menus and completions that are there while the model's threads have all the cores.
void ask_while_it_writes(Session& writer, Session& other, Measured& measured) {
  other.open(source());
  Series first("");
  other.complete(first);
  for (const int n : {0, 1, 2, 3, 4, 5, 6, 7}) {
    writer.begin_explaining(n);
    do {
      other.open_menu(n, measured.menu);
      other.complete(measured.inline_ready);
    } while (writer.is_explaining());
  }
}

// What a person who opens another window meanwhile waits for.
void start_while_it_writes(const std::map<std::string, std::string>& environment,
                           const std::string& model, Session& writer, Measured& measured) {
  for (const int n : {0, 1, 2, 3, 4, 5, 6, 7}) {
    writer.begin_explaining(n);
    do {
      Session newcomer(environment, model, measured.initialize_busy, true);
      newcomer.quit();
    } while (writer.is_explaining());
  }
}

void type_much(Session& session, Session& other, Measured& measured) {
  std::atomic<bool> over = false;
  std::thread beside([&] {
    while (!over) {
      const auto start = Clock::now();
      other.ping();
      measured.beside_typing.add(milliseconds_since(start));
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  });
  session.type_in_large(10'000, 500, measured.keystroke);
  over = true;
  beside.join();
}

// One life of a daemon of its own.
void run_once(const std::string& model, Measured& measured) {
  std::string name = (std::filesystem::temp_directory_path() / "hearth-latency-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot make " + name);
  const std::filesystem::path root = name;
  for (const char* each : {"run", "state", "config"})
    std::filesystem::create_directory(root / each);
  const std::map<std::string, std::string> environment{
      {"XDG_RUNTIME_DIR", (root / "run").string()},
      {"XDG_STATE_HOME", (root / "state").string()},
      {"XDG_CONFIG_HOME", (root / "config").string()}};
  {
    const auto start = Clock::now();
    Session session(environment, model, measured.initialize);
    session.open(source());
    Series menu("");
    session.open_menu(0, menu);
    measured.first_menu.add(milliseconds_since(start));
    Session second(environment, model, measured.initialize_again);
    session.wait_for_model();
    edit_much(session, second, measured);
    session.complete(measured.inline_cold);
    session.complete(measured.inline_same);
    for (const char* more : {"total", " +=", " item.count", "\n        "}) {
      session.type(more);
      session.complete(measured.inline_typed);
    }
    for (const int n : {0, 1, 2, 3}) session.explain(n, measured);
    for (const int n : {4, 5, 6, 7}) session.cancel_explanation(n, measured);
    ask_while_it_writes(session, second, measured);
    start_while_it_writes(environment, model, session, measured);
    type_much(session, second, measured);
    second.quit();
    session.quit();
  }
  Paths paths;
  paths.runtime = root / "run/hearth";
  stop_daemon(paths);
  std::filesystem::remove_all(root);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const int runs = argc > 1 ? std::stoi(argv[1]) : 10;
    const std::string model = argc > 2 ? std::filesystem::absolute(argv[2]).string() : "";
    Measured measured;
    for (int i = 0; i < runs; ++i) run_once(model, measured);
    std::printf("%-52s %9s %9s %9s %9s %6s\n", "milliseconds", "p50", "p95", "p99", "most",
                "count");
    for (Series* series :
         {&measured.initialize, &measured.initialize_again, &measured.initialize_busy,
          &measured.first_menu, &measured.inline_cold, &measured.inline_same,
          &measured.inline_typed, &measured.explain_first, &measured.explain_done, &measured.cancel,
          &measured.many_edits, &measured.beside_edits, &measured.menu, &measured.inline_ready,
          &measured.keystroke, &measured.beside_typing}) {
      series->print();
    }
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "latency: %s\n", error.what());
    return 1;
  }
}
