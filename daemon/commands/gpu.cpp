// `hearth pause --gpu` and `hearth resume --gpu`: a game wants the GPU, and is over.
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "daemon/commands/asking.hpp"
#include "daemon/commands/commands.hpp"
#include "daemon/platform/error.hpp"

namespace hearth::daemon {
namespace {

// Asks the daemon, then waits until its GPU is in that state, as long as a step may take. Returns
// the state that it is in.
std::string ask_for_gpu(ControlRequest request, const std::string& wanted) {
  constexpr std::chrono::milliseconds between_looks{50};
  Connected daemon = running_daemon();
  std::string state = ask(daemon, name(request), command_timeout)["state"];
  if (state == "none")
    throw Error("no GPU is used: memory.vram in the configuration says how much of one may be");
  for (auto left = command_timeout; state != wanted && left.count() > 0; left -= between_looks) {
    std::this_thread::sleep_for(between_looks);
    state = ask(daemon, name(ControlRequest::status), command_timeout)["model"]["gpu"]["state"];
  }
  return state;
}

int pause() {
  const bool released = ask_for_gpu(ControlRequest::release_gpu, "released") == "released";
  print(released ? "The GPU's memory is free. The next request, or `hearth resume --gpu`, takes it "
                   "again.\n"
                 : "The GPU's memory will be free when the present step ends; if not, `hearth "
                   "logs` says why.\n");
  return 0;
}

int resume() {
  const bool taken = ask_for_gpu(ControlRequest::take_gpu, "in use") == "in use";
  print(taken ? "The GPU is in use.\n" : "The GPU could not be taken: `hearth logs` says why.\n");
  return taken ? 0 : 1;
}

void add(CLI::App& app, Command& chosen, const char* name, const char* help, int (*work)()) {
  auto* command = app.add_subcommand(name, help);
  auto gpu = std::make_shared<bool>(false);
  command->add_flag("--gpu", *gpu, "The memory that memory.vram gave to hearth")->required();
  command->callback([&chosen, gpu, work] { chosen = work; });
}

}  // namespace

void add_pause(CLI::App& app, Command& chosen) {
  add(app, chosen, "pause", "Gives the GPU's memory back until the next request", pause);
}

void add_resume(CLI::App& app, Command& chosen) {
  add(app, chosen, "resume", "Takes the GPU's memory again", resume);
}

}  // namespace hearth::daemon
