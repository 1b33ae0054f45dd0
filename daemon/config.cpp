// One table of keys: reading, checking and documentation all come from it.
#include "daemon/config.hpp"

#include <cstdlib>
#include <functional>
#include <optional>
#include <vector>

#include "daemon/byte_count.hpp"
#include "daemon/error.hpp"
#include "daemon/files.hpp"
#include "daemon/version.hpp"
#include "toml++/toml.h"

namespace hearth::daemon {
namespace {

// What a key's value is refused with; the caller adds file, line and key.
struct Refused {
  std::string reason;
};

struct Key {
  const char* section;
  const char* name;
  const char* meaning;
  std::function<void(Config&, const toml::node&)> read;  // throws Refused
  std::function<std::string(const Config&)> show;        // as TOML

  std::string full() const { return std::string(section) + "." + name; }
};

std::string quoted(const std::string& text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    result += c;
  }
  return result + "\"";
}

// The daemon has a working directory of its own, so a relative path would mean nothing.
bool is_path(std::string_view text) {
  return text.empty() || text.starts_with('/') || text.starts_with("~/");
}

Key path(const char* section, const char* name, const char* meaning, std::string Config::*field) {
  return {section, name, meaning,
          [field](Config& config, const toml::node& node) {
            const auto* value = node.as_string();
            if (value == nullptr || !is_path(value->get())) {
              throw Refused{"must be a path that begins with / or ~/"};
            }
            config.*field = value->get();
          },
          [field](const Config& config) { return quoted(config.*field); }};
}

Key choice(const char* section, const char* name, const char* meaning, std::string Config::*field,
           const std::vector<std::string>& choices) {
  return {section, name, meaning,
          [field, choices](Config& config, const toml::node& node) {
            const auto* value = node.as_string();
            std::string allowed;
            for (const auto& each : choices) {
              if (value != nullptr && value->get() == each) {
                config.*field = each;
                return;
              }
              allowed += (allowed.empty() ? "" : ", ") + quoted(each);
            }
            throw Refused{"must be one of " + allowed};
          },
          [field](const Config& config) { return quoted(config.*field); }};
}

Key number(const char* section, const char* name, const char* meaning, std::int64_t Config::*field,
           std::int64_t least, std::int64_t most) {
  return {section, name, meaning,
          [=](Config& config, const toml::node& node) {
            const auto* value = node.as_integer();
            if (value == nullptr || value->get() < least || value->get() > most) {
              throw Refused{"must be a whole number from " + std::to_string(least) + " to " +
                            std::to_string(most)};
            }
            config.*field = value->get();
          },
          [field](const Config& config) { return std::to_string(config.*field); }};
}

struct Unit {
  const char* suffix;
  std::int64_t milliseconds;
};
constexpr Unit units[] = {{"ms", 1}, {"s", 1'000}, {"m", 60'000}, {"h", 3'600'000}};
constexpr std::size_t most_digits = 7;  // a thousand years of hours: no overflow

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
  const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  if (digits == 0 || digits > most_digits) return std::nullopt;
  const std::int64_t count = std::stoll(std::string(text.substr(0, digits)));
  for (const auto& unit : units) {
    if (text.substr(digits) == unit.suffix) {
      return std::chrono::milliseconds(count * unit.milliseconds);
    }
  }
  return std::nullopt;
}

std::string show_duration(std::chrono::milliseconds duration) {
  Unit best = units[1];
  for (const auto& unit : units) {
    if (duration.count() != 0 && duration.count() % unit.milliseconds == 0) best = unit;
  }
  return std::to_string(duration.count() / best.milliseconds) + best.suffix;
}

Key duration(const char* section, const char* name, const char* meaning,
             std::chrono::milliseconds Config::*field) {
  return {section, name, meaning,
          [field](Config& config, const toml::node& node) {
            const auto* value = node.as_string();
            const auto parsed = value == nullptr ? std::nullopt : parse_duration(value->get());
            if (!parsed)
              throw Refused{"must be a time such as \"500ms\", \"10s\", \"5m\" or \"12h\""};
            config.*field = *parsed;
          },
          [field](const Config& config) { return quoted(show_duration(config.*field)); }};
}

