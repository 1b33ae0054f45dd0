// The experts' tiers: whatever fits in memory, however it is read and whatever goes wrong while it
// is read, the bits are those of a run with everything in memory, or there is an error.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <fstream>
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
#include "engine/forward/executor.hpp"
#include "tests/engine/files.hpp"

namespace hearth::tests {
namespace {

using namespace engine;

const std::filesystem::path golden = std::filesystem::path(HEARTH_SOURCE_DIR) / "tests/golden";

std::vector<TokenId> some_tokens(std::size_t count) {
  std::vector<TokenId> tokens(count);
  for (std::size_t i = 0; i < count; ++i) tokens[i] = static_cast<TokenId>((i * 37 + i / 5) % 200);
  return tokens;
}

EngineOptions options_for(const std::filesystem::path& model) {
  EngineOptions options;
  options.model = model;
  options.host().threads = 2;
  return options;
}

// Logits after a prompt, and after each of some tokens more.
std::vector<std::vector<float>> run(const EngineOptions& options) {
  const auto runtime = Runtime::load(options);
  Session session(runtime);
  const std::vector<TokenId> prompt = some_tokens(150);
  session.sync(prompt);
  while (session.prefill(prompt, {}, nullptr) != Progress::done) {
  }
  std::vector<std::vector<float>> logits{{session.logits().begin(), session.logits().end()}};
  for (const TokenId token : {5, 77, 130, 5, 9}) {
    REQUIRE(session.decode(token, nullptr) == Progress::done);
    logits.emplace_back(session.logits().begin(), session.logits().end());
  }
  return logits;
}

std::uint64_t slot_bytes(const std::filesystem::path& model) {
  const auto runtime = Runtime::load(options_for(model));
  const ExpertStatus status = runtime->experts();
  return status.budget_bytes / status.slots;
}

template <class Condition>
bool soon(Condition condition) {
  for (int i = 0; i < 5000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return false;
}

TEST_CASE("every budget, reader and policy gives the same bits") {
  for (const char* name : {"fp8", "bf16-tied"}) {
    CAPTURE(name);
    EngineOptions options = options_for(golden / name);
    const auto expected = run(options);
    const std::uint64_t slot = slot_bytes(golden / name);
    for (const std::uint64_t slots : {4, 5, 11, 40}) {
      for (const ReaderKind reader : {ReaderKind::uring, ReaderKind::threads}) {
        for (const PolicyKind policy : {PolicyKind::lru, PolicyKind::lrfu}) {
          for (const bool prefetch : {false, true}) {
            CAPTURE(slots);
            options.host().expert_memory = slots * slot;
            options.experts.reader = reader;
            options.experts.policy = policy;
            options.experts.prefetch = prefetch;
            options.chunk = slots % 2 == 0 ? 64 : 128;
            options.host().threads = slots == 5 ? 3 : 1;
            CHECK(run(options) == expected);
          }
        }
      }
    }
  }
}

TEST_CASE("a budget for fewer than four experts is refused with its size") {
  EngineOptions options = options_for(golden / "fp8");
  options.host().expert_memory = 3 * slot_bytes(golden / "fp8");
  const std::string error = error_of([&] { Runtime::load(options); });
  CHECK(contains(error, std::to_string(options.host().expert_memory)));
  CHECK(contains(error, "at least 4"));
}

TEST_CASE("where all experts fit they are read ahead, and then never again") {
  const auto runtime = Runtime::load(options_for(golden / "fp8"));
  REQUIRE(soon([&] { return !runtime->experts().warming; }));
  const ExpertStatus warm = runtime->experts();
  CHECK(warm.resident == warm.experts);
  Session session(runtime);
  REQUIRE(session.decode(3, nullptr) == Progress::done);
  CHECK(runtime->experts().bytes_read == warm.bytes_read);
  CHECK(runtime->experts().misses == 0);
}

TEST_CASE("a restarted engine reads first what was used most before") {
  const ScratchDirectory directory;
  EngineOptions options = options_for(golden / "fp8");
  options.host().expert_memory = 9 * slot_bytes(golden / "fp8");
  options.experts.history = directory.path();
  {
    const auto runtime = Runtime::load(options);
    Session session(runtime);
    for (int i = 0; i < 20; ++i) REQUIRE(session.decode(3 + i % 2, nullptr) == Progress::done);
    CHECK(runtime->experts().warm_total == 0);
  }
  const auto runtime = Runtime::load(options);
  CHECK(runtime->experts().warm_total > 0);
  REQUIRE(soon([&] { return !runtime->experts().warming; }));
  CHECK(runtime->experts().resident > 0);
  Session session(runtime);
  REQUIRE(session.decode(3, nullptr) == Progress::done);
  CHECK(runtime->experts().hits > 0);

  // Another checkpoint has a history of its own; one that was damaged is none.
  options.model = golden / "fp8-odd-bf16-scales";
  CHECK(Runtime::load(options)->experts().warm_total == 0);
  options.model = golden / "fp8";
  for (const auto& file : std::filesystem::directory_iterator(directory.path())) {
    std::fstream(file.path(), std::ios::in | std::ios::out | std::ios::binary).put('x');
  }
  std::vector<std::string> notes;
  options.note = [&](const std::string& note) { notes.push_back(note); };
  CHECK(Runtime::load(options)->experts().warm_total == 0);
  REQUIRE(notes.size() == 1);
  CHECK(contains(notes.front(), "begun anew"));
}

TEST_CASE("memory that is taken away while the engine works is given back without changing a bit") {
  EngineOptions options = options_for(golden / "fp8");
  const auto expected = run(options);
  const auto runtime = Runtime::load(options);
  ExpertCache& cache = *runtime->executor().experts;
  const std::uint64_t all = runtime->experts().budget_bytes;
  const std::uint64_t slot = all / runtime->experts().slots;
  std::atomic<bool> stop = false;
  std::thread squeezer([&] {
    for (std::uint64_t i = 0; !stop; ++i) cache.resize(i % 3 == 0 ? all : (4 + i % 7) * slot);
  });
  Session session(runtime);
  const std::vector<TokenId> prompt = some_tokens(150);
  session.sync(prompt);
  while (session.prefill(prompt, {}, nullptr) != Progress::done) {
  }
  CHECK(std::ranges::equal(session.logits(), expected.front()));
  stop = true;
  squeezer.join();
  cache.resize(4 * slot);
  CHECK(runtime->experts().slots == 4);
  CHECK(runtime->experts().resident <= 4);
  cache.resize(all);
  CHECK(runtime->experts().budget_bytes == all);
}

TEST_CASE("a prefill that wants nearly all of a layer's experts reads the next layer's early") {
  EngineOptions options = options_for(golden / "fp8");
  const auto expected = run(options);
  const std::uint64_t all = Runtime::load(options)->experts().experts;
  options.host().expert_memory = (all - 1) * slot_bytes(golden / "fp8");
  const auto runtime = Runtime::load(options);
  Session session(runtime);
  const std::vector<TokenId> prompt = some_tokens(150);
  session.sync(prompt);
  while (session.prefill(prompt, {}, nullptr) != Progress::done) {
  }
  CHECK(std::ranges::equal(session.logits(), expected.front()));
  const ExpertStatus after = runtime->experts();
  CHECK(after.prefetched > 0);
  CHECK(after.prefetch_useful > after.prefetched / 2);
  CHECK(after.bytes_read <= all * slot_bytes(golden / "fp8"));  // nothing twice

  // A short prompt is no such pass.
  const auto other = Runtime::load(options);
  Session brief(other);
  const std::vector<TokenId> few = some_tokens(20);
  brief.sync(few);
  while (brief.prefill(few, {}, nullptr) != Progress::done) {
  }
  CHECK(other->experts().prefetched == 0);
}

TEST_CASE("what was forgotten is read again, into the same slots and with the same bits") {
  EngineOptions options = options_for(golden / "fp8");
  const auto runtime = Runtime::load(options);
  REQUIRE(soon([&] { return !runtime->experts().warming; }));
  Session session(runtime);
  REQUIRE(session.decode(3, nullptr) == Progress::done);
  const std::vector<float> expected(session.logits().begin(), session.logits().end());
  const ExpertStatus before = runtime->experts();
  runtime->executor().experts->forget();
  CHECK(runtime->experts().resident == 0);
  CHECK(runtime->experts().slots == before.slots);
  Session again(runtime);
  REQUIRE(again.decode(3, nullptr) == Progress::done);
  CHECK(std::ranges::equal(again.logits(), expected));
  CHECK(runtime->experts().bytes_read > before.bytes_read);
}

// A checkpoint that may be damaged while it is in use.
struct Copy {
  Copy() {
    for (const auto& entry : std::filesystem::directory_iterator(golden / "fp8")) {
      if (entry.path().filename() == "golden.safetensors") continue;
      std::filesystem::copy(entry.path(), directory.path() / entry.path().filename());
    }
  }
  EngineOptions options(ReaderKind reader) const {
    EngineOptions options = options_for(directory.path());
    options.host().expert_memory = 4 * slot_bytes(golden / "fp8");
    options.experts.reader = reader;
    return options;
  }
  std::filesystem::path shard(int number) const {
    return directory.path() / ("model-0000" + std::to_string(number) + "-of-00002.safetensors");
  }
  ScratchDirectory directory;
};

// Decodes until an error comes; its text.
std::string failing_decode(Session& session) {
  return error_of([&] {
    for (TokenId token = 0; token < 100; ++token) session.decode(token, nullptr);
  });
}

TEST_CASE("a shard that is cut while in use fails the request, and names the file") {
  for (const ReaderKind reader : {ReaderKind::uring, ReaderKind::threads}) {
    const Copy copy;
    const auto runtime = Runtime::load(copy.options(reader));
    Session session(runtime);
    REQUIRE(session.decode(1, nullptr) == Progress::done);
    for (int shard : {1, 2}) std::filesystem::resize_file(copy.shard(shard), 5000);
    const std::string error = failing_decode(session);
    CHECK(contains(error, copy.directory.path().string()));
    CHECK(contains(error, "cut while in use"));
    // What lies in memory still serves, and a second error is an error again, not a wait.
    CHECK(failing_decode(session) != "");
  }
}

TEST_CASE("a shard that is overwritten while in use fails the request, and names the file") {
  const Copy copy;
  const auto runtime = Runtime::load(copy.options(ReaderKind::threads));
  Session session(runtime);
  REQUIRE(session.decode(1, nullptr) == Progress::done);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // file times are coarse
  for (int shard : {1, 2}) {
    std::fstream file(copy.shard(shard), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(-1, std::ios::end);
    file.put('x');
  }
  const std::string error = failing_decode(session);
  CHECK(contains(error, copy.directory.path().string()));
  CHECK(contains(error, "changed while in use"));
}

TEST_CASE("a shard that is deleted or replaced while in use is read on as it was opened") {
  EngineOptions plain = options_for(golden / "fp8");
  Session expected(Runtime::load(plain));
  const Copy copy;
  Session session(Runtime::load(copy.options(ReaderKind::uring)));
  std::filesystem::remove(copy.shard(1));
  std::filesystem::remove(copy.shard(2));
  copy.directory.write(copy.shard(1).filename().string(), "something else");
  for (const TokenId token : {4, 9, 121}) {
    REQUIRE(expected.decode(token, nullptr) == Progress::done);
    REQUIRE(session.decode(token, nullptr) == Progress::done);
    CHECK(std::ranges::equal(session.logits(), expected.logits()));
  }
}

// A file whose reads go wrong now and then.
class FaultyFile final : public File {
 public:
  enum class Fault { none, short_reads, error };
  FaultyFile(std::unique_ptr<File> file, const std::atomic<Fault>& fault)
      : file_(std::move(file)), fault_(fault) {}
  const std::string& name() const override { return file_->name(); }
  std::uint64_t size() const override { return file_->size(); }
  void read(std::uint64_t offset, std::span<std::byte> to) const override {
    file_->read(offset, to);
  }
  std::size_t read_direct(std::uint64_t offset, std::span<std::byte> to) const override {
    if (fault_ == Fault::error) {
      throw Error(name() + ": reading at byte " + std::to_string(offset) +
                  " failed: Input/output error");
    }
    const bool cut = fault_ == Fault::short_reads && to.size() > direct_alignment;
    return file_->read_direct(offset, cut ? to.first(direct_alignment) : to);
  }

 private:
  std::unique_ptr<File> file_;
  const std::atomic<Fault>& fault_;
};

TEST_CASE("short reads are completed, and an I/O error passes when the disk recovers") {
  std::atomic<FaultyFile::Fault> fault = FaultyFile::Fault::none;
  std::vector<std::unique_ptr<File>> files;
  for (const int shard : {1, 2}) {
    files.push_back(std::make_unique<FaultyFile>(
        open_file(golden / "fp8" /
                  ("model-0000" + std::to_string(shard) + "-of-00002.safetensors")),
        fault));
  }
  const Tensors tensors = Tensors::from_files(std::move(files));
  const ModelConfig config = read_config(golden / "fp8");
  ExpertStore store(tensors, config, {"model.layers.0.mlp.experts."});
  kernels::CpuChoice choice;
  const auto backend = kernels::open_cpu(1, std::nullopt, choice);
  ExpertCache cache(store, tensors.files(), {.devices = {{backend.get(), 4 * store.slot_bytes()}}});

  const auto down_row = [&](int expert) {  // 1 · the expert's down projection
    const std::vector<ExpertId> wanted{{expert}};
    std::vector<float> row;
    cache.lend(LayerId{0}, wanted, Pass::decode, nullptr, [&](Leases& leases) {
      const std::vector<Lease> ready = leases.next();
      REQUIRE(ready.size() == 1);
      const kernels::Matrix& down = ready.front().weights.down;
      const auto x = backend->allocate(static_cast<std::size_t>(down.cols()) * sizeof(float));
      const auto y = backend->allocate(static_cast<std::size_t>(down.rows()) * sizeof(float));
      backend->write(kernels::slice(x),
                     std::vector<float>(static_cast<std::size_t>(down.cols()), 1.0F));
      backend->matmul(down, kernels::slice(x), kernels::slice(y), 1);
      row.resize(static_cast<std::size_t>(down.rows()));
      backend->read(kernels::slice(y), row);
    });
    return row;
  };
  const std::vector<float> expected = down_row(0);
  for (int expert = 1; expert < 6; ++expert) down_row(expert);  // pushes the first out
  fault = FaultyFile::Fault::short_reads;
  CHECK(down_row(0) == expected);
  for (int expert = 1; expert < 6; ++expert) down_row(expert);
  fault = FaultyFile::Fault::error;
  const std::string error = error_of([&] { down_row(0); });
  CHECK(contains(error, "Input/output error"));
  CHECK(contains(error, ".safetensors"));
  fault = FaultyFile::Fault::none;
  CHECK(down_row(0) == expected);
}

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
  std::vector<std::string> outcomes;
  for (int i = 0; i < 5; ++i) {
    reader->submit({{{file.get(), 0, page, page.size()}},
                    Urgency::demand,
                    [&](const std::string& error) { outcomes.push_back(error); },
                    &interrupt});
  }
  reader->withdraw();
  CHECK(outcomes == std::vector<std::string>(5, std::string(read_withdrawn)));

  std::promise<std::string> background;  // is nobody's pass
  reader->submit({{{file.get(), 0, page, page.size()}},
                  Urgency::background,
                  [&](const std::string& error) { background.set_value(error); }});
  reader->withdraw();
  CHECK(background.get_future().get().empty());
}

TEST_CASE("an interrupt ends the wait for an expert") {
  const Copy copy;
  const auto runtime = Runtime::load(copy.options(ReaderKind::threads));
  Session session(runtime);
  std::atomic<bool> interrupt = true;
  CHECK(session.decode(7, &interrupt) == Progress::interrupted);
  interrupt = false;
  CHECK(session.decode(7, &interrupt) == Progress::done);
}

}  // namespace
}  // namespace hearth::tests
