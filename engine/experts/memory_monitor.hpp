// Fits the expert cache's memory to what the system can spare: less of it when the system runs
// short, more when there is plenty again.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "engine/experts/cache.hpp"
#include "engine/support/memory.hpp"

namespace hearth::engine {

// The budget that memory as it is asks for: less when little is left, slowly more when there is
// plenty again.
std::uint64_t budget_under(const MemoryView& view, std::uint64_t now, std::uint64_t full);

// One thread at a time. The cache must outlive it.
class MemoryMonitor {
 public:
  // `full`: the budget while memory is plenty. `system`: where /proc and the control groups are.
  // `looked` is told of each look, and may be empty, as `note` may.
  MemoryMonitor(ExpertCache& cache, std::uint64_t full, std::filesystem::path system,
                std::function<void(const MemoryLook&)> looked,
                std::function<void(const std::string&)> note);

  // Looks at the memory once, and resizes the cache where that calls for it.
  void look();

 private:
  ExpertCache& cache_;
  const std::uint64_t full_;
  const std::filesystem::path system_;
  const std::function<void(const MemoryLook&)> looked_;
  const std::function<void(const std::string&)> note_;
  std::uint64_t budget_;
  bool shrunk_ = false;  // by the last change
};

}  // namespace hearth::engine
