// The experts' tiers: whatever fits in memory and however it is read, the bits are those of a run
// with everything in memory.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "engine/engine.hpp"
#include "engine/experts/cache.hpp"
#include "engine/forward/executor.hpp"
#include "tests/engine/experts/tiers.hpp"
#include "tests/engine/files.hpp"
#include "tests/short_run.hpp"

namespace hearth::tests {
namespace {

using namespace engine;
using namespace tiers;

TEST_CASE("every budget, reader and policy gives the same bits") {
  for (const char* name : {"fp8", "bf16-tied", "q35moe-bf16-fused", "q35moe-channel"}) {
    CAPTURE(name);
    EngineOptions options = options_for(golden / name);
    const auto expected = run(options);
    const std::uint64_t slot = slot_bytes(golden / name);
    for (const std::uint64_t slots : {4, 5, 11, 40}) {
      if (is_short_run() && slots != 5) continue;
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

}  // namespace
}  // namespace hearth::tests
