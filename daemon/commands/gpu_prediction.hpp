// What a GPU would make of a checkpoint: as hearth uses one, and with prompts on its tensor
// cores, which is not built yet. For `hearth plan --vram`, its table of hit rates and its table of
// cards.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "daemon/commands/prediction.hpp"

namespace hearth::daemon {

inline constexpr double predicted_prompt = 2048;  // tokens

// What the command line says of a GPU.
struct DescribedGpu {
  std::optional<std::uint64_t> vram;  // bytes, all of the card's; empty: there is no GPU
  std::string pcie = "4x16";
  double bandwidth = 448e9;
  double tensor = 40e12;

  engine::GpuSpeed speed() const;
};
void add_gpu_options(CLI::App& command, DescribedGpu& described);

// A checkpoint beside whose host a GPU is used in one of the two ways.
struct GpuPrediction {
  engine::GpuUse use{};
  engine::GpuMemory memory;
  engine::TierShares resident;
  engine::TierHits hits;
  engine::TokenTime token;   // behind no other
  engine::TokenTime prompt;  // of predicted_prompt tokens
};
struct Gpu {
  std::uint64_t vram = 0;
  engine::GpuSpeed speed;
};
GpuPrediction predict_gpu(const Subject& subject, const Division& division, const HitRate& hit_rate,
                          const engine::EngineOptions& options, const Machine& machine,
                          const Gpu& gpu, engine::GpuUse use);

// Both ways as lines below the subject's name.
std::string gpu_lines(const Subject& subject, const Division& division, const HitRate& hit_rate,
                      const engine::EngineOptions& options, const Machine& machine, const Gpu& gpu);

// A row of the table of hit rates: a token behind `context` others, if so many experts were found.
struct SweepRow {
  engine::GpuUse use{};
  std::int64_t context = 0;
  double disk = 0;  // bytes a second
  double hits = 0;
  engine::TokenTime token;
};
// For contexts of 8,192 and 32,768 tokens, disks of 3.5 and 7 GB/s, and 85, 90 and 95 %.
std::vector<SweepRow> sweep(Subject subject, const HitRate& hit_rate,
                            const engine::EngineOptions& options, const Machine& machine,
                            const Gpu& gpu);
std::string show(const std::vector<SweepRow>& rows);
nlohmann::json to_json(const std::vector<SweepRow>& rows);

}  // namespace hearth::daemon
