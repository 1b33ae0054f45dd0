// The tables of `hearth plan --cards` and `--sweep`, for all of the checkpoints asked about.
#pragma once

#include <string>
#include <vector>

#include "daemon/commands/gpu_prediction.hpp"

namespace hearth::daemon {

struct GpuTables {
  std::vector<Subject> subjects;
  HitRate hit_rate;
  std::string origin_of_hits;  // in words
  engine::EngineOptions options;
  DescribedMachine described;
  DescribedGpu gpu;
  bool cards = false;  // else the sweep over contexts, disks and hit rates
  bool json = false;
};
// Measures nothing: what is not described is a desktop with DDR4-3200 and a usual disk. Exit code.
int print_gpu_tables(GpuTables tables);

}  // namespace hearth::daemon
