// The commands around the daemon: lsp, daemon, status, jobs, stop.
#include <fcntl.h>
#include <unistd.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "daemon/client.hpp"
#include "daemon/commands.hpp"
#include "daemon/config.hpp"
#include "daemon/daemon.hpp"
#include "daemon/error.hpp"
#include "daemon/forwarder.hpp"
#include "daemon/lock.hpp"
#include "daemon/status.hpp"
#include "daemon/version.hpp"

namespace hearth::daemon {
namespace {

constexpr const char* model_help = "Directory of the checkpoint to run";

// A daemon has another working directory.
std::vector<std::string> daemon_arguments(const std::string& model) {
  if (model.empty()) return {};
  return {"--model", std::filesystem::absolute(model).string()};
}

void print(const std::string& text) {
  std::fputs(text.c_str(), stdout);
}

struct DaemonFlags {
  std::string model;
  bool foreground = false;
  bool print_config = false;
  int ready_fd = -1;
};

bool run_here(const DaemonFlags& flags, std::function<void()> ready) {
  const Paths paths = find_paths();
  const Config config = read_config(paths.config);
  build();  // while the executable is still the one that was started
  return run_daemon(
      {config, find_model(config, flags.model), paths, flags.foreground, std::move(ready)});
}

// Started by spawn_detached: says over the descriptor why it cannot begin, if it cannot.
int run_in_background(const DaemonFlags& flags) {
  Fd ready(flags.ready_fd);
  ::fcntl(ready.get(), F_SETFD, FD_CLOEXEC);
  try {
    run_here(flags, [&ready] { ready.reset(); });
    return 0;
  } catch (const std::exception& error) {
    const std::string reason = error.what();
    [[maybe_unused]] const auto told = ::write(ready.get(), reason.data(), reason.size());
    return 1;
  }
}

int run_daemon_command(const DaemonFlags& flags) {
  if (flags.print_config) {
    print(describe_config(read_config(find_paths().config)));
    return 0;
  }
  if (flags.ready_fd >= 0) return run_in_background(flags);
  if (flags.foreground) {
    if (run_here(flags, {})) return 0;
    const auto pid = holder(find_paths().lock());
    throw Error("a daemon is running already (process " + std::to_string(pid.value_or(0)) +
                "): `hearth stop` ends it");
  }
  const auto connected =
      connect_or_start(find_paths(), ConnectionKind::control, daemon_arguments(flags.model));
  const std::string& running = connected.welcome.model;
  if (!flags.model.empty() && find_model({}, flags.model) != running) {
    throw Error("a daemon runs already, with the model " + running + ": `hearth stop` ends it");
  }
  print("the daemon runs: process " + std::to_string(connected.welcome.pid) + "\n");
  return 0;
}

// Asks the daemon and shows its answer, as JSON or as `show` lays it out.
int ask_and_show(const std::string& request, bool json,
                 std::string (*show)(const nlohmann::json&)) {
  auto control = connect(find_paths(), ConnectionKind::control);
  if (!control) throw Error("no daemon runs (`hearth daemon` or an editor starts one)");
  const nlohmann::json answer = ask(*control, request);
  print(json ? answer.dump(2) + "\n" : show(answer));
  return 0;
}

void add_question(CLI::App& app, Command& chosen, const char* name, const char* help,
                  std::string (*show)(const nlohmann::json&)) {
  auto* command = app.add_subcommand(name, help);
  auto json = std::make_shared<bool>(false);
  command->add_flag("--json", *json, "As JSON");
  command->callback(
      [&chosen, name, json, show] { chosen = [=] { return ask_and_show(name, *json, show); }; });
}

}  // namespace

void add_lsp(CLI::App& app, Command& chosen) {
  auto* command = app.add_subcommand(
      "lsp", "The language server: what an editor starts; speaks LSP over stdin and stdout");
  auto model = std::make_shared<std::string>();
  command->add_option("--model", *model,
                      std::string(model_help) + " (if this is what starts the daemon)");
  command->callback([&chosen, model] {
    chosen = [model] {
      build();  // before a newer build takes the executable's place
      if (::isatty(STDIN_FILENO) == 1) {
        std::fputs("hearth: an editor starts this and speaks LSP with it; Ctrl-D ends it\n",
                   stderr);
      }
      return forward(find_paths(), daemon_arguments(*model), STDIN_FILENO, STDOUT_FILENO);
    };
  });
}

void add_daemon(CLI::App& app, Command& chosen) {
  auto* command = app.add_subcommand(
      "daemon", "Starts the daemon, which all editors share (an editor starts it by itself)");
  auto flags = std::make_shared<DaemonFlags>();
  command->add_option("--model", flags->model, model_help);
  command->add_flag("--foreground", flags->foreground, "Stay here and log to stderr");
  command->add_flag("--print-config", flags->print_config,
                    "Print the configuration in force, every key with its meaning, and end");
  command->add_option("--ready-fd", flags->ready_fd)->group("");
  command->footer(
      "The configuration is the file hearth/config.toml in $XDG_CONFIG_HOME or\n"
      "~/.config. To begin one with all defaults:\n"
      "  hearth daemon --print-config > ~/.config/hearth/config.toml\n");
  command->callback([&chosen, flags] { chosen = [flags] { return run_daemon_command(*flags); }; });
}

void add_status(CLI::App& app, Command& chosen) {
  add_question(app, chosen, "status", "What the daemon does: model, memory, speed, editors, jobs",
               show_status);
}

void add_jobs(CLI::App& app, Command& chosen) {
  add_question(app, chosen, "jobs", "The actions that were started, and how far they are",
               show_jobs);
}

void add_stop(CLI::App& app, Command& chosen) {
  auto* command = app.add_subcommand(
      "stop", "Ends the daemon and waits for its end (an open editor starts it again when used)");
  command->callback([&chosen] {
    chosen = [] {
      print(stop_daemon(find_paths()) ? "the daemon has stopped\n" : "no daemon was running\n");
      return 0;
    };
  });
}

}  // namespace hearth::daemon
