// Reads of a request that is interrupted: what was not begun is not read, and nobody waits for it.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "engine/engine.hpp"
#include "engine/experts/cache.hpp"
#include "engine/experts/read_queue.hpp"
#include "engine/experts/store.hpp"
#include "tests/engine/experts/tiers.hpp"
#include "tests/engine/files.hpp"

namespace hearth::tests {
namespace {

using namespace engine;
using namespace tiers;

// Whose reads wait at a gate, and are counted when they begin.
class GatedFile final : public File {
 public:
  struct Gate {
    std::mutex mutex;
    std::condition_variable changed;
    bool open = false;
    int begun = 0;

    void wait_for_begun(int reads) {
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return begun >= reads; });
    }
    int count() {
      const std::scoped_lock lock(mutex);
      return begun;
    }
    void let_through() {
      const std::scoped_lock lock(mutex);
      open = true;
      changed.notify_all();
    }
  };
  GatedFile(std::unique_ptr<File> file, Gate& gate) : file_(std::move(file)), gate_(gate) {}
  const std::string& name() const override { return file_->name(); }
  std::uint64_t size() const override { return file_->size(); }
  void read(std::uint64_t offset, std::span<std::byte> to) const override {
    file_->read(offset, to);
  }
  std::size_t read_direct(std::uint64_t offset, std::span<std::byte> to) const override {
    {
      std::unique_lock lock(gate_.mutex);
      ++gate_.begun;
      gate_.changed.notify_all();
      gate_.changed.wait(lock, [&] { return gate_.open; });
    }
    return file_->read_direct(offset, to);
  }

 private:
  std::unique_ptr<File> file_;
  Gate& gate_;
};

TEST_CASE("once a prefill is interrupted, none of the reads that it waits for begins") {
  constexpr int readers = 8;  // threads
  const std::filesystem::path ember = std::filesystem::path(HEARTH_SOURCE_DIR) / "engine/ember";
  GatedFile::Gate gate;
  std::vector<std::unique_ptr<File>> files;
  for (const int shard : {1, 2}) {
    files.push_back(std::make_unique<GatedFile>(
        open_file(ember / ("model-0000" + std::to_string(shard) + "-of-00002.safetensors")), gate));
  }
  const Tensors tensors = Tensors::from_files(std::move(files));
  const ModelConfig config = read_config(ember);
  ExpertStore store(tensors, config,
                    {"model.layers.0.mlp.experts.", "model.layers.1.mlp.experts."});
  kernels::CpuChoice choice;
  const auto backend = kernels::open_cpu(1, std::nullopt, choice);
  ExpertCache cache(store, tensors.files(),
                    {.devices = {{backend.get()}}, .reader = ReaderKind::threads});
  const auto reads_of = [&](LayerId layer, ExpertId expert) {
    std::vector<std::byte> slot(store.slot_bytes());
    return static_cast<int>(store.reads(store.key(layer, expert), slot).size());
  };
  const auto take_all = [](Leases& leases) {
    std::size_t taken = 0;
    for (auto some = leases.next(); !some.empty(); some = leases.next()) taken += some.size();
    return taken;
  };
  std::vector<ExpertId> all;
  int needed = 0;
  for (std::int32_t i = 0; i < store.experts_per_layer(); ++i) {
    all.push_back(ExpertId{i});
    needed += reads_of(LayerId{0}, ExpertId{i});
  }
  REQUIRE(needed > 2 * readers);

  std::atomic<bool> interrupt = false;
  // Runs `then` while the leases are not given back yet.
  const auto interrupted_prefill = [&](const auto& then) {
    cache.lend(LayerId{0}, all, Pass::prefill, &interrupt, [&](Leases& leases) {
      gate.wait_for_begun(readers);
      interrupt = true;
      CHECK(leases.next().empty());
      then();
    });
  };

  SUBCASE("the reads under way end, nobody waits for them, and the slots are free") {
    interrupted_prefill([] {});
    gate.let_through();
    // Reads that were demanded before would begin before this one.
    const std::vector<ExpertId> one{{3}};
    cache.lend(LayerId{1}, one, Pass::decode, nullptr,
               [&](Leases& leases) { CHECK(take_all(leases) == 1); });
    CHECK(gate.count() == readers + reads_of(LayerId{1}, one.front()));
  }
  SUBCASE("those under way, too, begin no others") {
    interrupted_prefill([&] {
      gate.let_through();
      CHECK(soon([&] { return cache.status().resident >= readers / 3; }));
      CHECK(gate.count() == readers);
    });
  }
  SUBCASE("a pass that wants them at once has them all") {
    interrupted_prefill([] {});
    cache.lend(LayerId{0}, all, Pass::prefill, nullptr, [&](Leases& leases) {
      gate.let_through();
      CHECK(take_all(leases) == all.size());
    });
    CHECK(cache.status().resident >= all.size());
  }
}

TEST_CASE("io_uring begins nothing for a pass that was interrupted, and gives it back whole") {
  const auto file = open_file(golden / "fp8/model-00001-of-00002.safetensors");
  const std::unique_ptr<AsyncReader> reader = make_uring_reader();
  if (!reader || !file->direct()) {
    MESSAGE("skipped: no io_uring past the page cache here");
    return;
  }
  std::vector<std::byte> memory(2 * direct_alignment);
  void* begin = memory.data();
  std::size_t space = memory.size();
  REQUIRE(std::align(direct_alignment, direct_alignment, begin, space) != nullptr);
  const std::span<std::byte> page(static_cast<std::byte*>(begin), direct_alignment);
  const std::atomic<bool> interrupt = true;
  std::vector<ReadResult> outcomes;
  for (int i = 0; i < 5; ++i) {
    reader->submit({{{file.get(), 0, page, page.size()}},
                    Urgency::demand,
                    [&](const ReadResult& result) { outcomes.push_back(result); },
                    &interrupt});
  }
  reader->withdraw();
  const ReadResult withdrawn{ReadResult::End::withdrawn, {}};
  CHECK(outcomes == std::vector<ReadResult>(5, withdrawn));

  std::promise<ReadResult> background;  // is nobody's pass
  reader->submit({{{file.get(), 0, page, page.size()}},
                  Urgency::background,
                  [&](const ReadResult& result) { background.set_value(result); }});
  reader->withdraw();
  CHECK(background.get_future().get().complete());
}

TEST_CASE("an interrupt ends the wait for an expert") {
  const CheckpointCopy copy;
  const auto runtime = Runtime::load(copy.options(ReaderKind::threads));
  Session session(runtime);
  std::atomic<bool> interrupt = true;
  CHECK(session.decode(7, &interrupt) == Progress::interrupted);
  interrupt = false;
  CHECK(session.decode(7, &interrupt) == Progress::done);
}

}  // namespace
}  // namespace hearth::tests
