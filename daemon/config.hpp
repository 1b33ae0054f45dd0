// The user's configuration: config.toml, every key of it documented and checked.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/options.hpp"
#include "lsp/support/host.hpp"
#include "lsp/support/model.hpp"

namespace hearth::daemon {

// Where the draft tokens of speculative decoding come from.
enum class Speculation : std::uint8_t {
  automatic,  // copies, and the MTP head where all experts fit in memory
  copy,       // what stood in the prompt or the answer before
  mtp,        // that, and always the MTP head
  off,
};

struct Config {
  // [model]
  std::string model_path;          // a name, or absolute or ~/…; empty: HEARTH_MODEL, else ember
  std::int64_t model_threads = 0;  // 0: one per core
  std::optional<kernels::Isa> model_isa;  // empty: the best of this machine
  engine::KvType model_kv = engine::KvType::f32;
  std::int64_t model_context = 0;  // 0: the model's own
  // [memory]
  std::optional<std::uint64_t> memory_experts;  // empty: worked out from what is free
  std::uint64_t memory_scratch = std::uint64_t{512} << 20;
  std::optional<std::uint64_t> memory_vram = 0;  // empty: what is free there; 0: no GPU is used
  std::chrono::milliseconds memory_vram_idle{600'000};  // 0: never given back
  // [prefix_cache]
  std::optional<std::uint64_t> prefix_cache_ram;  // empty: worked out from what is free; 0: none
  std::uint64_t prefix_cache_disk = std::uint64_t{10} << 30;  // 0: none on disk
  std::int64_t prefix_cache_interval = 512;                   // tokens
  // A little under 20 GB.
  std::uint64_t prefix_cache_daily_write_limit = std::uint64_t{18} << 30;
  std::chrono::milliseconds prefix_cache_min_recompute_time{3'000};
  // [experts]
  std::optional<engine::ReaderKind> experts_reader;  // empty: the best that works
  engine::PolicyKind experts_policy = engine::PolicyKind::lrfu;
  bool experts_prefetch = true;
  // [decode]
  Speculation decode_speculate = Speculation::automatic;
  // [inline]
  bool inline_drafts = false;
  std::string inline_model;  // likewise; empty: completions come from the one model
  std::chrono::milliseconds inline_hold{10'000};
  std::chrono::milliseconds inline_debounce{75};
  std::int64_t inline_max_tokens = 64;
  std::chrono::milliseconds inline_max_read{1'000};
  bool inline_automatic = true;
  // [answer]
  std::int64_t answer_max_tokens = 512;
  std::chrono::milliseconds answer_keep{7 * 24 * 3'600'000};  // 0: for ever
  // [jobs]
  std::chrono::milliseconds jobs_keep{14 * 24 * 3'600'000};  // 0: for ever
  // [actions], [off]: lsp::Settings
  std::vector<std::string> actions_disabled;
  std::vector<std::string> off_languages;
  std::vector<std::string> off_paths;
  // [thinking]
  lsp::ThinkingMode thinking_mode = lsp::ThinkingMode::automatic;
  engine::Effort thinking_effort = engine::Effort::medium;
  bool thinking_keep = true;  // thinking.history
  std::int64_t thinking_budget = 2048;
  // [serve]
  bool serve_open = false;  // whenever a daemon starts
  std::string serve_listen = "127.0.0.1";
  std::int64_t serve_port = 4327;
  bool serve_plain = false;
  std::vector<std::string> serve_origins;
  std::vector<std::string> serve_aliases;
  lsp::Priority serve_priority = lsp::Priority::background;
  // [daemon]
  std::chrono::milliseconds idle_exit{12 * 3'600'000};  // 0: never
  // [log]
  lsp::LogLevel log_level = lsp::LogLevel::info;
};

// Defaults where the file is missing. Throws Error naming file, line and key.
Config read_config(const std::filesystem::path& file);
Config parse_config(std::string_view toml, const std::string& name_for_errors);

// The keys that differ, "model.path", in the file's order; and whether a running daemon can do as
// such a key says, or its model has to be loaded for that.
std::vector<std::string> changed_keys(const Config& before, const Config& after);
bool applies_at_once(std::string_view key);
// `running` with those keys of `read` that apply at once.
Config applied(const Config& running, const Config& read);

// A config.toml that says what every key means and holds the given values.
std::string describe_config(const Config& config);

// The directory of the checkpoint to run: `override` (a command line's, by name or directory), else
// the configured one, else HEARTH_MODEL, else the embedded checkpoint. Throws Error when it is not
// there, with who said it (`said_by`, of `override`), and what to do.
std::filesystem::path find_model(const Config& config, const std::string& override,
                                 const std::string& said_by = "--model");
// The same of inline.model, which is set.
std::filesystem::path find_inline_model(const Config& config);

}  // namespace hearth::daemon
