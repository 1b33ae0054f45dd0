// Memory that runs out at any moment: a request gets an error in a sentence, nothing hangs, and
// what was there before goes on with the bits that it would have had.
#include <doctest/doctest.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "engine/engine.hpp"
#include "engine/prefix/cache.hpp"
#include "tests/engine/files.hpp"
#include "tests/short_run.hpp"

namespace {

// Allocations until the one that fails, of every thread: from operator new, and what kernels and
// prefix states take from calloc and mmap. Negative: none fails.
std::atomic<std::int64_t> left{-1};
std::atomic<std::uint64_t> failed{0};

bool fails() {
  if (left.load(std::memory_order_relaxed) < 0) return false;
  if (left.fetch_sub(1) != 0) return false;
  ++failed;
  return true;
}

}  // namespace

// NOLINTBEGIN: the names are the linker's
extern "C" void* __real_calloc(std::size_t count, std::size_t bytes);
extern "C" void* __wrap_calloc(std::size_t count, std::size_t bytes) {
  return fails() ? nullptr : __real_calloc(count, bytes);
}
extern "C" void* __real_mmap(void* at, std::size_t bytes, int how, int flags, int file, off_t from);
extern "C" void* __wrap_mmap(void* at, std::size_t bytes, int how, int flags, int file,
                             off_t from) {
  return fails() ? MAP_FAILED : __real_mmap(at, bytes, how, flags, file, from);
}
// NOLINTEND

