// Cache policies, the traces they are compared on, and when prefetching pays.
#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <random>
#include <vector>

#include "engine/experts/policy.hpp"
#include "engine/experts/prefetch_throttle.hpp"
#include "engine/experts/trace.hpp"
#include "tests/engine/files.hpp"

namespace hearth::tests {
namespace {

using namespace engine;

const auto any = [](Policy::Key) { return true; };

TEST_CASE("lru gives up what was used longest ago, of what may go") {
  const auto policy = make_policy(PolicyKind::lru, 10, 1);
  CHECK_FALSE(policy->victim(any));
  for (const int key : {3, 1, 7, 3}) policy->used(key);
  CHECK(policy->victim(any) == 1);
  CHECK(policy->victim([](int key) { return key != 1; }) == 7);
  policy->dropped(1);
  CHECK(policy->victim(any) == 7);
  policy->dropped(7);
  policy->dropped(3);
  CHECK_FALSE(policy->victim(any));
}

TEST_CASE("lrfu keeps what is used often over what was used last, until that is long ago") {
  const auto policy = make_policy(PolicyKind::lrfu, 10, 0.8);
  for (int i = 0; i < 6; ++i) policy->used(2);
  policy->used(5);
  CHECK(policy->victim(any) == 5);
  for (int i = 0; i < 100; ++i) policy->used(4);
  policy->used(5);
  CHECK(policy->victim(any) == 2);
  policy->dropped(2);
  CHECK(policy->victim(any) == 5);
}

TEST_CASE("lrfu goes on from what it is told of an earlier life, which fades") {
  const auto policy = make_policy(PolicyKind::lrfu, 4, 5);
  policy->remember(std::vector<float>{900, 10, 0, 600});
  for (const int key : {0, 3, 1, 2}) policy->used(key);
  CHECK(policy->victim(any) == 2);
  policy->dropped(2);
  CHECK(policy->victim(any) == 1);
  policy->dropped(1);
  CHECK(policy->victim(any) == 3);
  for (int i = 0; i < 100; ++i) policy->used(3);
  CHECK(policy->victim(any) == 0);
}

TEST_CASE("a faster place is given up for an expert that is used clearly more, not for any") {
  const auto lru = make_policy(PolicyKind::lru, 4, 1);
  lru->used(1);
  for (int i = 0; i < 4; ++i) lru->used(2);
  CHECK_FALSE(lru->should_yield(1, 2));
  lru->used(2);
  CHECK(lru->should_yield(1, 2));
  CHECK_FALSE(lru->should_yield(2, 1));

  const auto lrfu = make_policy(PolicyKind::lrfu, 4, 100);
  for (int i = 0; i < 4; ++i) lrfu->used(1);
  for (int i = 0; i < 7; ++i) lrfu->used(2);
  CHECK_FALSE(lrfu->should_yield(1, 2));
  for (int i = 0; i < 3; ++i) lrfu->used(2);
  CHECK(lrfu->should_yield(1, 2));
  CHECK_FALSE(lrfu->should_yield(2, 1));
}

TEST_CASE("lrfu gives up the least of all that may go, whatever came and went before") {
  constexpr int keys = 60;
  constexpr double half_life = 40;  // in uses of any key
  const auto policy = make_policy(PolicyKind::lrfu, keys, half_life / keys);
  std::vector<double> uses(keys, 0);  // with their decay
  std::vector<bool> resident(keys, false);
  std::mt19937 random(3);
  std::geometric_distribution<int> pick(0.06);
  for (int step = 0; step < 5000; ++step) {
    const int key = pick(random) % keys;
    for (double& count : uses) count *= std::exp2(-1 / half_life);
    uses[key] += 1;
    resident[key] = true;
    policy->used(key);
    // Some are in use and must stay.
    const auto may = [&](int other) { return other % 7 != step % 7; };
    int min = -1;
    for (int other = 0; other < keys; ++other)
      if (resident[other] && may(other) && (min < 0 || uses[other] < uses[min])) min = other;
    const auto victim = policy->victim(may);
    REQUIRE(victim.value_or(-1) == min);
    if (min >= 0 && step % 2 == 0) {
      policy->dropped(min);
      resident[min] = false;
    }
  }
}

TEST_CASE("prefetching goes on while half of it is useful, and is tried again where not") {
  const auto prefetch = [](PrefetchThrottle& throttle, int times, int right_of_four) {
    int made = 0;
    for (int i = 0; i < times; ++i) {
      if (!throttle.pays()) continue;
      ++made;
      for (int k = 0; k < 4; ++k) {
        throttle.read();
        if (k < right_of_four) throttle.right();
      }
    }
    return made;
  };
  PrefetchThrottle good;
  CHECK(prefetch(good, 10'000, 2) == 10'000);
  PrefetchThrottle bad;
  CHECK(prefetch(bad, 10'000, 1) < 200);
  CHECK(prefetch(bad, 10'000, 1) > 100);
  prefetch(bad, 100'000, 4);  // it has become good
  CHECK(prefetch(bad, 10'000, 4) == 10'000);
  CHECK(prefetch(good, 100'000, 0) < 2'500);
}

// Steps of a few experts, some far more often than others.
std::filesystem::path record(const ScratchDirectory& directory, int steps) {
  const auto file = directory.path() / "trace";
  RoutingTrace trace(file, 2, 50);
  std::mt19937 random(7);
  std::geometric_distribution<int> pick(0.08);
  for (int i = 0; i < steps; ++i) {
    for (int layer = 0; layer < 2; ++layer) {
      std::vector<ExpertId> experts;
      for (int e = 0; e < 4; ++e) experts.push_back({(pick(random) * 7 + layer) % 50});
      trace.add(LayerId{layer}, experts, i % 40 == 0 ? Pass::prefill : Pass::decode);
    }
  }
  return file;
}

TEST_CASE("a trace is read as it was recorded; no policy beats the optimum on it") {
  const ScratchDirectory directory;
  const Trace trace = read_trace(record(directory, 400));
  CHECK(trace.layers == 2);
  CHECK(trace.experts_per_layer == 50);
  REQUIRE(trace.steps.size() == 800);
  CHECK(trace.steps[0].pass == Pass::prefill);
  CHECK(trace.steps[3].layer.value == 1);
  double before = 0;
  for (const std::size_t slots : {4, 10, 25, 100}) {
    const double best = replay_optimum(trace, slots).hit_rate();
    CHECK(best > before);
    before = best;
    for (const PolicyKind policy : {PolicyKind::lru, PolicyKind::lrfu}) {
      const ReplayResult result = replay(trace, policy, 2, slots);
      CHECK(result.hits + result.misses == 3200);
      CHECK(result.hit_rate() <= best);
      if (slots >= 10) CHECK(result.hit_rate() > best / 3);
    }
  }
  CHECK(replay(trace, PolicyKind::lru, 1, 100).hit_rate() == replay_optimum(trace, 100).hit_rate());
}

TEST_CASE("a line that is no step is refused by its number") {
  const ScratchDirectory directory;
  const std::string good = "hearth routing trace 2 50\nd 0 1 2\n";
  for (const char* bad : {"x 0 1\n", "d 2 1\n", "d 0 50\n", "d 0 -1\n", "d 0 1 z\n", "d\n"}) {
    CAPTURE(bad);
    directory.write("trace", good + bad);
    const std::string error = error_of([&] { read_trace(directory.path() / "trace"); });
    CHECK(contains(error, "line 3"));
  }
  directory.write("trace", "something else 2 50\n");
  CHECK(contains(error_of([&] { read_trace(directory.path() / "trace"); }), "line 1"));
  CHECK(contains(error_of([&] { read_trace(directory.path() / "none"); }), "cannot read"));
}

}  // namespace
}  // namespace hearth::tests
