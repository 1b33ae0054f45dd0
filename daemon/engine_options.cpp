// The configuration as the engine takes it.
#include "daemon/engine_options.hpp"

#include <chrono>

namespace hearth::daemon {
namespace {

engine::MtpUse mtp_use(Speculation speculate) {
  switch (speculate) {
    case Speculation::automatic:
      return engine::MtpUse::where_it_pays;
    case Speculation::mtp:
      return engine::MtpUse::always;
    case Speculation::copy:
    case Speculation::off:
      break;
  }
  return engine::MtpUse::off;
}

}  // namespace

engine::EngineOptions engine_options(const Config& config, const std::filesystem::path& model,
                                     const std::filesystem::path& state) {
  engine::EngineOptions options;
  options.model = model;
  options.host().threads = static_cast<int>(config.model_threads);
  options.host().isa = config.model_isa;
  options.kv = config.model_kv;
  options.thoughts = {config.thinking_effort, config.thinking_keep};
  options.context = config.model_context;
  options.mtp = mtp_use(config.decode_speculate);
  if (config.decode_speculate == Speculation::off) options.drafts = 0;
  options.scratch = config.memory_scratch;
  options.host().expert_memory = config.memory_experts.value_or(0);
  if (config.memory_vram != 0)
    options.devices.push_back(
        {.device = {kernels::Device::Kind::cuda, 0}, .memory = config.memory_vram.value_or(0)});
  options.experts.reader = config.experts_reader;
  options.experts.policy = config.experts_policy;
  options.experts.prefetch = config.experts_prefetch;
  options.experts.history = state;
  options.experts.yield_memory = true;
  options.prefix_ram_bytes = config.prefix_cache_ram;
  options.checkpoint_distance = config.prefix_cache_interval;
  if (!state.empty() && config.prefix_cache_disk > 0) options.prefix_directory = state / "prefixes";
  options.prefix_disk_bytes = config.prefix_cache_disk;
  options.prefix_daily_bytes = config.prefix_cache_daily_write_limit;
  constexpr std::uint64_t hour = 3600;  // seconds; of computing, which a day's bytes would be for
  options.answer_checkpoint_bytes = config.prefix_cache_daily_write_limit / hour;
  options.disk_min_seconds =
      std::chrono::duration<double>(config.prefix_cache_min_recompute_time).count();
  return options;
}

}  // namespace hearth::daemon
