// `hearth commit-message`: the daemon's model writes about a diff on stdin. hearth runs no git:
// what it may see is what is piped into it.
#include <unistd.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <array>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "daemon/commands/command_line.hpp"
#include "daemon/commands/commands.hpp"
#include "daemon/commands/scripted_editor.hpp"
#include "daemon/platform/error.hpp"
#include "daemon/platform/version.hpp"
#include "lsp/protocol/extension.hpp"
#include "lsp/support/text.hpp"

namespace hearth::daemon {
namespace {

// More would not fit a message to the server, and never a prompt.
constexpr std::size_t max_diff_bytes = std::size_t{512} << 10U;

std::string read_diff() {
  if (::isatty(STDIN_FILENO) == 1) {
    throw CallError("pipe the change into it: git diff --staged | hearth commit-message");
  }
  std::string diff;
  std::array<char, 1 << 16> buffer;
  while (const std::size_t count = std::fread(buffer.data(), 1, buffer.size(), stdin)) {
    diff.append(buffer.data(), count);
  }
  if (diff.size() > max_diff_bytes) {
    std::fprintf(stderr, "hearth: the diff is long: only its first %zu KiB are read\n",
                 max_diff_bytes >> 10U);
    diff.resize(max_diff_bytes);
  }
  return lsp::valid_utf8(std::move(diff));
}

// One line of stderr that says how far the answer is, on a terminal.
class ProgressLine {
 public:
  void show(const std::string& message) {
    if (!terminal_) return;
    std::fprintf(stderr, "\r\x1b[K%s", message.c_str());
    open_ = true;
  }
  void clear() {
    if (open_) std::fputs("\r\x1b[K", stderr);
    open_ = false;
  }

 private:
  const bool terminal_ = ::isatty(STDERR_FILENO) == 1;
  bool open_ = false;
};

int write_commit_message(const std::string& model) {
  const std::string diff = read_diff();
  std::vector<std::string> command{executable().string(), "lsp"};
  if (!model.empty())
    command.insert(command.end(), {"--model", std::filesystem::absolute(model).string()});
  ScriptedEditor editor(command, {});
  editor.silence_allowed = std::chrono::hours(24);  // a slow model is no reason to give up

  ProgressLine progress;
  std::string state;
  std::string failure;
  StreamedAnswer answer;
  editor.on_notification = [&](const std::string& method, const nlohmann::json& params) {
    const std::string more = answer.heard(method, params);
    if (!more.empty()) {
      progress.clear();
      std::fputs(more.c_str(), stdout);
      std::fflush(stdout);
    }
    if (method == "window/showMessage") {
      progress.clear();
      std::fprintf(stderr, "hearth: %s\n", params.value("message", "").c_str());
    } else if (method == lsp::extension::JobStateParams::method) {
      state = params.value("state", "");
      failure = params.value("error", "");
      if (answer.text().empty()) progress.show(params.value("message", ""));
    }
  };
  editor.initialize(nlohmann::json::object(), {{"hearth",
                                                {{"protocol", lsp::extension::protocol_version},
                                                 {"features", {lsp::extension::feature_jobs}}}}});
  editor.request("workspace/executeCommand",
                 {{"command", "hearth.server.commit-message"}, {"arguments", {{{"diff", diff}}}}});
  editor.until([&] { return state == "done" || state == "failed" || state == "cancelled"; });
  progress.clear();
  if (!answer.text().empty() && !answer.text().ends_with('\n')) std::fputc('\n', stdout);
  std::fflush(stdout);
  editor.quit();
  if (state == "failed") return 1;  // the message has said why
  if (state == "cancelled") throw Error("the message was cancelled before it was whole");
  if (answer.text().empty()) throw Error("the model wrote nothing");
  return 0;
}

}  // namespace

void add_commit_message(CLI::App& app, Command& chosen) {
  auto* command = app.add_subcommand(
      "commit-message", "Writes a commit message for the diff on stdin, with the daemon's model");
  auto model = std::make_shared<std::string>();
  command->add_option("--model", *model,
                      "Directory of the checkpoint (if this is what starts the daemon)");
  command->footer(
      "hearth runs no git and reads no repository: it sees what is piped into it, with\n"
      "`git diff --staged | hearth commit-message` the change that is to be committed. Changes\n"
      "of files that look like secrets are left out, and said.\n"
      "\n"
      "Examples:\n"
      "  echo '+count = 1' | hearth commit-message\n");
  command->callback(
      [&chosen, model] { chosen = [model] { return write_commit_message(*model); }; });
}

}  // namespace hearth::daemon
