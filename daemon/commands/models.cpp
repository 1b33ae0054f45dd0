// `hearth models`: what is on the disk and what is known to run, with what this machine makes of
// it; `hearth rm`, which removes one.
#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "daemon/commands/asking.hpp"
#include "daemon/commands/commands.hpp"
#include "daemon/commands/local_run.hpp"
#include "daemon/commands/prediction.hpp"
#include "daemon/config.hpp"
#include "daemon/engine_options.hpp"
#include "daemon/hub/library.hpp"
#include "daemon/platform/error.hpp"
#include "daemon/platform/files.hpp"
#include "daemon/platform/format.hpp"
#include "daemon/platform/installation.hpp"
#include "daemon/platform/paths.hpp"

namespace hearth::daemon {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::int64_t published_context = 32'768;  // as `hearth plan` takes it
constexpr std::size_t largest_config = 1 << 20;

struct ModelsFlags {
  bool json = false;
  bool measure = false;
  DescribedMachine machine;
};

// A line of the list.
struct Row {
  std::string name;
  std::string family;
  std::uint64_t bytes = 0;
  std::uint64_t total = 0;  // of a download that has not ended; 0: it has
  bool is_here = false;
  bool is_current = false;
  std::optional<Subject> subject;  // empty: `trouble` says why
  std::string trouble;
  bool fits = false;
  double resident = 0;      // share of its experts
  double speed = 0;         // tokens a second
  std::uint64_t needs = 0;  // bytes of memory that it takes at least
};

std::string family_of(const fs::path& folder) {
  const json read = json::parse(read_file(folder / "config.json", largest_config), nullptr, false);
  const auto type = read.is_object() ? read.find("model_type") : read.end();
  if (!read.is_object() || type == read.end() || !type->is_string()) return "";
  return on_one_line(type->get<std::string>());
}

Row row_of(const hub::NamedModel& model, const Config& config, const fs::path& current) {
  Row row;
  row.name = model.name;
  row.is_here = true;
  row.bytes = model.bytes;
  if (model.partial) {
    row.total = model.manifest ? model.manifest->bytes() : 0;
    row.trouble = "`hearth pull " + model.name + "` goes on";
    return row;
  }
  std::error_code none;
  row.is_current = fs::equivalent(model.path, current, none);
  try {
    row.family = family_of(model.path);
    row.subject =
        subject_of(model.path.string(), engine::read_shape(engine_options(config, model.path, {})));
  } catch (const std::exception& error) {
    row.trouble = error.what();
  }
  return row;
}

Row row_of(const hub::KnownModel& model) {
  Row row;
  row.name = model.name();
  row.family = model.family;
  row.subject =
      published_subject(std::string(model.shape), std::string(model.id), published_context);
  const engine::Costs costs =
      engine::costs_of(row.subject->config, row.subject->form, row.subject->mtp);
  row.bytes = static_cast<std::uint64_t>(costs.dense_bytes() + costs.all_expert_bytes());
  return row;
}

// What the machine makes of it.
void predict(Row& row, const engine::EngineOptions& options, const Machine& machine) {
  if (!row.subject) return;
  const Subject& subject = *row.subject;
  row.needs = engine::min_memory(engine::costs_of(subject.config, subject.form));
  try {
    const Division division(subject, hits_on_text, options, machine.memory);
    row.fits = true;
    row.resident = division.resident;
    row.speed = division.decode_speed(machine, subject.form);
  } catch (const engine::Error&) {
    row.fits = false;
  }
}

std::string show_size(const Row& row) {
  const std::string bytes = show_bytes(static_cast<double>(row.bytes));
  if (row.total == 0) return bytes;
  return fmt::format("{} of {}", bytes, show_bytes(static_cast<double>(row.total)));
}

std::string show_speed(const Row& row) {
  return row.fits ? fmt::format("{:.1f}", row.speed) : "-";
}

// What of it is in memory, or why it cannot be.
std::string show_memory(const Row& row) {
  if (!row.subject) return row.trouble;
  if (!row.fits) return fmt::format("needs {:.0f} GB", static_cast<double>(row.needs) * 1e-9);
  return fmt::format("{:.0f} %", 100 * row.resident);
}

std::string show_rows(const std::vector<Row>& rows) {
  constexpr std::string_view name_title = "NAME";
  constexpr std::string_view size_title = "SIZE";
  constexpr std::string_view family_title = "FAMILY";
  constexpr std::string_view speed_title = "TOKENS/S";
  std::size_t name = name_title.size();
  std::size_t size = size_title.size();
  std::size_t family = family_title.size();
  for (const Row& row : rows) {
    name = std::max(name, row.name.size());
    size = std::max(size, show_size(row).size());
    family = std::max(family, row.family.size());
  }
  const auto line = [&](char mark, std::string_view of_name, std::string_view of_size,
                        std::string_view of_family, std::string_view of_speed,
                        std::string_view rest) {
    return fmt::format("{} {:<{}}  {:>{}}  {:<{}}  {:>{}}  {}\n", mark, of_name, name, of_size,
                       size, of_family, family, of_speed, speed_title.size(), rest);
  };
  std::string text = line(' ', name_title, size_title, family_title, speed_title, "IN MEMORY");
  for (const Row& row : rows) {
    text += wrapped(line(row.is_current ? '*' : ' ', row.name, show_size(row), row.family,
                         show_speed(row), show_memory(row)),
                    terminal_columns(), 4);
  }
  return text;
}

json to_json(const Row& row) {
  json shown{{"name", row.name}, {"bytes", row.bytes}, {"here", row.is_here}};
  if (!row.family.empty()) shown["family"] = row.family;
  if (row.total != 0) shown["bytesTotal"] = row.total;
  if (row.is_current) shown["current"] = true;
  if (!row.subject) {
    shown["trouble"] = row.trouble;
    return shown;
  }
  shown["fits"] = row.fits;
  if (row.fits) shown["decodeTokensPerSecond"] = row.speed;
  if (row.fits && !row.subject->config.is_dense()) shown["residentShare"] = row.resident;
  if (!row.fits) shown["needsBytes"] = row.needs;
  return shown;
}

// The configured model, wherever it is; empty where it cannot be found.
fs::path current_model(const Config& config) {
  try {
    return find_model(config, {});
  } catch (const Error&) {
    return {};
  }
}

std::string show_models(const std::vector<Row>& here, const std::vector<Row>& known,
                        const hub::Library& library, const fs::path& current) {
  std::string text;
  if (here.empty()) {
    text += "No model is in " + library.directory().string() + " yet.\n";
  } else {
    text += "In " + library.directory().string() + ":\n" + show_rows(here);
  }
  if (std::ranges::none_of(here, &Row::is_current) && !current.empty())
    text += "* " + current.string() + " is the one that is configured.\n";
  if (!known.empty())
    text += "\nKnown to run; `hearth pull NAME` downloads one:\n" + show_rows(known);
  return text +
         "\nTOKENS/S are predicted for this machine and the memory that is free now, or as\n"
         "described; IN MEMORY is the share of the experts (`hearth plan` says more).\n";
}

int list_models(const ModelsFlags& flags) {
  const Paths paths = find_paths();
  const Config config = read_config(paths.config);
  const hub::Library library(paths.models);
  const fs::path current = current_model(config);
  std::vector<Row> here;
  std::vector<Row> known;
  for (const hub::NamedModel& model : library.models())
    here.push_back(row_of(model, config, current));
  for (const hub::KnownModel& model : hub::known_models()) {
    if (std::ranges::find(here, model.name(), &Row::name) == here.end())
      known.push_back(row_of(model));
  }

  std::vector<Subject> subjects;
  for (const auto* rows : {&here, &known}) {
    for (const Row& row : *rows) {
      if (row.subject) subjects.push_back(*row.subject);
    }
  }
  const engine::EngineOptions options =
      engine_options(config, current.empty() ? embedded_model() : current, {});
  const Machine machine = described_machine(
      flags.machine,
      flags.machine.whole() ? Machine() : remembered_here(options, subjects, flags.measure));
  for (auto* rows : {&here, &known}) {
    for (Row& row : *rows) predict(row, options, machine);
  }
  if (flags.json) {
    json all = json::array();
    for (const auto* rows : {&here, &known}) {
      for (const Row& row : *rows) all.push_back(to_json(row));
    }
    print(json{{"directory", library.directory().string()}, {"models", std::move(all)}}.dump(2) +
          "\n");
    return 0;
  }
  print(show_models(here, known, library, current));
  return 0;
}

int remove_model(const std::string& name) {
  const Paths paths = find_paths();
  const hub::Library library(paths.models);
  const fs::path model = library.place(name);
  std::error_code none;
  if (fs::equivalent(model, current_model(read_config(paths.config)), none))
    throw Error(name + " is the model that is configured: `hearth use` another one first");
  if (const auto control = find_daemon(paths, ConnectionKind::control, command_timeout);
      control && fs::equivalent(model, control->welcome.model, none))
    throw Error(name +
                " is the model that the daemon runs: `hearth restart` takes the one that is "
                "configured");
  const std::uint64_t bytes = library.remove(name);
  print(name + " is removed: " + show_bytes(static_cast<double>(bytes)) + "\n");
  return 0;
}

}  // namespace

void add_models(CLI::App& app, Command& chosen) {
  auto* command = app.add_subcommand(
      "models", "Lists the models that are here and those that are known to run, with their speed");
  auto flags = std::make_shared<ModelsFlags>();
  command->add_flag("--json", flags->json, "As JSON");
  command->add_flag("--measure", flags->measure,
                    "Measure this machine again (what was measured is remembered)");
  add_machine_options(*command, flags->machine);
  command->callback([&chosen, flags] { chosen = [flags] { return list_models(*flags); }; });
  command->footer(
      "* is the one that is configured. The first call measures this machine, which\n"
      "takes about twenty seconds.\n"
      "\n"
      "Examples:\n"
      "  hearth models");
}

void add_rm(CLI::App& app, Command& chosen) {
  auto* command = app.add_subcommand("rm", "Removes a model that was downloaded, or begun");
  auto name = std::make_shared<std::string>();
  command->add_option("name", *name, "As `hearth models` lists it")->required()->type_name("NAME");
  command->callback([&chosen, name] { chosen = [name] { return remove_model(*name); }; });
}

}  // namespace hearth::daemon
