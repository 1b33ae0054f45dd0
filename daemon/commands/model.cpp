// `hearth model`: which checkpoint is run; `hearth use`, which changes that.
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
#include "daemon/hub/library.hpp"
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

struct Examined {
  engine::CheckpointShape shape;
  engine::MemoryPlan plan;  // as of now
};

// What would keep a daemon from running it. Throws Error.
Examined examine(const Config& config, const fs::path& model) {
  const engine::EngineOptions options = engine_options(config, model, {});
  Examined examined{engine::read_shape(options), {}};
  require_tokenizer(model);
  const engine::CheckpointShape& shape = examined.shape;
  examined.plan =
      engine::plan_memory(engine::costs_of(shape.config, shape.form), options, shape.config,
                          shape.context, engine::read_memory(), model.string());
  return examined;
}

std::string show_memory(const engine::MemoryPlan& plan) {
  const auto bytes = [](std::uint64_t count) { return show_bytes(static_cast<double>(count)); };
  return fmt::format(
      "It takes {} of memory: {} of weights that are always there{}; the rest is "
      "for prompts.\n",
      bytes(engine::total(plan)), bytes(plan.dense + plan.shortlist),
      plan.experts == 0 ? "" : ", " + bytes(plan.experts) + " of experts");
}

int show_model() {
  const Config config = read_config(find_paths().config);
  const fs::path model = find_daemon_model(config, {});
  if (!config.model_remote.url.empty()) {
    print("The server at " + config.model_remote.url + " answers (model.url)" +
          (model.empty() ? ".\n" : "; while it is away, this does:\n"));
  }
  if (model.empty()) return 0;
  print(describe(model, engine::read_shape(engine_options(config, model, {}))));
  return 0;
}

// What the daemon's model has in memory now; empty: it is not loaded.
std::string show_held(const nlohmann::json& model) {
  if (!model.is_object() || (model["state"] != "ready" && model["state"] != "failing")) return {};
  double bytes = 0;
  for (const nlohmann::json& part : model["memory"]) bytes += part.get<double>();
  const auto experts = model["memory"]["expertBytes"].get<double>();
  return ", " + show_bytes(bytes) +
         (experts > 0 ? " with " + show_bytes(experts) + " of experts" : std::string());
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
  if (status["model"].is_object() && status["model"]["waiting"].get<std::uint64_t>() > 0) {
    print("The daemon is busy and goes on with " + control->welcome.model +
          ": `hearth restart` takes the new one, and cuts off what is being written.\n");
    return;
  }
  print("The daemon's " + control->welcome.model + " leaves the memory" +
        show_held(status["model"]) + ".\n");
  control.reset();
  stop_daemon(paths, false, command_timeout);
  const Connected started = connect_or_start(paths, ConnectionKind::control, {});
  print(fmt::format("The daemon begins anew with it: process {}.\n", started.welcome.pid));
}

// As it is to be written: the name of a model that has one, else its directory.
std::string shown_model(const Paths& paths, const std::string& asked, const fs::path& model) {
  const auto named = hub::Library(paths.models).find(asked);
  return named ? named->filename().string() : model.string();
}

int use_model(const std::string& asked) {
  const Paths paths = find_paths();
  const Config config = read_config(paths.config);
  const fs::path model = find_model(config, asked, "the command line");
  const Examined examined = examine(config, model);
  print(describe(model, examined.shape));
  print(show_memory(examined.plan));

  // A link stays one: it leads to where a person keeps such files.
  std::error_code none;
  const fs::path file = link_target(paths.config);
  const std::string before = fs::exists(file, none) ? read_file(file, longest_config) : "";
  const std::string after = set_value(before, "model", "path", shown_model(paths, asked, model));
  if (after != before) {
    fs::create_directories(file.parent_path());
    write_file(file, after);
    const std::string leads = file == paths.config ? "" : ", a link to " + file.string();
    print("model.path is set in " + paths.config.string() + leads + ".\n");
  }
  if (!config.model_remote.url.empty())
    print("It answers while the server at " + config.model_remote.url + " is away (model.url).\n");
  tell_daemon(paths, model);
  return 0;
}

void add_use_options(CLI::App& command, Command& chosen) {
  auto model = std::make_shared<std::string>();
  command.add_option("name", *model, "A name that `hearth models` lists, or a directory")
      ->required()
      ->type_name("NAME");
  command.callback([&chosen, model] { chosen = [model] { return use_model(*model); }; });
}

}  // namespace

void add_model(CLI::App& app, Command& chosen) {
  auto* command = app.add_subcommand("model", "Shows which checkpoint is run");
  command->footer(
      "`hearth use` changes it, `hearth models` lists others.\n"
      "\n"
      "Examples:\n"
      "  hearth model");
  command->require_subcommand(0, 1);
  // What `hearth use` was called in 0.1.
  auto* use = command->add_subcommand("use", "The same as `hearth use`")->group("");
  add_use_options(*use, chosen);
  command->callback([&chosen, command] {  // after that of its subcommand
    if (command->get_subcommands().empty()) chosen = [] { return show_model(); };
  });
}

void add_use(CLI::App& app, Command& chosen) {
  auto* command = app.add_subcommand(
      "use", "Checks a model, sets model.path in the configuration and restarts the daemon");
  add_use_options(*command, chosen);
  command->footer(
      "One line of config.toml is changed, and its comments stay. A daemon that is\n"
      "writing an answer goes on with the old model.");
}

}  // namespace hearth::daemon
