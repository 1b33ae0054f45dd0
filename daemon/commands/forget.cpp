// `hearth forget`: what is kept of what a person asked, and its end.
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "daemon/commands/asking.hpp"
#include "daemon/commands/commands.hpp"
#include "daemon/forget.hpp"
#include "daemon/platform/error.hpp"
#include "daemon/platform/format.hpp"
#include "daemon/platform/lock.hpp"
#include "daemon/platform/private_directory.hpp"
#include "lsp/protocol/uri.hpp"

namespace hearth::daemon {
namespace {

using nlohmann::json;

struct ForgetFlags {
  std::string workspace;
  bool all = false;
};

json ask_to_forget(const ForgetRequest& request) {
  const Paths paths = find_paths();
  if (auto control = find_daemon(paths, ConnectionKind::control, command_timeout)) {
    return *follow(*control, to_message(request), {});  // as long as the model's step takes
  }
  make_private_directory(paths.runtime);
  const auto lock = DaemonLock::take(paths.lock());
  if (!lock) throw Error("a daemon is just starting: try again");
  return forget_in_files(request, paths);
}

std::string count(const json& answer, const char* what, const char* one) {
  return show_count(answer[what].get<std::int64_t>(), one);
}

void print_jobs(const json& answer) {
  for (const json& jobs : answer["jobs"]) {
    print("  " + count(jobs, "count", "job") + " of " +
          on_one_line(lsp::readable_uri(jobs["workspace"].get<std::string>())) +
          ", with question and answer\n");
  }
  if (answer["answers"] != 0) print("  " + count(answer, "answers", "answer's file") + "\n");
  if (answer["prompts"] != 0) {
    print("  " + count(answer, "prompts", "state") + " of prompts, " +
          show_bytes(answer["promptBytes"].get<double>()) + ", from which the model goes on\n");
  }
  if (answer["setAside"] != 0)
    print("  " + count(answer, "setAside", "file") + " of jobs that could not be read\n");
  if (answer["trusted"] != 0)
    print("  " + count(answer, "trusted", "folder") + " whose team's prompts you confirmed\n");
  if (answer["chat"] == true) print("  the messages of `hearth chat`\n");
}

bool is_nothing(const json& answer) {
  return answer["jobs"].empty() && answer["answers"] == 0 && answer["prompts"] == 0 &&
         answer["setAside"] == 0 && answer["trusted"] == 0 && answer["chat"] == false;
}

int forget(const ForgetFlags& flags) {
  ForgetRequest request;
  request.all = flags.all;
  if (!flags.workspace.empty()) {
    request.folder = std::filesystem::absolute(flags.workspace).lexically_normal().string();
  }
  const json answer = ask_to_forget(request);
  if (is_nothing(answer)) {
    print(request.removes() ? "there was nothing to forget\n" : "nothing is kept\n");
    return 0;
  }
  print(request.removes() ? "removed:\n" : "kept of what you asked:\n");
  print_jobs(answer);
  if (!request.removes()) {
    print(
        "`hearth forget --workspace DIR` removes what belongs to a workspace, `hearth forget\n"
        "--all` everything.\n");
  } else if (!request.all && answer["prompts"] != 0) {
    print("The states of prompts were those of all workspaces: they cannot be told apart.\n");
  }
  return 0;
}

}  // namespace

void add_forget(CLI::App& app, Command& chosen) {
  auto* command = app.add_subcommand(
      "forget", "Shows what is kept of what you asked, and removes it: jobs, answers, prompts");
  auto flags = std::make_shared<ForgetFlags>();
  auto* workspace =
      command->add_option("--workspace", flags->workspace,
                          "Remove what belongs to this folder; jobs that run are cancelled");
  command->add_flag("--all", flags->all, "Remove everything, the messages of `hearth chat` too")
      ->excludes(workspace);
  command->footer(
      "Nothing that was removed is found in the state directory any more. The model's\n"
      "memory of prompts is removed for all workspaces: it cannot be told apart. A log\n"
      "that was written with log.level = \"trace\" has text of documents, and is kept.\n"
      "\n"
      "Examples:\n"
      "  hearth forget                     # what there is\n"
      "  hearth forget --workspace .\n"
      "  hearth forget --all");
  command->callback([&chosen, flags] { chosen = [flags] { return forget(*flags); }; });
}

}  // namespace hearth::daemon
