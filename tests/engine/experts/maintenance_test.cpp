// Who looks after the experts' memory sleeps while nothing happens, and wakes when it must.
#include <doctest/doctest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "engine/experts/cache.hpp"
#include "engine/experts/maintenance.hpp"
#include "engine/experts/store.hpp"
#include "tests/engine/files.hpp"

namespace hearth::tests {
namespace {

using namespace engine;

const std::filesystem::path golden = std::filesystem::path(HEARTH_SOURCE_DIR) / "tests/golden";

template <class Condition>
bool soon(Condition condition) {
  for (int i = 0; i < 15'000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return false;
}

// A cache of some experts in a system of its own, whose memory and pressure the test decides.
struct Stage {
  Stage() : pressure(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    std::filesystem::create_directories(system.path() / "proc");
    set_available(16'000'000);
    std::vector<std::unique_ptr<File>> files;
    for (const int shard : {1, 2}) {
      files.push_back(
          open_file(golden / ("fp8/model-0000" + std::to_string(shard) + "-of-00002.safetensors")));
    }
    tensors = std::make_unique<Tensors>(Tensors::from_files(std::move(files)));
    config = read_config(golden / "fp8");
    store = std::make_unique<ExpertStore>(
        *tensors, config,
        std::vector<std::string>{"model.layers.0.mlp.experts.", "model.layers.1.mlp.experts."});
    backend = kernels::open_cpu(1, std::nullopt, choice);
    ExpertCacheOptions options;
    options.devices = {{backend.get(), 12 * store->slot_bytes()}};
    cache = std::make_unique<ExpertCache>(*store, tensors->files(), std::move(options));
  }

  void set_available(std::uint64_t kilobytes) const {
    system.write("proc/meminfo.new", "MemAvailable: " + std::to_string(kilobytes) + " kB\n");
    std::filesystem::rename(system.path() / "proc/meminfo.new", system.path() / "proc/meminfo");
  }

  MaintenanceOptions options() {
    MaintenanceOptions made;
    made.budget_bytes = 12 * store->slot_bytes();
    made.yield_memory = true;
    made.system = system.path();
    made.signal = [this] { return PressureSignal{::dup(pressure), POLLIN}; };
    made.note = [this](const std::string& note) {
      const std::scoped_lock lock(mutex);
      notes.push_back(note);
    };
    made.looked = [this](const MemoryLook& look) {
      const std::scoped_lock lock(mutex);
      seen.push_back(look);
    };
    return made;
  }

  void press() const { CHECK(::eventfd_write(pressure, 1) == 0); }
  void use(int expert) const {
    const std::vector<ExpertId> wanted{{expert}};
    cache->lend(LayerId{0}, wanted, Pass::decode, nullptr,
                [](Leases& leases) { CHECK(leases.next().size() == 1); });
  }

  ~Stage() { ::close(pressure); }

  ScratchDirectory system;
  const int pressure;
  std::unique_ptr<Tensors> tensors;
  ModelConfig config;
  std::unique_ptr<ExpertStore> store;
  kernels::CpuChoice choice;
  std::unique_ptr<kernels::Backend> backend;
  std::unique_ptr<ExpertCache> cache;
  std::mutex mutex;
  std::vector<std::string> notes;
  std::vector<MemoryLook> seen;
};

// Longer than it takes to look once while experts are used.
void let_time_pass() {
  std::this_thread::sleep_for(std::chrono::milliseconds(2'500));
}

TEST_CASE("memory is given back on pressure, taken again with use, and not looked at in between") {
  Stage stage;
  CacheMaintenance maintenance(*stage.cache, stage.options());
  let_time_pass();
  CHECK(maintenance.looks() == 0);

  stage.set_available(100'000);
  stage.press();
  REQUIRE(soon([&] { return stage.cache->status().slots == ExpertCache::min_slots; }));
  CHECK(stage.notes ==
        std::vector<std::string>{"memory is short: the expert cache gives some back"});
  stage.set_available(16'000'000);
  let_time_pass();
  CHECK(maintenance.looks() == 1);
  CHECK(stage.cache->status().slots == ExpertCache::min_slots);

  {
    const std::scoped_lock lock(stage.mutex);
    REQUIRE(stage.seen.size() == 1);
    CHECK(stage.seen.front().is_short);
    CHECK(stage.seen.front().experts < stage.seen.front().all_experts);
    CHECK(stage.seen.front().view.available == 102'400'000);
  }

  stage.use(3);
  REQUIRE(soon([&] { return stage.cache->status().slots == 12; }));
  {
    const std::scoped_lock lock(stage.mutex);
    CHECK_FALSE(stage.seen.back().is_short);
    CHECK(stage.seen.back().experts == stage.seen.back().all_experts);
  }
  std::uint64_t before = 0;  // it sleeps again once nothing is used
  CHECK(soon([&] {
    before = maintenance.looks();
    let_time_pass();
    return maintenance.looks() == before;
  }));
  stage.use(4);
  CHECK(soon([&] { return maintenance.looks() > before; }));
}

TEST_CASE("where the kernel does not tell of pressure, memory is looked at every ten seconds") {
  const bool is_long = std::getenv("HEARTH_LONG") != nullptr;
  Stage stage;
  MaintenanceOptions options = stage.options();
  options.signal = [] { return PressureSignal{}; };
  CacheMaintenance maintenance(*stage.cache, std::move(options));
  let_time_pass();
  CHECK(maintenance.looks() == 0);
  if (!is_long) {
    MESSAGE("the rest is skipped: HEARTH_LONG is not set");
    return;
  }
  stage.set_available(100'000);
  CHECK(soon([&] { return stage.cache->status().slots == ExpertCache::min_slots; }));
  CHECK(maintenance.looks() == 1);
}

TEST_CASE("maintenance that may not give memory back does not look at all") {
  Stage stage;
  MaintenanceOptions options = stage.options();
  options.yield_memory = false;
  CacheMaintenance maintenance(*stage.cache, std::move(options));
  stage.set_available(100'000);
  stage.press();
  let_time_pass();
  CHECK(maintenance.looks() == 0);
  CHECK(stage.cache->status().slots == 12);
}

TEST_CASE("the kernel grants a trigger on memory pressure, and what is no such file gives none") {
  const ScratchDirectory directory;
  CHECK(open_pressure_signal(directory.path() / "none").descriptor == -1);
  if (!std::filesystem::exists("/proc/pressure/memory")) {
    MESSAGE("skipped: this kernel keeps no account of pressure");
    return;
  }
  const PressureSignal signal = open_pressure_signal();
  if (signal.descriptor < 0) {
    MESSAGE("skipped: this kernel grants no trigger");
    return;
  }
  CHECK(signal.events == POLLPRI);
  PressureSleep sleep(signal);
  sleep.wake();
  sleep.wait(-1, true);  // returns at once
  CHECK(sleep.has_signal());
}

}  // namespace
}  // namespace hearth::tests
