// The engine in long use: prompts that share beginnings are read, parked, cancelled, answered and
// come again on several sessions, with budgets so small that everything is evicted all the time.
// Some hundred requests, ten thousand with HEARTH_LONG; HEARTH_SEED makes other ones. What a
// request asks for follows from the seed and its number alone, but for what a conversation goes on
// from; in which piece an interruption comes in time, and so how requests mix, is up to threads.
#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <random>
#include <vector>

#include "engine/engine.hpp"
#include "engine/experts/cache.hpp"
#include "engine/forward/executor.hpp"
#include "tests/short_run.hpp"
#include "tests/temporary_directory.hpp"

namespace hearth::tests {
namespace {

using namespace engine;

using Tokens = std::vector<TokenId>;
using Logits = std::vector<float>;

constexpr std::size_t unit = 64;  // chunks of the delta rule begin at its multiples
constexpr std::size_t tail = 16;  // the state before a prompt's end lies at a multiple of `unit`
constexpr std::size_t longest = 5 * unit;
constexpr std::size_t slots = 6;  // experts in memory, of 5 layers' 8 and more
// What the resident set may grow by, once warm: allocators keep some of what was freed.
constexpr std::int64_t allowed_growth = std::int64_t{16} << 20;

std::int64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::int64_t total = 0;
  std::int64_t resident = 0;
  file >> total >> resident;
  return resident * ::sysconf(_SC_PAGESIZE);
}

Logits copied(std::span<const float> logits) {
  return {logits.begin(), logits.end()};
}

EngineOptions plain_options() {
  EngineOptions options;
  options.model = std::filesystem::path(HEARTH_SOURCE_DIR) / "tests/golden/fp8-mtp-f16-scales";
  options.host().threads = 2;
  options.mtp = MtpUse::always;
  options.prefix_ram_bytes = 0;
  return options;
}

EngineOptions tight_options(const TemporaryDirectory& directory) {
  EngineOptions options = plain_options();
  const auto plain = Runtime::load(options);
  const std::uint64_t state = plain->memory().states / (2 + options.drafts);
  const ExpertStatus experts = plain->experts();
  REQUIRE(experts.experts > 4 * slots);
  options.host().expert_memory = slots * (experts.budget_bytes / experts.slots);
  options.chunk = 2 * static_cast<std::int64_t>(unit);
  options.checkpoint_distance = static_cast<std::int64_t>(unit);
  options.prefix_ram_bytes = 6 * state;
  options.prefix_directory = directory.path() / "prefixes";
  options.prefix_disk_bytes = 20 * state;
  options.prefix_daily_bytes = ~std::uint64_t{0} >> 1;
  options.disk_min_seconds = 0;
  return options;
}

// A session and the request that it works on.
struct Worker {
  Session session;
  std::mt19937_64 random{};
  bool active = false;
  bool read = false;     // the prompt is
  bool sampled = false;  // is compared with a fresh engine's
  Tokens prompt{};
  std::vector<std::size_t> boundaries{};
  Tokens answer{};
  std::vector<Logits> logits{};  // after the prompt and after each token of the answer
  std::size_t passes_left = 0;
};

class Soak {
 public:
  explicit Soak(std::uint64_t seed) : seed_(seed), random_(seed) {
    for (Tokens& text : texts_) text = random_tokens(random_, longest);
    options_ = tight_options(directory_);
    start();
  }

  void run(std::size_t requests) {
    const std::size_t until = begun_ + requests;
    while (begun_ < until) {
      turn(workers_[below(random_, workers_.size())]);
      if (begun_ % 250 == 249 && restarted_at_ != begun_) {
        restarted_at_ = begun_;
        stop();
        start();
      }
    }
  }

  // All sessions gone, nothing is pinned: the cache can shrink to its least.
  void finish() {
    workers_.clear();
    check_budgets();
    ExpertCache& cache = *runtime_->executor().experts;
    const std::uint64_t slot = runtime_->experts().budget_bytes / runtime_->experts().slots;
    cache.resize(ExpertCache::min_slots * slot);
    CHECK(runtime_->experts().slots == ExpertCache::min_slots);
    CHECK(runtime_->experts().resident <= ExpertCache::min_slots);
    stop();
  }