std::uint64_t read_size(const toml::node& node, const char* also) {
  const auto* value = node.as_string();
  const auto parsed = value == nullptr ? std::nullopt : parse_byte_count(value->get());
  if (!parsed) throw Refused{std::string("must be a size such as \"512M\" or \"6G\"") + also};
  return *parsed;
}

Key size(const char* section, const char* name, const char* meaning, std::uint64_t Config::*field) {
  return {section, name, meaning,
          [=](Config& config, const toml::node& node) { config.*field = read_size(node, ""); },
          [=](const Config& config) { return quoted(show_byte_count(config.*field)); }};
}

// Or "auto".
Key size(const char* section, const char* name, const char* meaning,
         std::optional<std::uint64_t> Config::*field) {
  return {section, name, meaning,
          [=](Config& config, const toml::node& node) {
            const auto* value = node.as_string();
            const bool automatic = value != nullptr && value->get() == "auto";
            config.*field =
                automatic ? std::nullopt : std::optional(read_size(node, ", or \"auto\""));
          },
          [=](const Config& config) {
            const auto& bytes = config.*field;
            return quoted(bytes ? show_byte_count(*bytes) : "auto");
          }};
}

Key flag(const char* section, const char* name, const char* meaning, bool Config::*field) {
  return {section, name, meaning,
          [field](Config& config, const toml::node& node) {
            const auto* value = node.as_boolean();
            if (value == nullptr) throw Refused{"must be true or false"};
            config.*field = value->get();
          },
          [field](const Config& config) { return std::string(config.*field ? "true" : "false"); }};
}

const std::vector<Key>& keys() {
  static const std::vector<Key> all = {
      path("model", "path",
           "The checkpoint's directory. Empty: the environment's HEARTH_MODEL, else the small\n"
           "checkpoint that comes with hearth.",
           &Config::model_path),
      number("model", "threads", "Threads that compute. 0: one per core.", &Config::model_threads,
             0, 1024),
      choice("model", "isa", "Instruction set of the kernels; \"auto\": the best of this machine.",
             &Config::model_isa, {"auto", "scalar", "avx2", "avx512", "amx"}),
      choice("model", "kv", "Type of the attention cache: \"f16\" halves its memory, at some loss.",
             &Config::model_kv, {"f32", "f16"}),
      number("model", "context",
             "Tokens that a prompt and its answer may have. 0: the model's own.",
             &Config::model_context, 0, 1 << 20),
      size("memory", "experts",
           "Memory for experts; more means fewer reads from disk. \"auto\": at most 60 % of what "
           "is\n"
           "free at start, and 4 GiB less than that.",
           &Config::memory_experts),
      size("memory", "scratch",
           "Memory in which prompts are read; more means fewer passes over the experts.",
           &Config::memory_scratch),
      size("memory", "prefixes",
           "Memory for the beginnings of prompts, so that they are not computed again: at 80B a\n"
           "checkpoint has about 74 MiB, and a token 48 KiB. \"auto\": an eighth of what is free "
           "at\n"
           "start, from 256M to 4G. \"0\": none are kept.",
           &Config::memory_prefixes),
      number("prefixes", "distance",
             "Tokens between two checkpoints where a prompt names no boundary.",
             &Config::prefixes_distance, 64, 1 << 20),
      size("prefixes", "disk",
           "Room on disk for those that took long to compute; a new daemon finds them again.\n"
           "\"0\": none.",
           &Config::prefixes_disk),
      size("prefixes", "daily", "Most that is written there in a day, to spare the disk.",
           &Config::prefixes_daily),
      duration("prefixes", "least", "What is computed again faster than this is not written there.",
               &Config::prefixes_least),
      choice("experts", "reader", "How experts are read from disk. \"auto\": the best that works.",
             &Config::experts_reader, {"auto", "io_uring", "threads"}),
      choice(
          "experts", "policy",
          "Which expert makes room for another: the least used of late (\"lrfu\"), or the least\n"
          "recently used (\"lru\").",
          &Config::experts_policy, {"lru", "lrfu"}),
      flag("experts", "prefetch",
           "Read experts before they are certain to be needed, as long as most guesses are right.",
           &Config::experts_prefetch),
      choice(
          "decode", "speculate",
          "What guesses tokens that a pass then verifies together; no guess changes an answer, "
          "and\nwhere guesses do not pay they stop. \"auto\": what stood in the prompt or the "
          "answer\nbefore, and the checkpoint's MTP head where all experts fit in memory with its "
          "own.\n\"copy\": without the head. \"mtp\": with it, whatever fits. \"off\": nothing.",
          &Config::decode_speculate, {"auto", "copy", "mtp", "off"}),
      duration("inline", "hold",
               "How long an automatic completion may wait for its text where the editor can wait.",
               &Config::inline_hold),
      number("inline", "max_tokens", "Longest inline completion.", &Config::inline_max_tokens, 1,
             4096),
      number("answer", "max_tokens", "Longest answer of an action.", &Config::answer_max_tokens, 1,
             1 << 17),
      duration("daemon", "idle_exit",
               "The daemon ends after so long without an editor or a job. \"0s\": never.",
               &Config::idle_exit),
      choice("log", "level", "What the log holds; only \"trace\" holds text of documents.",
             &Config::log_level, {"trace", "debug", "info", "warn", "error"}),
  };
  return all;
}

