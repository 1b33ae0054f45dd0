// The options of the daemon's one or two engines: the large one, and beside it the small one of
// inline.model, which gets its memory first.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "daemon/config.hpp"
#include "engine/engine.hpp"
#include "engine/measure/measurements.hpp"

namespace hearth::daemon {

struct ModelPair {
  engine::EngineOptions large;
  std::optional<engine::EngineOptions> small = {};  // empty: none is configured, or it is refused
  std::string refusal = {};                         // why it is, in a sentence; else empty
  std::uint64_t small_bytes = 0;                    // all that the small one takes
  std::uint64_t expert_bytes = 0;                   // fewer for the large one's experts beside it
};

// Reads shapes, not weights. `state` as engine_options() has it; `memory`: what both may take
// together. Small is the whole checkpoint in memory, beside which the least remains that the large
// one runs with; else it is refused. What is wrong with the large one is left for its loading. It
// may be none (empty): then `large` of the pair says nothing.
ModelPair model_pair(const Config& config, const std::filesystem::path& large,
                     const std::filesystem::path& state, const engine::MemoryView& memory);

// Any engine's options as those of a small one, of a checkpoint that would offer `context` tokens:
// it keeps little of prompts, nothing of it on the disk, and is never short of an expert.
engine::EngineOptions as_small(engine::EngineOptions options, std::int64_t context);
// All that a model takes as a small one with such options, and that drafts for the large one if
// `drafts`. Throws engine::Error where that is more
// than there is.
std::uint64_t small_memory(const engine::Costs& costs, const engine::EngineOptions& options,
                           const engine::ModelConfig& config, const engine::MemoryView& memory,
                           bool drafts = false);
// What is left of it.
engine::MemoryView less(engine::MemoryView memory, std::uint64_t bytes);

// What the engine of inline.model in `directory` is loaded with. Throws a std::exception where the
// checkpoint cannot be read, or has no tokenizer.
engine::EngineOptions small_options(const Config& config, const std::filesystem::path& directory,
                                    const std::filesystem::path& state);

}  // namespace hearth::daemon
