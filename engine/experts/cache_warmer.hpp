// Warms the expert cache at start with the experts that were useful before, and records which ones
// are useful now.
#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "engine/experts/cache.hpp"

namespace hearth::engine {

// One thread at a time. The cache must outlive it.
class CacheWarmer {
 public:
  using Clock = std::chrono::steady_clock;

  // Begins the warm start. `history`: the file of recent routing; empty: none is kept, and what is
  // read is all experts where they fit. `fingerprint`: of the checkpoint that it belongs to.
  CacheWarmer(ExpertCache& cache, std::filesystem::path history, std::uint64_t fingerprint,
              std::function<void(const std::string&)> note);

  // Experts have been used: they are to be saved some time after the last save.
  void used() { unsaved_ = !history_.empty(); }
  // When the next save is due; empty: nothing is to be saved.
  std::optional<Clock::time_point> due() const;
  void save();

 private:
  void tell(const std::exception& failed) noexcept;

  ExpertCache& cache_;
  const std::filesystem::path history_;
  const std::uint64_t fingerprint_;
  const std::function<void(const std::string&)> note_;
  std::vector<float> saved_;
  Clock::time_point saved_at_ = Clock::now();
  bool unsaved_ = false;  // experts were used since the last save
};

}  // namespace hearth::engine
