// The commands that start, show and end the daemon: lsp, daemon, status, stop, restart.
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "daemon/commands/asking.hpp"
#include "daemon/commands/commands.hpp"
#include "daemon/commands/wait_for_model.hpp"
#include "daemon/config.hpp"
#include "daemon/daemon.hpp"
#include "daemon/platform/error.hpp"
#include "daemon/platform/format.hpp"
#include "daemon/platform/lock.hpp"
#include "daemon/platform/version.hpp"
#include "daemon/status.hpp"
#include "daemon/transport/control_client.hpp"
#include "daemon/transport/stdio_proxy.hpp"
#include "lsp/support/failure.hpp"

namespace hearth::daemon {
namespace {

constexpr const char* model_help = "Directory of the checkpoint to run";

// A daemon has another working directory.
std::vector<std::string> daemon_arguments(const std::string& model) {
  if (model.empty()) return {};
  return {"--model", std::filesystem::absolute(model).string()};
}

struct DaemonFlags {
  std::string model;
  bool foreground = false;
  bool print_config = false;
  int ready_fd = -1;
};

// A model that the command line names is the one that answers, whatever server is configured.
Config chosen(Config config, const std::string& model) {
  if (!model.empty()) config.model_remote = {};
  return config;
}

bool run_here(const DaemonFlags& flags, std::function<void()> ready) {
  const Paths paths = find_paths();
  const Config config = read_config(paths.config);
  build();  // while the executable is still the one that was started
  return run_daemon({chosen(config, flags.model), find_daemon_model(config, flags.model), paths,
                     flags.foreground, std::move(ready)});
}

// Started by spawn_detached: says over the descriptor why it cannot begin, if it cannot.
int run_in_background(const DaemonFlags& flags) {
  Fd ready(flags.ready_fd);
  ::fcntl(ready.get(), F_SETFD, FD_CLOEXEC);
  try {
    run_here(flags, [&ready] { ready.reset(); });
    return 0;
  } catch (const std::exception& error) {
    const std::string reason = lsp::failure_text(error);
    [[maybe_unused]] const auto told = ::write(ready.get(), reason.data(), reason.size());
    return 1;
  }
}

// A daemon that nobody else uses is of no use without its model.
[[noreturn]] void give_up(Connected& control, const std::string& reason) {
  const bool used = !ask(control, name(ControlRequest::status))["clients"].empty();
  if (!used) stop_daemon(find_paths());
  throw Error("the daemon cannot use its model: " + reason +
              (used ? " (it runs on, as an editor is connected: `hearth stop` ends it)" : ""));
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
  auto connected =
      connect_or_start(find_paths(), ConnectionKind::control, daemon_arguments(flags.model));
  const std::string& running = connected.welcome.model;
  if (!flags.model.empty() && find_model({}, flags.model) != running) {
    throw Error("a daemon runs already, with the model " + running + ": `hearth stop` ends it");
  }
  const nlohmann::json model = wait_for_model(connected, ::isatty(STDERR_FILENO) == 1);
  if (model["state"] == "failed") give_up(connected, model["error"].get<std::string>());
  print("the daemon runs: process " + std::to_string(connected.welcome.pid) + "\n");
  if (model["state"] == "away") print(model["error"].get<std::string>() + "\n");
  return 0;
}

int stop(bool force) {
  switch (stop_daemon(find_paths(), force, command_timeout)) {
    case Stopped::none:
      print("no daemon was running\n");
      break;
    case Stopped::itself:
      print("the daemon has stopped\n");
      break;
    case Stopped::by_force:
      print("the daemon did not stop by itself and was ended\n");
      break;
  }
  return 0;
}

// With the configuration as it is now.
int restart(const std::string& model) {
  stop_daemon(find_paths(), false, command_timeout);
  DaemonFlags flags;
  flags.model = model;
  return run_daemon_command(flags);
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
  // What clients' libraries add by themselves. The client's process is named in `initialize` too.
  command->add_flag_function(
      "--stdio", [](std::int64_t) {},
      "Speak over stdin and stdout (the default, and the only way)");
  command
      ->add_option_function<std::int64_t>(
          "--clientProcessId", [](std::int64_t) {}, "The client's process; `initialize` names it")
      ->type_name("N");
  for (const char* other : {"--socket", "--pipe", "--node-ipc"}) {
    command
        ->add_option_function<std::string>(
            other,
            [other](const std::string&) {
              throw CallError("`hearth lsp` speaks over stdin and stdout only: start it without " +
                              std::string(other) + ", by the transport that clients call stdio");
            })
        ->expected(0, 1)
        ->group("");
  }
  command->callback([&chosen, model] {
    chosen = [model] {
      build();  // before a newer build takes the executable's place
      if (::isatty(STDIN_FILENO) == 1) {
        std::fputs("hearth: an editor starts this and speaks LSP with it; Ctrl-D ends it\n",
                   stderr);
      }
      return run_stdio_proxy(find_paths(), daemon_arguments(*model), STDIN_FILENO, STDOUT_FILENO);
    };
  });
}

void add_daemon(CLI::App& app, Command& chosen) {
  auto* command = app.add_subcommand(
      "daemon",
      "Starts the daemon that all editors share and waits until its model is loaded (an editor "
      "starts it automatically)");
  auto flags = std::make_shared<DaemonFlags>();
  command->add_option("--model", flags->model, model_help);
  command->add_flag("--foreground", flags->foreground, "Run in the foreground and log to stderr");
  command->add_flag("--print-config", flags->print_config,
                    "Print the current configuration, every key with a comment, and exit");
  command->add_option("--ready-fd", flags->ready_fd)->group("");
  command->footer(
      "The configuration is the file hearth/config.toml in $XDG_CONFIG_HOME or\n"
      "~/.config.\n"
      "\n"
      "Examples:\n"
      "  hearth daemon                     # start it, unless it is running\n"
      "  hearth daemon --print-config      # every key, with a comment\n"
      "  mkdir -p ~/.config/hearth && \\\n"
      "    hearth daemon --print-config > ~/.config/hearth/config.toml");
  command->callback([&chosen, flags] { chosen = [flags] { return run_daemon_command(*flags); }; });
}

void add_status(CLI::App& app, Command& chosen) {
  add_question(
      app, chosen, "status", "Shows what the daemon is doing: model, memory, speed, editors, jobs",
      [](const nlohmann::json& status) { return show_status(status, terminal_columns()); });
}

void add_stop(CLI::App& app, Command& chosen) {
  auto* command = app.add_subcommand(
      "stop",
      "Stops the daemon and waits until it has exited (an open editor starts a new one when used)");
  auto force = std::make_shared<bool>(false);
  command->add_flag("--force", *force, "Kill the process if it does not answer");
  command->callback([&chosen, force] { chosen = [force] { return stop(*force); }; });
}

void add_restart(CLI::App& app, Command& chosen) {
  auto* command = app.add_subcommand(
      "restart",
      "Stops the daemon and starts it with the configuration as it is now; editors go on with it");
  auto model = std::make_shared<std::string>();
  command->add_option("--model", *model, model_help);
  command->footer("Answers that are being written go on where they are.\n");
  command->callback([&chosen, model] { chosen = [model] { return restart(*model); }; });
}

}  // namespace hearth::daemon
