// What an engine is loaded with, and what follows from it before anything is loaded. Plain values:
// whoever has them may read them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/checkpoint/model_config.hpp"
#include "engine/experts/policy.hpp"
#include "engine/experts/reader.hpp"
#include "engine/forward/state.hpp"
#include "engine/support/memory.hpp"
#include "engine/tokenizer/profile.hpp"
#include "kernels/ops.hpp"

namespace hearth::engine {

// Whether the likeliest tokens are found by an 8-bit copy of lm_head, which reads half as much:
// where lm_head is large and there is room for the copy, or as said.
enum class ShortlistUse : std::uint8_t { automatic, always, off };

// Whether the MTP head is loaded where the checkpoint has one. It pays where all experts, its own
// among them, fit in memory: drafts that must wait for the disk cost about what they bring, and
// the head follows every token, drafted from or not.
enum class MtpUse : std::uint8_t { off, where_it_pays, always };

// How the experts are kept (see cache.hpp and maintenance.hpp).
struct ExpertOptions {
  std::optional<ReaderKind> reader;  // empty: the best that works
  PolicyKind policy = PolicyKind::lrfu;
  // Whether decoding may read experts before they are certain to be needed, as long as most of them
  // are used.
  bool prefetch = true;
  bool yield_memory = false;  // give some back while the system is short of it
  // Told of each look at the memory for that, from a thread of the engine's. May be empty.
  std::function<void(const MemoryLook&)> looked = {};
  // Directory that keeps recent routing for a warm start, a file for each checkpoint; empty: none.
  std::filesystem::path history;
  std::filesystem::path trace;  // file to record every routing in; empty: none
};

// A device and what it is given. The host computes; a device beside it keeps layers and experts in
// its memory and computes those. A layer is all of it but its routed experts, and the part of every
// session's state that is its own.
struct DeviceOptions {
  kernels::Device device{};  // the host
  // Bytes for experts; the host's 0: worked out from what is free. Of another at least two must
  // fit.
  std::uint64_t expert_memory = 0;
  // The host's:
  int threads = 0;                    // 0: one per core
  std::optional<kernels::Isa> isa{};  // empty: the best this host has
  // Another's:
  // Bytes in all. As many layers as fit, for every token reads all of a layer and few of its
  // experts; then experts with what they leave. 0: what the two others say; where they say nothing,
  // what is free there, less what others may want, and such a device may be missing. Where there is
  // less room it is used for less.
  std::uint64_t memory = 0;
  // How many layers, the next ones of the model; with `memory` at most. Empty: what fits, or none.
  std::optional<int> layers{};
  // Opens it; empty: kernels::open_cuda. Its products must follow the host's numerics.
  std::function<std::unique_ptr<kernels::Backend>()> open{};
};

struct EngineOptions {
  std::filesystem::path model;                          // a checkpoint's directory
  std::vector<DeviceOptions> devices{DeviceOptions{}};  // the host first, each once
  DeviceOptions& host() { return devices.front(); }
  const DeviceOptions& host() const { return devices.front(); }
  KvType kv = KvType::f32;
  ThoughtOptions thoughts;
  std::int64_t context = 0;  // positions a session can hold; 0: the profile's
  // Rows of a prefill chunk, rounded up to a multiple of 64; 0: as many as `scratch` bytes hold.
  std::int64_t chunk = 0;
  std::uint64_t scratch = std::uint64_t{512} << 20;
  ExpertOptions experts;
  // The memory that is divided; empty: what is free when it is loaded. Of two engines in a process
  // each is given its share.
  std::optional<MemoryView> memory = {};
  std::function<void(const std::string&)> note;  // for the log, from any thread
  MtpUse mtp = MtpUse::off;
  ShortlistUse shortlist = ShortlistUse::automatic;
  // Draft tokens that a pass verifies at most; each costs a state (about 74 MiB at 80B). 0: none.
  std::size_t drafts = 8;

  // Prefix checkpoints, which all sessions share: at 80B about 74 MiB each, and 48 KiB a token.
  std::optional<std::uint64_t>
      prefix_ram_bytes;                    // empty: a share of what is free; 0: none are kept
  std::int64_t checkpoint_distance = 512;  // tokens; rounded up to a multiple of 64
  std::filesystem::path prefix_directory;  // empty: none on disk
  std::uint64_t prefix_disk_bytes = std::uint64_t{10} << 30;
  std::uint64_t prefix_daily_bytes = std::uint64_t{18} << 30;  // most written in a day (UTC)
  double disk_min_seconds = 3;  // what is computed again faster than this is not written
  // While an answer is written its state goes to disk, so that a process that is killed computes
  // little of it again: at most every so many seconds of decoding (0: never), and at most so many
  // bytes for each of them.
  double answer_checkpoint_seconds = 0.5;
  std::uint64_t answer_checkpoint_bytes = 5'000'000;
};

// Tokens of a prompt and its answer: what the options say, else the checkpoint's profile, else all
// that the model can see. Throws Error where that is more than the model can see.
std::int64_t context_tokens(const EngineOptions& options, const ModelConfig& config,
                            const Profile& profile);
// Rows of a prefill chunk with these options.
std::int64_t chunk_rows(const EngineOptions& options, const ModelConfig& config,
                        std::int64_t context);
// Bytes of the int8 shortlist of lm_head; 0: it does not pay or takes too much of what is free.
std::uint64_t shortlist_bytes(const EngineOptions& options, const ModelConfig& config,
                              const MemoryPlan& plan, const MemoryView& view);

}  // namespace hearth::engine
