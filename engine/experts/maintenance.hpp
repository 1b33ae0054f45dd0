// The thread behind the expert cache: lets the CacheWarmer save what is used, and the MemoryMonitor
// look at the memory, and sleeps while there is nothing to do.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>

#include "engine/experts/cache.hpp"
#include "engine/experts/cache_warmer.hpp"
#include "engine/experts/memory_monitor.hpp"
#include "engine/support/pressure.hpp"

namespace hearth::engine {

struct MaintenanceOptions {
  std::filesystem::path history;  // file of recent routing; empty: none is kept
  std::uint64_t fingerprint = 0;  // of the checkpoint the history belongs to
  std::uint64_t budget_bytes = 0;
  bool yield_memory = false;                           // give slots back under memory pressure
  std::function<void(const MemoryLook&)> looked = {};  // from the maintenance thread
  std::function<void(const std::string&)> note;        // from it and the caller's
  // What tests replace.
  std::filesystem::path system = "/";  // where /proc and the control groups are
  std::function<PressureSignal()> signal = [] { return open_pressure_signal(); };
};

// Begins the warm start; then its thread looks at the memory every second while experts are used or
// read, and sleeps while they are not, until the system is short of memory (or for 10 s, where the
// kernel does not tell). The cache must outlive it.
class CacheMaintenance {
 public:
  CacheMaintenance(ExpertCache& cache, MaintenanceOptions options);
  CacheMaintenance(const CacheMaintenance&) = delete;
  CacheMaintenance& operator=(const CacheMaintenance&) = delete;
  ~CacheMaintenance();  // writes the history once more

  // How often its thread has looked. From any thread.
  std::uint64_t looks() const { return looks_.load(); }

 private:
  void work();
  bool is_busy();
  int timeout();
  int timeout_or_retry();

  ExpertCache& cache_;
  const bool yield_memory_;
  CacheWarmer warmer_;
  MemoryMonitor monitor_;
  std::uint64_t used_ = 0;  // experts asked for, at the last look
  PressureSleep sleep_;
  std::atomic<std::uint64_t> looks_ = 0;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

}  // namespace hearth::engine
