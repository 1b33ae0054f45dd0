// The command that shows what actions started and says what becomes of it.
#include <poll.h>
#include <unistd.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "daemon/commands/asking.hpp"
#include "daemon/commands/commands.hpp"
#include "daemon/platform/error.hpp"
#include "daemon/platform/format.hpp"
#include "daemon/platform/interrupt_flag.hpp"
#include "daemon/status.hpp"

namespace hearth::daemon {
namespace {

using nlohmann::json;

std::string job_name(std::uint64_t id) {
  return "job " + std::to_string(id);
}

struct ShowFlags {
  bool prompt = false;
  bool thought = false;
};

int show_one_job(std::uint64_t id, bool as_json, const ShowFlags& flags) {
  auto control = running_daemon();
  if (flags.prompt) {
    return show_answer(ask(control, name(ControlRequest::prompt), id, command_timeout), as_json,
                       show_prompt);
  }
  return show_answer(ask(control, name(ControlRequest::job), id, command_timeout), as_json,
                     flags.thought ? show_thought : show_job);
}

using IsMade = std::function<bool(const json& job)>;

// Waits until the change that `job` answers is made, which may take the computation a moment.
int await_change(Connected& control, std::uint64_t id, json job, const IsMade& is_made) {
  constexpr std::chrono::seconds deadline{5};
  if (job["id"] != id) {
    print("done for the jobs of batch " + std::to_string(id) + "\n");
    return 0;
  }
  const auto began = std::chrono::steady_clock::now();
  while (!is_made(job) && std::chrono::steady_clock::now() - began < deadline) {
    ::poll(nullptr, 0, 10);
    job = ask(control, name(ControlRequest::job), id, command_timeout);
  }
  if (!is_made(job)) throw Error(job_name(id) + " is still " + job["state"].get<std::string>());
  print(job_name(id) + " is " + job["state"].get<std::string>() + "\n");
  return 0;
}

int change_job(std::uint64_t id, ControlRequest request, const IsMade& is_made) {
  auto control = running_daemon();
  return await_change(control, id, ask(control, name(request), id, command_timeout), is_made);
}

bool has_ended(const json& job) {
  return job.contains("ended");
}

// A word of a command line.
std::string in_quotes(const std::string& word) {
  std::string quoted = "'";
  for (const char c : word) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

int show_patch(std::uint64_t id, const json& answer) {
  const auto patch = answer["patch"].get<std::string>();
  std::string left_out;
  for (const json& each : answer["leftOut"]) {
    left_out += "job " + each["id"].dump() +
                " is not in the patch: " + on_one_line(each["why"].get<std::string>()) + "\n";
  }
  if (patch.empty()) {
    throw Error("no editor has this workspace open, and there is no patch to print\n" +
                left_out.substr(0, left_out.size() - (left_out.empty() ? 0 : 1)));
  }
  print(::isatty(STDOUT_FILENO) == 1 ? printable(patch) : patch);
  std::fflush(stdout);
  const std::string folder = on_one_line(in_quotes(answer["folder"].get<std::string>()));
  std::fprintf(
      stderr,
      "hearth: no editor has this workspace open, so this is a patch, and the change still waits: "
      "hearth jobs apply %s | git -C %s apply (or: patch -p1 -d %s)\n%s",
      std::to_string(id).c_str(), folder.c_str(), folder.c_str(), left_out.c_str());
  return 0;
}

// Through the editor that shows it; without one the change is printed.
int apply_job(std::uint64_t id) {
  auto control = running_daemon();
  json answer = ask(control, name(ControlRequest::apply_job), id, command_timeout);
  if (answer.contains("patch")) return show_patch(id, answer);
  return await_change(control, id, std::move(answer), has_ended);
}

// Its text as it comes, until it has ended or waits for somebody.
int follow_job(std::uint64_t id) {
  auto control = running_daemon();
  const InterruptFlag interrupt;
  const bool show = ::isatty(STDERR_FILENO) == 1;
  bool line_open = false;
  const auto clear = [&] {
    if (std::exchange(line_open, false)) std::fputs("\r\x1b[K", stderr);
  };
  const auto print_piece = [&](const json& piece) {
    if (piece.contains("text")) {
      clear();
      print(piece["text"].get<std::string>());
      std::fflush(stdout);
    } else if (show && piece.contains("progress")) {
      clear();
      line_open = true;
      std::fputs(piece["progress"].get_ref<const std::string&>().c_str(), stderr);
    }
  };
  const auto job = follow(control, {{"request", name(ControlRequest::follow_job)}, {"id", id}},
                          print_piece, &interrupt.flag());
  clear();
  if (!job) return 130;
  std::fprintf(stderr, "\n%s: %s\n", job_name(id).c_str(),
               (*job)["message"].get_ref<const std::string&>().c_str());
  return (*job)["state"] == "failed" ? 1 : 0;
}

}  // namespace

void add_jobs(CLI::App& app, Command& chosen) {
  auto* jobs = app.add_subcommand(
      "jobs", "Lists the jobs that actions started, follows them and says what becomes of them");
  auto as_json = std::make_shared<bool>(false);
  jobs->add_flag("--json", *as_json, "As JSON");
  jobs->footer(
      "`hearth jobs` lists each job with its number: `hearth jobs show 7` prints the\n"
      "answer of job 7 so far, `hearth jobs cancel 7` stops it. Jobs go on when their\n"
      "editor or the daemon ends; the next editor that opens the workspace shows them.\n"
      "A batch's number, in brackets behind its jobs, stands for all of them.\n"
      "\n"
      "Changes are made by an editor. Where none has the workspace open, apply prints them\n"
      "as a patch, to look at and to apply, `hearth jobs apply 7 | git apply`; the job waits\n"
      "on until an editor opens the workspace, or until `hearth jobs dismiss 7`.\n");

  auto id = std::make_shared<std::uint64_t>(0);
  const auto add = [&](const char* name, const char* help) {
    auto* command = jobs->add_subcommand(name, help);
    command->add_option("id", *id, "The job's number in `hearth jobs`")->required();
    return command;
  };
  auto* list = jobs->add_subcommand("list", "Lists them: what `hearth jobs` does");
  list->add_flag("--json", *as_json, "As JSON");

  auto* show = add("show", "Shows one job and its answer so far");
  auto shown = std::make_shared<ShowFlags>();
  show->add_flag("--json", *as_json, "As JSON");
  auto* prompt =
      show->add_flag("--prompt", shown->prompt,
                     "All that the model was shown instead: each piece with its reason and tokens, "
                     "and what was known of it");
  show->add_flag("--thought", shown->thought,
                 "What a thinking model thought before the answer instead")
      ->excludes(prompt);
  show->callback([&chosen, id, as_json, shown] {
    chosen = [=] { return show_one_job(*id, *as_json, *shown); };
  });

  add("follow", "Prints a job's answer as it comes")->callback([&chosen, id] {
    chosen = [=] { return follow_job(*id); };
  });

  const auto add_change = [&](const char* name, const char* help, ControlRequest request,
                              IsMade is_made) {
    add(name, help)->callback([&chosen, id, request, is_made] {
      chosen = [=] { return change_job(*id, request, is_made); };
    });
  };
  add_change("pause", "Stops a job where it is; what it has written is kept",
             ControlRequest::pause_job,
             [](const json& job) { return job["state"] == "paused" || has_ended(job); });
  add_change("resume", "Goes on with a paused job", ControlRequest::resume_job,
             [](const json& job) { return job["state"] != "paused"; });
  add_change("cancel", "Stops a job and waits until it has stopped", ControlRequest::cancel_job,
             has_ended);
  add("apply",
      "Makes the changes of a job that waits for you, in the editor that shows it; where no editor "
      "has its workspace open, prints them as a patch and leaves the job as it is")
      ->callback([&chosen, id] { chosen = [=] { return apply_job(*id); }; });
  add_change("dismiss", "Ends a job that waits for you, without its changes",
             ControlRequest::dismiss_job, has_ended);
  add_change("retry", "Asks a failed or cancelled job again, from its beginning",
             ControlRequest::retry_job, [](const json&) { return true; });

  jobs->require_subcommand(0, 1);
  jobs->callback([&chosen, jobs, list, as_json] {  // after that of its subcommand
    if (!jobs->get_subcommands().empty() && !list->parsed()) return;
    chosen = [=] { return ask_and_show("jobs", *as_json, show_jobs); };
  });
}

}  // namespace hearth::daemon
