// Warms the expert cache at start with the experts that were useful before, records which ones are
// useful now, and releases memory when the system runs short of it.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "engine/experts/cache.hpp"
#include "engine/support/memory.hpp"
#include "engine/support/pressure.hpp"

namespace hearth::engine {

struct CacheWarmerOptions {
  std::filesystem::path history;  // file of recent routing; empty: none is kept
  std::uint64_t fingerprint = 0;  // of the checkpoint the history belongs to
  std::uint64_t budget_bytes = 0;
  bool yield_memory = false;                     // give slots back under memory pressure
  std::function<void(const std::string&)> note;  // from the cache warmer's thread and the caller's
  // What tests replace.
  std::filesystem::path system = "/";  // where /proc and the control groups are
  std::function<PressureSignal()> signal = [] { return open_pressure_signal(); };
};

// A history: uses by expert key. Read: empty where there is none, it is damaged or it belongs to
// another checkpoint. Written beside, synced and renamed; Error when that fails.
std::vector<float> read_history(const std::filesystem::path& file, std::uint64_t fingerprint,
                                std::size_t experts);
void write_history(const std::filesystem::path& file, std::uint64_t fingerprint,
                   std::span<const float> uses);

// Removes the histories of an earlier version in that directory, of whatever checkpoint; how many.
std::size_t remove_old_histories(const std::filesystem::path& directory);

// The budget that memory as it is asks for: less when little is left, slowly more when there is
// plenty again.
std::uint64_t budget_under(const MemoryView& view, std::uint64_t now, std::uint64_t full);

// Has a thread of its own, which looks at the memory every second while experts are used or read,
// and sleeps while they are not, until the system is short of memory (or for 10 s, where the kernel
// does not tell). The cache must outlive it.
class CacheWarmer {
 public:
  CacheWarmer(ExpertCache& cache, CacheWarmerOptions options);
  ~CacheWarmer();  // writes the history once more

  // How often its thread has looked. From any thread.
  std::uint64_t looks() const { return looks_.load(); }

 private:
  void work();
  bool is_busy();
  int timeout();
  void save();
  void fit_memory();

  ExpertCache& cache_;
  CacheWarmerOptions options_;
  std::uint64_t budget_;
  bool shrunk_ = false;  // by the last change
  std::vector<float> saved_;
  std::chrono::steady_clock::time_point saved_at_;
  std::uint64_t used_ = 0;  // experts asked for, at the last look
  bool unsaved_ = false;    // they were used since the last save
  PressureSleep sleep_;
  std::atomic<std::uint64_t> looks_ = 0;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

}  // namespace hearth::engine
