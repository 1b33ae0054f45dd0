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
#include "daemon/platform/interrupt_flag.hpp"
#include "daemon/status.hpp"

namespace hearth::daemon {
namespace {

using nlohmann::json;

std::string job_name(std::uint64_t id) {
  return "job " + std::to_string(id);
}

int show_one_job(std::uint64_t id, bool as_json, bool prompt) {
  auto control = running_daemon();
  if (prompt) {
    return show_answer(ask(control, name(ControlRequest::prompt), id, command_timeout), as_json,
                       show_prompt);
  }
  return show_answer(ask(control, name(ControlRequest::job), id, command_timeout), as_json,
                     show_job);
}

// Asks for a change and waits until it is made, which may take the computation a moment.
int change_job(std::uint64_t id, ControlRequest request,
               const std::function<bool(const json& job)>& is_made) {
  constexpr std::chrono::seconds deadline{5};
  auto control = running_daemon();
  json job = ask(control, name(request), id, command_timeout);
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

bool has_ended(const json& job) {
  return job.contains("ended");
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
      "A batch's number, in brackets behind its jobs, stands for all of them.\n");

  auto id = std::make_shared<std::uint64_t>(0);
  const auto add = [&](const char* name, const char* help) {
    auto* command = jobs->add_subcommand(name, help);
    command->add_option("id", *id, "The job's number in `hearth jobs`")->required();
    return command;
  };
  auto* list = jobs->add_subcommand("list", "Lists them: what `hearth jobs` does");
  list->add_flag("--json", *as_json, "As JSON");

  auto* show = add("show", "Shows one job and its answer so far");
  auto prompt = std::make_shared<bool>(false);
  show->add_flag("--json", *as_json, "As JSON");
  show->add_flag("--prompt", *prompt,
                 "All that the model was shown instead: each piece with its reason and tokens, and "
                 "what was known of it");
  show->callback([&chosen, id, as_json, prompt] {
    chosen = [=] { return show_one_job(*id, *as_json, *prompt); };
  });

  add("follow", "Prints a job's answer as it comes")->callback([&chosen, id] {
    chosen = [=] { return follow_job(*id); };
  });

  const auto add_change = [&](const char* name, const char* help, ControlRequest request,
                              std::function<bool(const json&)> is_made) {
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
  add_change("apply", "Makes the changes of a job that waits for you, in the editor that shows it",
             ControlRequest::apply_job, has_ended);
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
