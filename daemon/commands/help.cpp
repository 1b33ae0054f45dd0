// `hearth help` and `hearth version`.
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "daemon/commands/command_line.hpp"
#include "daemon/commands/commands.hpp"
#include "daemon/commands/completions.hpp"
#include "daemon/commands/manual.hpp"
#include "daemon/config.hpp"
#include "daemon/platform/error.hpp"
#include "daemon/platform/format.hpp"
#include "daemon/platform/paths.hpp"
#include "daemon/platform/version.hpp"
#include "engine/engine.hpp"
#include "engine/hardware.hpp"

namespace hearth::daemon {
namespace {

using Json = nlohmann::ordered_json;

// The instruction set that the configuration asks for. What is wrong with the rest of it is for
// other commands to say.
std::optional<kernels::Isa> configured_isa() {
  try {
    return read_config(find_paths().config).model_isa;
  } catch (const Error&) {
    return std::nullopt;
  }
}

Json describe() {
  Json isa = {{"used", nullptr}, {"available", Json::array()}};
  kernels::CudaDevices cuda;
  try {
    const engine::Hardware hardware = engine::find_hardware(configured_isa());
    isa["used"] = kernels::name(hardware.isa);
    for (const kernels::Isa each : hardware.isas) isa["available"].push_back(kernels::name(each));
    cuda = hardware.cuda;
  } catch (const std::runtime_error& error) {
    isa["error"] = error.what();
  }
  return {{"version", version()},
          {"build", build()},
          {"buildType", build_type()},
          {"compiler", compiler()},
          {"isa", isa},
          {"cuda", {{"built", cuda.built}, {"devices", cuda.count}, {"missing", cuda.missing}}},
          {"program", executable()}};
}

int show_version(bool json) {
  const Json now = describe();
  if (json) {
    std::printf("%s\n", now.dump(2).c_str());
    return 0;
  }
  std::string available;
  for (const auto& each : now["isa"]["available"]) {
    available += (available.empty() ? "" : ", ") + each.get<std::string>();
  }
  const auto text = [&](const char* key) { return now[key].get<std::string>(); };
  std::printf("hearth %s\n", text("build").c_str());
  std::printf("built as  %s, with %s\n", text("buildType").c_str(), text("compiler").c_str());
  if (now["isa"].contains("error")) {
    std::printf("computes  not at all: %s\n", now["isa"]["error"].get<std::string>().c_str());
  } else {
    std::printf("computes  with %s; this processor has %s\n",
                now["isa"]["used"].get<std::string>().c_str(), available.c_str());
  }
  const int devices = now["cuda"]["devices"].get<int>();
  std::printf("CUDA      %s\n", devices == 0 ? now["cuda"]["missing"].get<std::string>().c_str()
                                             : (std::to_string(devices) + " found").c_str());
  std::printf("program   %s\n", text("program").c_str());
  return 0;
}

std::string written(const CLI::App& app, const std::vector<std::string>& words,
                    const std::string& form) {
  if (form == "man") return manual_page(app);
  if (form == "bash") return bash_completions(app);
  if (form == "zsh") return zsh_completions(app);
  if (form == "fish") return fish_completions(app);
  return help_of(find_command(app, words));
}

}  // namespace

void add_help(CLI::App& app, Command& chosen) {
  auto* command = app.add_subcommand("help", "Describes a command, or lists them all");
  auto words = std::make_shared<std::vector<std::string>>();
  auto form = std::make_shared<std::string>("text");
  command->add_option("command", *words, "The command (default: all of them)");
  auto* forms = command->add_option(
      "--form", *form, "Print everything as a manual page or as completions for a shell");
  forms->check(CLI::IsMember({"text", "man", "bash", "zsh", "fish"}))->capture_default_str();
  command->footer(
      "Examples:\n"
      "  hearth help generate\n"
      "  hearth help --form bash > hearth.bash && . ./hearth.bash");
  command->callback([&app, &chosen, words, form] {
    chosen = [&app, words, form] {
      if (!words->empty() && *form != "text") {
        throw CallError("--form " + *form + " is made of all commands: leave out \"" +
                        printable(words->front()) + "\"");
      }
      std::fputs(written(app, *words, *form).c_str(), stdout);
      return 0;
    };
  });
}

void add_version(CLI::App& app, Command& chosen) {
  auto* command = app.add_subcommand("version", "Shows the version, and what it computes with");
  auto json = std::make_shared<bool>(false);
  command->add_flag("--json", *json, "As JSON");
  command->footer(
      "Examples:\n"
      "  hearth version\n"
      "  hearth version --json");
  command->callback([&chosen, json] { chosen = [json] { return show_version(*json); }; });
}

}  // namespace hearth::daemon
