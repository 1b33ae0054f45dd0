// Reading the file by the table of keys, and what became of it; finding the models it names.
#include "daemon/config.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>
#include <system_error>
#include <vector>

#include "daemon/config_keys.hpp"
#include "daemon/hub/library.hpp"
#include "daemon/platform/error.hpp"
#include "daemon/platform/files.hpp"
#include "daemon/platform/installation.hpp"
#include "daemon/platform/paths.hpp"
#include "toml++/toml.h"

namespace hearth::daemon {
namespace {

// Keys that had another name in 0.1.
struct RenamedKey {
  std::string_view before;
  std::string_view now;
};
constexpr RenamedKey renamed_keys[] = {
    {"memory.prefixes", "prefix_cache.ram"},
    {"prefixes.disk", "prefix_cache.disk"},
    {"prefixes.distance", "prefix_cache.interval"},
    {"prefixes.daily", "prefix_cache.daily_write_limit"},
    {"prefixes.least", "prefix_cache.min_recompute_time"},
    {"prefixes", "prefix_cache"},
};

// Why a key is refused that is none of keys().
std::string unknown_key(const std::string& name) {
  for (const RenamedKey& key : renamed_keys) {
    if (key.before == name) return name + " is now called " + std::string(key.now);
  }
  return "unknown key " + name + " (`hearth daemon --print-config` lists the known ones)";
}

Error at(const std::string& file, const toml::source_region& source, const std::string& what) {
  return Error(file + ":" + std::to_string(source.begin.line) + ": " + what);
}

// What stands for model.path where it is all that is said of the model.
constexpr std::string_view shorthand_section = "model";
constexpr std::string_view shorthand_key = "path";

void read_key(Config& config, const std::string& file, const std::string& section,
              std::string_view name, const toml::source_region& named_at, const toml::node& node) {
  const std::string full = section + "." + std::string(name);
  const Key* key = nullptr;
  for (const auto& each : keys()) {
    if (each.full() == full) key = &each;
  }
  if (key == nullptr) throw at(file, named_at, unknown_key(full));
  try {
    key->read(config, node);
  } catch (const RefusedValue& refused) {
    throw at(file, node.source(), full + " " + refused.reason);
  }
}

void read_section(Config& config, const std::string& file, const std::string& section,
                  const toml::table& table) {
  for (const auto& [name, node] : table)
    read_key(config, file, section, name.str(), name.source(), node);
}

constexpr std::size_t largest_file = 1 << 20;

}  // namespace

Config parse_config(std::string_view toml, const std::string& name_for_errors) {
  toml::table root;
  try {
    root = toml::parse(toml, std::string_view(name_for_errors));
  } catch (const toml::parse_error& error) {
    throw at(name_for_errors, error.source(), std::string(error.description()));
  }
  Config config;
  for (const auto& [name, node] : root) {
    const std::string section(name.str());
    bool known = false;
    for (const auto& key : keys()) known = known || key.section == section;
    if (!known) {
      // The key that the section has, if any, says more than the section.
      if (const auto* table = node.as_table(); table != nullptr && section == "prefixes") {
        read_section(config, name_for_errors, section, *table);
      }
      throw at(name_for_errors, name.source(), unknown_key(section));
    }
    if (section == shorthand_section && node.is_string()) {  // model = "NAME"
      read_key(config, name_for_errors, section, shorthand_key, node.source(), node);
      continue;
    }
    if (!node.is_table()) {
      throw at(name_for_errors, node.source(),
               std::string(section).append(" must be a table: [").append(section).append("]"));
    }
    read_section(config, name_for_errors, section, *node.as_table());
  }
  return config;
}

Config read_config(const std::filesystem::path& file) {
  std::error_code failed;
  if (!std::filesystem::exists(file, failed) && !failed) return Config{};
  return parse_config(read_file(file, largest_file), file.string());
}

std::vector<std::string> changed_keys(const Config& before, const Config& after) {
  std::vector<std::string> changed;
  for (const Key& key : keys()) {
    if (key.show(before) != key.show(after)) changed.push_back(key.full());
  }
  return changed;
}

bool applies_at_once(std::string_view key) {
  // What the engine is made of.
  constexpr std::array loaded{
      "model.",          "memory.",          "prefix_cache.",   "experts.",      "decode.",
      "thinking.effort", "thinking.history", "inline.model",    "inline.drafts", "inline.url",
      "inline.name",     "inline.key_file",  "inline.tokenizer"};
  return std::ranges::none_of(loaded,
                              [&](const char* section) { return key.starts_with(section); });
}

Config applied(const Config& running, const Config& read) {
  Config result = running;
  for (const Key& key : keys()) {
    if (applies_at_once(key.full())) key.copy(read, result);
  }
  return result;
}

std::string describe_config(const Config& config) {
  std::string text;
  std::string section;
  for (const auto& key : keys()) {
    if (key.section != section) {
      section = key.section;
      text += (text.empty() ? "[" : "\n[") + section + "]\n";
    }
    std::string comment = std::string("# ") + key.meaning;
    for (std::size_t i = comment.find('\n'); i != std::string::npos;
         i = comment.find('\n', i + 1)) {
      comment.insert(i + 1, "# ");
    }
    text.append(comment).append("\n").append(key.name);
    text.append(" = ").append(key.show(config)).append("\n");
  }
  return text;
}

namespace {

// `chosen` may begin with ~/, or be a model's name. Throws Error where it is not there; `said_by`
// names who said it.
std::filesystem::path checkpoint_directory(std::string chosen, const std::string& said_by) {
  chosen = at_home(chosen).string();
  std::error_code failed;
  const bool is_name = hub::is_model_name(chosen);
  if (is_name) {
    if (const auto named = hub::Library(find_paths().models).find(chosen))
      return std::filesystem::canonical(*named);
  }
  if (std::filesystem::is_directory(chosen, failed)) return std::filesystem::canonical(chosen);
  if (is_name)
    throw Error("there is no model " + chosen + " (from " + said_by +
                "): `hearth models` lists those that are here, `hearth pull` downloads others");
  throw Error("there is no model directory " + chosen + " (from " + said_by +
              "): name a directory with config.json, tokenizer.json and *.safetensors");
}

}  // namespace

std::filesystem::path find_model(const Config& config, const std::string& override,
                                 const std::string& said_by) {
  const char* environment = std::getenv("HEARTH_MODEL");
  if (!override.empty()) return checkpoint_directory(override, said_by);
  if (!config.model_path.empty())
    return checkpoint_directory(config.model_path, "model.path of the configuration");
  if (environment != nullptr && *environment != '\0')
    return checkpoint_directory(environment, "HEARTH_MODEL");
  return embedded_model();
}

std::filesystem::path find_inline_model(const Config& config) {
  return checkpoint_directory(config.inline_model, "inline.model of the configuration");
}

std::filesystem::path find_tokenizer(const RemoteConfig& config, const std::string& section) {
  return checkpoint_directory(config.tokenizer, section + ".tokenizer of the configuration");
}

std::filesystem::path find_daemon_model(const Config& config, const std::string& override) {
  const bool remote_only =
      override.empty() && !config.model_remote.url.empty() && config.model_path.empty();
  return remote_only ? std::filesystem::path() : find_model(config, override);
}

}  // namespace hearth::daemon
