// Looks after the expert cache while it works: reads back at start what was useful before, writes
// down what is useful now, and gives memory back when the system runs short of it.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "engine/expert_cache.hpp"
#include "engine/memory.hpp"

namespace hearth::engine {

struct KeeperOptions {
  std::filesystem::path history;  // file of recent routing; empty: none is kept
  std::uint64_t fingerprint = 0;  // of the checkpoint the history belongs to
  std::uint64_t budget_bytes = 0;
  bool yield_memory = false;                     // give slots back under memory pressure
  std::function<void(const std::string&)> note;  // from the keeper's thread and the caller's
};

// A history: uses by expert key. Read: empty where there is none, it is damaged or it belongs to
// another checkpoint. Written beside, synced and renamed; Error when that fails.
std::vector<float> read_history(const std::filesystem::path& file, std::uint64_t fingerprint,
                                std::size_t experts);
void write_history(const std::filesystem::path& file, std::uint64_t fingerprint,
                   std::span<const float> uses);

// The budget that memory as it is asks for: less when little is left, slowly more when there is
// plenty again.
std::uint64_t budget_under(const MemoryView& view, std::uint64_t now, std::uint64_t full);

// Has a thread of its own. The cache must outlive it.
class ExpertKeeper {
 public:
  ExpertKeeper(ExpertCache& cache, KeeperOptions options);
  ~ExpertKeeper();  // writes the history once more

 private:
  void work();
  void save();
  void fit_memory();

  ExpertCache& cache_;
  KeeperOptions options_;
  std::uint64_t budget_;
  bool shrunk_ = false;  // by the last change
  std::vector<float> saved_;
  std::mutex mutex_;
  std::condition_variable stop_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace hearth::engine