  struct Counts {
    std::size_t sampled = 0;
    std::size_t cancelled = 0;
    std::size_t interrupted = 0;
    std::uint64_t restored = 0;  // prompts that went on from a checkpoint
    std::uint64_t misses = 0;    // experts that were read
  };
  const Counts& counts() const { return counts_; }

 private:
  void start() {
    runtime_ = Runtime::load(options_);
    for (int i = 0; i < 3; ++i) workers_.push_back(Worker{Session(runtime_)});
  }
  void stop() {
    workers_.clear();
    counts_.restored += runtime_->prefix_statistics().hits;
    counts_.misses += runtime_->experts().misses;
    runtime_.reset();
  }

  static std::size_t below(std::mt19937_64& random, std::size_t count) {
    return std::uniform_int_distribution<std::size_t>(0, count - 1)(random);
  }
  static bool chance(std::mt19937_64& random, std::size_t percent) {
    return below(random, 100) < percent;
  }
  static Tokens random_tokens(std::mt19937_64& random, std::size_t count) {
    Tokens tokens(count);
    for (TokenId& token : tokens) token = static_cast<TokenId>(below(random, 250));
    return tokens;
  }

  void turn(Worker& worker) {
    if (!worker.active) return begin(worker);
    if (chance(worker.random, 4)) {  // whoever asked has gone
      ++counts_.cancelled;
      worker.active = false;
      if (chance(worker.random, 20)) worker.session = Session(runtime_);
      return;
    }
    if (worker.read) return decode(worker);
    prefill(worker);
  }

  void begin(Worker& worker) {
    ++begun_;
    CAPTURE(begun_);
    worker.random.seed(seed_ * 1'000'003 + begun_);
    worker.active = true;
    worker.read = false;
    worker.answer.clear();
    worker.logits.clear();
    worker.boundaries.clear();
    worker.passes_left = 1 + below(worker.random, 4);
    const std::size_t before = worker.session.tokens().size();
    const bool goes_on = chance(worker.random, 15) && before > 0 && before + 2 * tail < longest;
    if (goes_on) {  // the next turn of a conversation
      worker.prompt = worker.session.tokens();
      const Tokens more = random_tokens(worker.random, 1 + below(worker.random, 2 * tail));
      worker.prompt.insert(worker.prompt.end(), more.begin(), more.end());
    } else {
      const Tokens& text = texts_[below(worker.random, texts_.size())];
      const std::size_t shared = unit * (1 + below(worker.random, longest / unit - 1));
      worker.prompt.assign(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(shared));
      const auto question = static_cast<TokenId>(below(worker.random, 5));  // some come again
      for (std::size_t i = 0; i < tail; ++i) {
        worker.prompt.push_back((question * 41 + static_cast<TokenId>(i) * 7) % 250);
      }
      if (shared > unit) worker.boundaries = {unit * (1 + below(worker.random, shared / unit - 1))};
    }
    // Where a conversation goes on from what was decoded, a fresh prefill rounds differently.
    worker.sampled = !goes_on && chance(worker.random, 5);
    const std::size_t kept = worker.session.sync(worker.prompt);
    CHECK(kept <= worker.prompt.size());
    CHECK(kept == worker.session.tokens().size());
    check_budgets();
  }

  void prefill(Worker& worker) {
    CAPTURE(begun_);
    const std::size_t pieces = 1 + below(worker.random, 40);
    for (std::size_t i = 0; i < pieces && !worker.read; ++i) {
      const std::atomic<bool> interrupt = chance(worker.random, 3);
      const Progress progress =
          worker.session.prefill(worker.prompt, worker.boundaries, &interrupt);
      if (progress == Progress::interrupted) ++counts_.interrupted;
      worker.read = progress == Progress::done;
    }
    if (!worker.read) return;
    CHECK(worker.session.tokens() == worker.prompt);
    worker.logits.push_back(copied(worker.session.logits()));
  }