Error at(const std::string& file, const toml::source_region& source, const std::string& what) {
  return Error(file + ":" + std::to_string(source.begin.line) + ": " + what);
}

void read_section(Config& config, const std::string& file, const std::string& section,
                  const toml::table& table) {
  for (const auto& [name, node] : table) {
    const std::string full = section + "." + std::string(name.str());
    const Key* key = nullptr;
    for (const auto& each : keys()) {
      if (each.full() == full) key = &each;
    }
    if (key == nullptr) {
      throw at(file, name.source(),
               "unknown key " + full + " (`hearth daemon --print-config` lists the known ones)");
    }
    try {
      key->read(config, node);
    } catch (const Refused& refused) {
      throw at(file, node.source(), full + " " + refused.reason);
    }
  }
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
      throw at(name_for_errors, name.source(),
               "unknown key " + section + " (`hearth daemon --print-config` lists the known ones)");
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

std::filesystem::path find_model(const Config& config, const std::string& override) {
  const char* environment = std::getenv("HEARTH_MODEL");
  std::string chosen = override;
  std::string said_by = "--model";
  if (chosen.empty()) {
    const char* home = std::getenv("HOME");
    chosen = config.model_path;
    if (chosen.starts_with("~/") && home != nullptr) chosen.replace(0, 1, home);
    said_by = "model.path of the configuration";
  }
  if (chosen.empty() && environment != nullptr) {
    chosen = environment;
    said_by = "HEARTH_MODEL";
  }
  std::error_code failed;
  if (!chosen.empty()) {
    if (std::filesystem::is_directory(chosen, failed)) return std::filesystem::canonical(chosen);
    throw Error("there is no model directory " + chosen + " (from " + said_by +
                "): name a directory with config.json, tokenizer.json and *.safetensors");
  }
  return embedded_model();
}

std::filesystem::path embedded_model() {
  std::error_code failed;
  const std::filesystem::path installed = executable().parent_path() / "../share/hearth/ember";
  const std::filesystem::path in_tree = HEARTH_SOURCE_TREE "/engine/ember";
  for (const auto& place : {installed, in_tree}) {
    if (std::filesystem::is_directory(place, failed)) return std::filesystem::canonical(place);
  }
  throw Error("the embedded checkpoint is neither at " + installed.lexically_normal().string() +
              " nor at " + in_tree.string() + ": name one with --model DIR");
}

}  // namespace hearth::daemon