// Not inlined: where g++ sees through only one of a pair, it takes them for a mismatch.
[[gnu::noinline]] void* operator new(std::size_t bytes) {
  void* const memory = fails() ? nullptr : std::malloc(std::max<std::size_t>(bytes, 1));
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
// A sanitizer's own would not go with the operator delete below.
[[gnu::noinline]] void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  return fails() ? nullptr : std::malloc(std::max<std::size_t>(bytes, 1));
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

namespace hearth::tests {
namespace {

using namespace engine;

// Whether the n-th allocation failed, and the text of the error that came of it.
struct Injected {
  bool reached = false;
  std::string error;
};

// What is no engine::Error ends the test.
template <class Action>
Injected with_failure_at(std::int64_t n, const Action& action) {
  Injected result;
  failed = 0;
  left = n;
  result.error = error_of(action);
  left = -1;
  result.reached = failed > 0;
  return result;
}

bool is_sentence(const std::string& error) {
  return contains(error, "there is no memory for ") && contains(error, "Close other programs");
}

EngineOptions options_for(const ScratchDirectory& directory) {
  EngineOptions options;
  options.model = std::filesystem::path(HEARTH_SOURCE_DIR) / "tests/golden/fp8-mtp-f16-scales";
  options.host().threads = 2;
  options.mtp = MtpUse::always;
  options.chunk = 64;
  options.checkpoint_distance = 64;
  options.disk_min_seconds = 0;
  options.prefix_ram_bytes = std::uint64_t{64} << 20;
  options.prefix_directory = directory.path() / "prefixes";
  return options;
}

std::uint64_t few_slots(const EngineOptions& options) {
  const auto runtime = Runtime::load(options);
  return 6 * (runtime->experts().budget_bytes / runtime->experts().slots);
}

std::vector<TokenId> some_tokens(std::size_t count, int seed) {
  std::vector<TokenId> tokens(count);
  for (std::size_t i = 0; i < count; ++i)
    tokens[i] = static_cast<TokenId>((i * 37 + i / 5 + static_cast<std::size_t>(seed) * 101) % 200);
  return tokens;
}

// While it lives nothing fails, and nothing counts: for what the test itself keeps.
class Exempt {
 public:
  Exempt() : before_(left.exchange(-1)) {}
  ~Exempt() { left = before_; }
  Exempt(const Exempt&) = delete;
  Exempt& operator=(const Exempt&) = delete;

 private:
  std::int64_t before_;
};

// A prompt, and some tokens behind it: the logits after each.
std::vector<std::vector<float>> run(Session& session, const std::vector<TokenId>& prompt) {
  std::vector<std::vector<float>> logits;
  const auto keep = [&] {
    const Exempt exempt;
    logits.emplace_back(session.logits().begin(), session.logits().end());
  };
  session.sync(prompt);
  while (session.prefill(prompt, {}, nullptr) != Progress::done) {
  }
  keep();
  for (const TokenId token : {5, 77}) {
    while (session.decode(token, nullptr) != Progress::done) {
    }
    keep();
  }
  return logits;
}

bool close(const std::vector<std::vector<float>>& a, const std::vector<std::vector<float>>& b) {
  return a.size() == b.size() &&
         std::ranges::equal(a, b, [](const std::vector<float>& x, const std::vector<float>& y) {
           return std::ranges::equal(
               x, y, [](float one, float other) { return std::abs(one - other) <= 1e-3F; });
         });
}

// Every moment at first, then more and more of them are left out; with HEARTH_LONG none.
std::int64_t after(std::int64_t n) {
  static const bool is_long = std::getenv("HEARTH_LONG") != nullptr;
  if (is_long) return n + 1;
  static const bool is_short = HEARTH_SANITIZED || is_short_run();
  return n + 1 + n / (is_short ? 12 : 40);
}

}  // namespace

TEST_CASE("memory that runs out while a model is loaded is an error in a sentence") {
  const ScratchDirectory directory;
  const EngineOptions options = options_for(directory);
  std::size_t sentences = 0;
  bool reached = true;
  for (std::int64_t n = 0; reached; n = n + 1 + n / 12) {
    CAPTURE(n);
    const Injected injected = with_failure_at(n, [&] { Runtime::load(options); });
    reached = injected.reached;
    if (injected.error.empty()) continue;  // done without, or on another thread
    CAPTURE(injected.error);
    REQUIRE(is_sentence(injected.error));
    CHECK(contains(injected.error, options.model.string()));
    ++sentences;
  }
  CHECK(sentences > 50);
  CHECK(error_of([&] { Runtime::load(options); }) == "");
}

TEST_CASE("a session outlives memory that runs out while it computes") {
  const ScratchDirectory directory;
  EngineOptions options = options_for(directory);
  options.host().expert_memory = few_slots(options);  // so that experts are read all the time
  SUBCASE("io_uring") {
    options.experts.reader = ReaderKind::uring;
  }
  SUBCASE("threads") {
    options.experts.reader = ReaderKind::threads;
  }
  const std::vector<TokenId> one = some_tokens(150, 1);
  std::vector<TokenId> other = some_tokens(150, 1);
  for (std::size_t i = 100; i < other.size(); ++i) other[i] = (other[i] + 7) % 200;
  EngineOptions plain = options;
  plain.prefix_ram_bytes = 0;
  plain.prefix_directory.clear();
  const auto expected = [&](const std::vector<TokenId>& prompt) {
    Session session(Runtime::load(plain));
    return run(session, prompt);
  };
  const auto expected_one = expected(one);
  const auto expected_other = expected(other);

  const auto runtime = Runtime::load(options);
  Session session(runtime);
  std::size_t sentences = 0;
  bool reached = true;
  for (std::int64_t n = 0; reached; n = after(n)) {
    CAPTURE(n);
    const bool first = n % 2 == 0;  // in turns, so that each goes back to what they share
    const std::vector<TokenId>& prompt = first ? one : other;
    const Injected injected = with_failure_at(n, [&] { run(session, prompt); });
    reached = injected.reached;
    if (!injected.error.empty()) {
      CAPTURE(injected.error);
      REQUIRE(is_sentence(injected.error));
      ++sentences;
    }
    const auto logits = run(session, prompt);
    REQUIRE(close(logits, first ? expected_one : expected_other));
    if (n % 5 == 0) {  // begins anew: what others kept of it must be right, too
      Session fresh(runtime);
      REQUIRE(close(run(fresh, prompt), first ? expected_one : expected_other));
    }
  }
  CHECK(sentences > 50);
  runtime->prefixes().flush();
  const PrefixStatistics prefixes = runtime->prefix_statistics();
  CHECK(prefixes.ram_bytes <= prefixes.ram_limit);
  CHECK(prefixes.disk_bytes <= prefixes.disk_limit);
}

TEST_CASE("a session for which there is no memory is an error in a sentence") {
  const ScratchDirectory directory;
  const auto runtime = Runtime::load(options_for(directory));
  std::size_t sentences = 0;
  bool reached = true;
  for (std::int64_t n = 0; reached; ++n) {
    CAPTURE(n);
    const Injected injected = with_failure_at(n, [&] { const Session session(runtime); });
    reached = injected.reached;
    if (injected.error.empty()) continue;  // done, or it was another thread that had no memory
    CHECK(is_sentence(injected.error));
    ++sentences;
  }
  CHECK(sentences > 5);
}

// Its thread looks at the cache every second while experts are used.
TEST_CASE("the cache's maintenance goes on when there is no memory for a look") {
  const ScratchDirectory directory;
  const auto runtime = Runtime::load(options_for(directory));
  const std::vector<TokenId> prompt = some_tokens(20, 1);
  Session session(runtime);
  const auto expected = run(session, prompt);
  for (int n = 0; n < 3; ++n) {
    run(session, prompt);
    failed = 0;
    left = n;
    for (int i = 0; i < 300 && failed == 0; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    left = -1;
    CHECK(failed == 1);
  }
  CHECK(close(run(session, prompt), expected));
}

}  // namespace hearth::tests
