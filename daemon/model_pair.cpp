// ModelPair: one memory for two engines.
#include "daemon/model_pair.hpp"

#include <algorithm>
#include <system_error>

#include "daemon/engine_options.hpp"
#include "daemon/platform/error.hpp"
#include "daemon/platform/format.hpp"
#include "lsp/support/failure.hpp"

namespace hearth::daemon {
namespace {

// Tokens of a completion's prompt and its text, at most; more only costs memory.
constexpr std::int64_t small_context = 8'192;
// States of some completions under way, and room to read a prompt of theirs.
constexpr std::uint64_t small_prefixes = std::uint64_t{256} << 20;
constexpr std::uint64_t small_scratch = std::uint64_t{128} << 20;

// Throws engine::Error.
struct SizedModel {
  engine::EngineOptions options;
  engine::CheckpointShape shape = engine::read_shape(options);
  // The MTP head is only loaded where there is room for it.
  engine::Costs costs = engine::costs_of(shape.config, shape.form);

  engine::MemoryPlan plan(const engine::MemoryView& memory) const {
    return engine::plan_memory(costs, options, shape.config, shape.context, memory,
                               "the checkpoint in " + options.model.string());
  }
};

std::string in_words(std::uint64_t bytes) {
  return show_bytes(static_cast<double>(bytes));
}

// Experts' slots are a little larger than experts.
std::uint64_t with_borders(std::uint64_t bytes) {
  return bytes + bytes / 64;
}

std::uint64_t all_experts(const engine::Costs& costs) {
  return with_borders(static_cast<std::uint64_t>(costs.all_expert_bytes()));
}

// Throws Error, and engine::Error.
void add_small(ModelPair& pair, const Config& config, const std::filesystem::path& state,
               const engine::MemoryView& memory) {
  SizedModel small{small_options(config, find_inline_model(config), state)};
  if (small.shape.mtp && small.options.mtp != engine::MtpUse::off)
    small.costs = engine::costs_of(small.shape.config, small.shape.form, true);
  const std::uint64_t bytes =
      small_memory(small.costs, small.options, small.shape.config, memory, config.inline_drafts);
  const engine::MemoryView rest = less(memory, bytes);

  std::optional<SizedModel> large;
  try {
    if (!pair.large.model.empty()) large.emplace(SizedModel{pair.large});
  } catch (const std::exception&) {
    // Its loading will say it.
  }
  const std::uint64_t min = large ? with_borders(engine::min_memory(large->costs)) : 0;
  if (memory.available > 0 && bytes + min > memory.available) {
    const std::string beside =
        large ? ", and " + pair.large.model.string() + " needs " + in_words(min) + " at least" : "";
    throw Error("it would take " + in_words(bytes) + " of the " + in_words(memory.available) +
                " that are free" + beside +
                ": choose a smaller one, or close what else takes memory");
  }
  if (large) pair.expert_bytes = large->plan(memory).experts - large->plan(rest).experts;
  pair.small = small.options;
  pair.small->host().expert_memory = all_experts(small.costs);
  pair.small->memory = memory;
  pair.small_bytes = bytes;
  pair.large.memory = rest;
}

}  // namespace

engine::EngineOptions as_small(engine::EngineOptions options, std::int64_t context) {
  options.context = std::min(small_context, context);
  options.host().expert_memory = 0;
  options.devices.resize(1);  // a GPU's memory is the large one's
  options.prefix_ram_bytes =
      std::min(options.prefix_ram_bytes.value_or(small_prefixes), small_prefixes);
  options.prefix_directory.clear();
  options.scratch = std::min(options.scratch, small_scratch);
  options.experts.yield_memory = false;
  return options;
}

std::uint64_t small_memory(const engine::Costs& costs, const engine::EngineOptions& options,
                           const engine::ModelConfig& config, const engine::MemoryView& memory,
                           bool drafts) {
  engine::MemoryPlan plan = engine::plan_memory(costs, options, config, options.context, memory,
                                                "the checkpoint in " + options.model.string());
  plan.experts = all_experts(costs);
  const std::uint64_t sequence = plan.kv + plan.states;  // another one, of the answer it follows
  return engine::total(plan) + (drafts ? sequence : 0);
}

engine::MemoryView less(engine::MemoryView memory, std::uint64_t bytes) {
  // 0 would be a memory of which nothing is known.
  if (memory.available > 0) memory.available -= std::min(memory.available - 1, bytes);
  return memory;
}

engine::EngineOptions small_options(const Config& config, const std::filesystem::path& directory,
                                    const std::filesystem::path& state) {
  engine::EngineOptions options = engine_options(config, directory, {});
  options.context = 0;  // the configured one is the large model's
  options = as_small(options, engine::read_shape(options).context);
  if (!state.empty()) options.experts.history = state / "inline";
  std::error_code ignored;
  if (!std::filesystem::exists(directory / "tokenizer.json", ignored))
    throw Error(directory.string() + " has no tokenizer.json, and cannot complete text");
  return options;
}

ModelPair model_pair(const Config& config, const std::filesystem::path& large,
                     const std::filesystem::path& state, const engine::MemoryView& memory) {
  ModelPair pair;
  if (!large.empty()) pair.large = engine_options(config, large, state);
  if (config.inline_model.empty()) return pair;
  try {
    add_small(pair, config, state, memory);
  } catch (const std::exception& failed) {
    pair.refusal = "inline.model is not loaded: " + lsp::failure_text(failed) +
                   "; completions come from the other model";
  }
  return pair;
}

}  // namespace hearth::daemon