  void decode(Worker& worker) {
    CAPTURE(begun_);
    const Tokens rows = random_tokens(worker.random, 1 + below(worker.random, 4));
    const std::size_t before = worker.session.tokens().size();
    const std::atomic<bool> interrupt = chance(worker.random, 10);
    if (worker.session.decode(rows, &interrupt) == Progress::interrupted) {
      ++counts_.interrupted;
      CHECK(worker.session.tokens().size() == before);
      return;
    }
    const std::size_t kept = 1 + below(worker.random, rows.size());
    for (std::size_t i = 0; i < kept; ++i) {
      worker.answer.push_back(rows[i]);
      worker.logits.push_back(copied(worker.session.decoded_logits(i)));
    }
    worker.session.keep_decoded(kept);
    CHECK(worker.session.tokens().size() == before + kept);
    CHECK(worker.session.draft(rows.front(), 2).size() == 2);
    if (--worker.passes_left > 0) return;
    if (worker.sampled) compare(worker);
    if (chance(worker.random, 30)) worker.session.keep();
    worker.active = false;
  }

  // With what an engine says that has all experts in memory and has seen nothing else.
  void compare(const Worker& worker) {
    ++counts_.sampled;
    Session session(Runtime::load(plain_options()));
    session.sync(worker.prompt);
    while (session.prefill(worker.prompt, {}, nullptr) != Progress::done) {
    }
    REQUIRE(worker.logits.size() == worker.answer.size() + 1);
    CHECK(copied(session.logits()) == worker.logits.front());
    for (std::size_t i = 0; i < worker.answer.size(); ++i) {
      REQUIRE(session.decode(worker.answer[i], nullptr) == Progress::done);
      CHECK(copied(session.logits()) == worker.logits[i + 1]);
    }
  }

  void check_budgets() {
    const PrefixStatistics prefixes = runtime_->prefix_statistics();
    CHECK(prefixes.ram_bytes <= prefixes.ram_limit);
    CHECK(prefixes.disk);
    CHECK(prefixes.disk_bytes <= prefixes.disk_limit);
    const ExpertStatus experts = runtime_->experts();
    CHECK(experts.slots == slots);
    CHECK(experts.resident <= experts.slots);
  }

  std::uint64_t seed_;
  std::mt19937_64 random_;
  TemporaryDirectory directory_;
  EngineOptions options_;
  std::vector<Tokens> texts_ = std::vector<Tokens>(4);
  std::shared_ptr<Runtime> runtime_;
  std::vector<Worker> workers_;
  std::size_t begun_ = 0;
  std::size_t restarted_at_ = 0;
  Counts counts_;
};

TEST_CASE("long use leaks nothing, pins nothing, keeps every budget and changes no bit") {
  const char* given = std::getenv("HEARTH_SEED");
  const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : 1;
  CAPTURE(seed);
  const bool is_long = std::getenv("HEARTH_LONG") != nullptr;
  const std::size_t requests = is_long            ? 10'000
                               : HEARTH_SANITIZED ? 60
                               : is_short_run()   ? 100
                                                  : 300;
  Soak soak(seed);
  soak.run(requests / 3);
  const std::int64_t warm = resident_bytes();
  soak.run(requests - requests / 3);
  const std::int64_t end = resident_bytes();
  soak.finish();
  MESSAGE(requests << " requests: " << soak.counts().sampled << " compared, "
                   << soak.counts().cancelled << " cancelled, " << soak.counts().interrupted
                   << " interruptions, " << soak.counts().restored << " restored, "
                   << soak.counts().misses << " experts read; resident " << warm / 1024
                   << " KiB once warm, " << end / 1024 << " KiB at the end");
  // Sanitizers keep freed memory on purpose.
  if (!HEARTH_SANITIZED) CHECK(end <= warm + allowed_growth);
  CHECK(soak.counts().sampled >= requests / 100);
  CHECK(soak.counts().cancelled > 0);
  CHECK(soak.counts().interrupted > 0);
  CHECK(soak.counts().restored > requests / 20);
  CHECK(soak.counts().misses > requests * slots);
}

}  // namespace
}  // namespace hearth::tests
