// `hearth serve`: opens the daemon's door to tools that speak OpenAI's protocol, and says how to
// come in.
#include <unistd.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "daemon/commands/asking.hpp"
#include "daemon/commands/commands.hpp"
#include "daemon/commands/wait_for_model.hpp"
#include "daemon/platform/error.hpp"
#include "daemon/platform/paths.hpp"
#include "daemon/serve/access.hpp"

namespace hearth::daemon {
namespace {

struct ServeFlags {
  bool token = false;
  bool close = false;
};

int close_door() {
  auto control = find_daemon(find_paths(), ConnectionKind::control, command_timeout);
  if (control) ask(*control, name(ControlRequest::close_door), command_timeout);
  print("The door is closed.\n");
  return 0;
}

int open_door() {
  Connected control = connect_or_start(find_paths(), ConnectionKind::control, {});
  const nlohmann::json door = ask(control, name(ControlRequest::open_door), command_timeout);
  const std::string url = door["url"].get<std::string>();
  print("The daemon (process " + std::to_string(control.welcome.pid) + ") serves at " + url +
        "\n\n"
        "  base URL   " +
        url +
        "\n"
        "  API key    `hearth serve --token` prints it\n"
        "  try it     curl " +
        url +
        "/models -H \"Authorization: Bearer $(hearth serve --token)\"\n"
        "\n"
        "It stays until `hearth serve --close` or `hearth stop`; serve.open = true in the\n"
        "configuration opens it whenever a daemon starts.\n");
  const nlohmann::json model = wait_for_model(control, ::isatty(STDERR_FILENO) == 1);
  if (model["state"] == "failed")
    throw Error("the daemon cannot use its model: " + model["error"].get<std::string>());
  return 0;
}

}  // namespace

void add_serve(CLI::App& app, Command& chosen) {
  auto* command = app.add_subcommand(
      "serve", "Lets tools that speak OpenAI's protocol use the daemon's model, over HTTP");
  auto flags = std::make_shared<ServeFlags>();
  auto* token = command->add_flag("--token", flags->token, "Print the token that they need");
  command->add_flag("--close", flags->close, "Let nobody in any more")->excludes(token);
  command->footer(
      "The daemon listens at 127.0.0.1, port 4327, or as [serve] of the configuration\n"
      "says. The token is their API key. Editors go first.\n"
      "\n"
      "Examples:\n"
      "  hearth serve --token\n"
      "  hearth serve --close");
  command->callback([&chosen, flags] {
    chosen = [flags] {
      if (flags->close) return close_door();
      if (!flags->token) return open_door();
      print(serve_token(find_paths()) + "\n");
      return 0;
    };
  });
}

}  // namespace hearth::daemon
