// The program: its commands, in the order in which a person meets them. Each is in commands_*.cpp.
// Exit codes: 0 fine, 1 it failed, 2 it was called in a wrong way.
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <cstdio>
#include <exception>

#include "daemon/commands.hpp"
#include "daemon/version.hpp"

namespace {

constexpr const char* description =
    "hearth: a coding assistant that runs a Mixture-of-Experts model on your own machine,\n"
    "in the background of your editor.\n";

constexpr const char* examples =
    "Examples:\n"
    "  hearth demo                            see it at work, without an editor\n"
    "  hearth lsp                             what an editor starts as its language server\n"
    "  hearth status                          what the daemon does, and how fast\n"
    "  hearth chat --model ~/models/coder     talk to a model\n"
    "  hearth generate --prompt \"Write a function that reverses a list.\"\n"
    "  git diff | hearth generate --max-tokens 200\n"
    "\n"
    "`hearth COMMAND --help` tells more. Nothing you type leaves this machine.\n";

int fail(int code, const char* message) {
  std::fprintf(stderr, "hearth: %s\n", message);
  return code;
}

int run(int argc, char** argv) {
  using namespace hearth::daemon;
  CLI::App app(description, "hearth");
  app.footer(examples);
  app.set_version_flag("--version", "hearth " + build());
  app.require_subcommand(1);

  Command chosen;
  add_demo(app, chosen);
  add_lsp(app, chosen);
  add_chat(app, chosen);
  add_generate(app, chosen);
  add_tokenize(app, chosen);
  add_status(app, chosen);
  add_jobs(app, chosen);
  add_stop(app, chosen);
  add_daemon(app, chosen);
  add_synth(app, chosen);
  add_bench(app, chosen);
  add_plan(app, chosen);
  add_trace(app, chosen);

  try {
    app.parse(argc, argv);
    return chosen();
  } catch (const CLI::Success& asked) {
    return app.exit(asked);
  } catch (const CLI::ParseError& wrong) {
    return fail(2, (std::string(wrong.what()) + " (`hearth --help` shows how)").c_str());
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    return fail(1, error.what());
  }
}
