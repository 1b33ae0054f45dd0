// `hearth model`: which checkpoint is run, and `hearth model use`, which changes that.
#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "daemon/commands/asking.hpp"
#include "daemon/commands/commands.hpp"
#include "daemon/commands/local_run.hpp"
#include "daemon/config.hpp"
#include "daemon/config_edit.hpp"
#include "daemon/engine_options.hpp"
#include "daemon/platform/error.hpp"
#include "daemon/platform/files.hpp"
#include "daemon/platform/format.hpp"
#include "daemon/platform/paths.hpp"
#include "engine/measure/measurements.hpp"

namespace hearth::daemon {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t longest_config = 1 << 20;

std::string describe(const fs::path& model, const engine::CheckpointShape& shape) {
  return model.string() + ": " + show_checkpoint(shape) + "\n";
}

// What would keep a daemon from running it. Throws Error.
engine::CheckpointShape examine(const Config& config, const fs::path& model) {
  const engine::EngineOptions options = engine_options(config, model, {});
  engine::CheckpointShape shape = engine::read_shape(options);
  require_tokenizer(model);
  engine::plan_memory(engine::costs_of(shape.config, shape.form), options, shape.config,
                      shape.context, engine::read_memory(), model.string());
  return shape;
}

int show_model() {
  const Config config = read_config(find_paths().config);
  const fs::path model = find_model(config, {});
  print(describe(model, engine::read_shape(engine_options(config, model, {}))));
  return 0;
}

// A daemon that nobody waits for begins anew with it; another goes on with what it has.
void tell_daemon(const Paths& paths, const fs::path& model) {
  auto control = find_daemon(paths, ConnectionKind::control, command_timeout);
  if (!control) {
    print("The next daemon runs it.\n");
    return;
  }
  if (control->welcome.model == model.string()) return;
  const nlohmann::json status = ask(*control, name(ControlRequest::status), command_timeout);
  if (status["model"]["waiting"].get<std::uint64_t>() > 0) {
    print("The daemon is busy and goes on with " + control->welcome.model +
          ": `hearth restart` takes the new one, and cuts off what is being written.\n");
    return;
  }
  control.reset();
  stop_daemon(paths, false, command_timeout);
  const Connected started = connect_or_start(paths, ConnectionKind::control, {});
  print(fmt::format("The daemon begins anew with it: process {}.\n", started.welcome.pid));
}

int use_model(const std::string& directory) {
  const Paths paths = find_paths();
  const Config config = read_config(paths.config);
  const fs::path model = find_model(config, directory);
  print(describe(model, examine(config, model)));

  // A link stays one: it leads to where a person keeps such files.
  std::error_code none;
  const fs::path file = link_target(paths.config);
  const std::string before = fs::exists(file, none) ? read_file(file, longest_config) : "";
  const std::string after = set_value(before, "model", "path", model.string());
  if (after != before) {
    fs::create_directories(file.parent_path());
    write_file(file, after);
    const std::string leads = file == paths.config ? "" : ", a link to " + file.string();
    print("model.path is set in " + paths.config.string() + leads + ".\n");
  }
  tell_daemon(paths, model);
  return 0;
}

}  // namespace

void add_model(CLI::App& app, Command& chosen) {
  auto* command = app.add_subcommand("model", "Shows which checkpoint is run, or changes it");
  auto* use = command->add_subcommand(
      "use", "Checks a checkpoint, sets model.path in the configuration and restarts the daemon");
  auto directory = std::make_shared<std::string>();
  use->add_option("model", *directory, "Directory of the checkpoint")->required();
  use->callback([&chosen, directory] { chosen = [directory] { return use_model(*directory); }; });
  command->footer(
      "`hearth model use DIR` changes one line of config.toml, and leaves its comments.\n"
      "A daemon that is writing an answer goes on with the old one.\n"
      "\n"
      "Examples:\n"
      "  hearth model");
  command->require_subcommand(0, 1);
  command->callback([&chosen, command] {  // after that of its subcommand
    if (command->get_subcommands().empty()) chosen = [] { return show_model(); };
  });
}

}  // namespace hearth::daemon
