// What is free, how it is divided, and who gives some back.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "engine/engine.hpp"
#include "engine/experts/memory_monitor.hpp"
#include "engine/experts/routing_history.hpp"
#include "engine/support/memory.hpp"
#include "tests/engine/files.hpp"

namespace hearth::tests {
namespace {

using namespace engine;

constexpr std::uint64_t gib = std::uint64_t{1} << 30;

struct Root : ScratchDirectory {
  void put(const std::string& name, const std::string& content) const {
    std::filesystem::create_directories((path() / name).parent_path());
    std::ofstream(path() / name) << content;
  }
};

TEST_CASE("free memory is the machine's, or what the tightest control group leaves") {
  Root root;
  root.put("proc/meminfo", "MemTotal: 33554432 kB\nMemFree: 1 kB\nMemAvailable: 16777216 kB\n");
  CHECK(read_memory(root.path()).available == 16 * gib);
  CHECK_FALSE(read_memory(root.path()).limited);

  root.put("proc/self/cgroup", "5:cpu:/x\n4:memory:/a/b\n0::/c/d\n");
  root.put("sys/fs/cgroup/memory/a/memory.limit_in_bytes", std::to_string(6 * gib));
  root.put("sys/fs/cgroup/memory/a/memory.usage_in_bytes", std::to_string(3 * gib));
  root.put("sys/fs/cgroup/memory/a/memory.stat", "cache 9\ntotal_inactive_file 1073741824\n");
  CHECK(read_memory(root.path()).available == 4 * gib);
  CHECK(read_memory(root.path()).limited);

  root.put("sys/fs/cgroup/c/d/memory.max", "max\n");
  root.put("sys/fs/cgroup/c/d/memory.current", "5\n");
  root.put("sys/fs/cgroup/c/memory.max", std::to_string(2 * gib));
  root.put("sys/fs/cgroup/c/memory.current", std::to_string(gib));
  CHECK(read_memory(root.path()).available == gib);

  root.put("proc/pressure/memory", "some avg10=12.50 avg60=0.00 total=1\nfull avg10=1.0\n");
  CHECK(read_memory(root.path()).pressure == doctest::Approx(0.125));
}

TEST_CASE("experts get three fifths of what is free, and the others their four gibibytes") {
  MemoryPlan plan;
  plan.dense = 3 * gib;
  MemoryView view{.available = 24 * gib, .machine = 32 * gib};
  plan_experts(plan, view, {.all_experts = 77 * gib, .min_experts = 1}, "m");
  CHECK(plan.experts == view.available / 5 * 3);

  view.available = 12 * gib;  // 12 - 3 - 4 and the overhead
  plan_experts(plan, view, {.all_experts = 77 * gib, .min_experts = 1}, "m");
  CHECK(plan.experts < 5 * gib);
  CHECK(plan.experts > 4 * gib);

  plan_experts(plan, view, {.all_experts = gib, .min_experts = 1}, "m");
  CHECK(plan.experts == gib);
  plan_experts(plan, view, {.experts = 2 * gib, .all_experts = 77 * gib}, "m");
  CHECK(plan.experts == 2 * gib);
}

TEST_CASE("checkpoints get an eighth of what is free, within bounds, before the experts do") {
  CHECK(default_prefixes({.available = 16 * gib}) == 2 * gib);
  CHECK(default_prefixes({.available = gib}) == gib / 4);
  CHECK(default_prefixes({.available = 200 * gib}) == 4 * gib);
  CHECK(default_prefixes({}) == gib);  // nothing is known

  const MemoryView view{.available = 12 * gib, .machine = 16 * gib};
  MemoryPlan plan;
  plan.dense = 3 * gib;
  plan_experts(plan, view, {.all_experts = 77 * gib, .min_experts = 1}, "m");
  const std::uint64_t without = plan.experts;
  plan.prefixes = default_prefixes(view);
  plan_experts(plan, view, {.all_experts = 77 * gib, .min_experts = 1}, "m");
  CHECK(plan.experts + plan.prefixes == without);
}

TEST_CASE("a checkpoint whose dense weights do not fit is refused with the arithmetic") {
  MemoryPlan plan;
  plan.dense = 9 * gib;
  plan.kv = gib;
  const std::string error = error_of([&] {
    plan_experts(plan, {.available = 8 * gib}, {.all_experts = gib, .min_experts = 1}, "big");
  });
  CHECK(contains(error, "big"));
  CHECK(contains(error, "9.0 GiB of weights"));
  CHECK(contains(error, "8.0 GiB are free"));
}

TEST_CASE(
    "the MTP head is loaded where its experts fit with the others, and all of it is counted") {
  EngineOptions options;
  options.model = std::filesystem::path(HEARTH_SOURCE_DIR) / "tests/golden/fp8-mtp-f16-scales";
  options.host().threads = 1;
  const auto plain = Runtime::load(options);
  REQUIRE_FALSE(plain->engine().has_mtp());
  const auto layers = static_cast<std::size_t>(plain->engine().config().num_layers());
  const ExpertStatus all = plain->experts();
  const std::uint64_t slot = all.budget_bytes / all.slots;

  options.mtp = MtpUse::where_it_pays;
  const auto with = Runtime::load(options);
  REQUIRE(with->engine().has_mtp());
  CHECK(with->experts().experts == all.experts / layers * (layers + 1));
  CHECK(with->experts().budget_bytes == with->experts().experts * slot);
  CHECK(with->memory().dense > plain->memory().dense);
  CHECK(with->memory().kv > plain->memory().kv);
  CHECK(with->engine().fingerprint() != plain->engine().fingerprint());

  options.host().expert_memory = (all.experts + 2) * slot;  // not the head's, too
  const auto tight = Runtime::load(options);
  CHECK_FALSE(tight->engine().has_mtp());
  CHECK(tight->experts().experts == all.experts);
  CHECK(tight->memory().dense == plain->memory().dense);
  CHECK(tight->engine().fingerprint() == plain->engine().fingerprint());
  options.mtp = MtpUse::always;
  CHECK(Runtime::load(options)->engine().has_mtp());

  options.model = std::filesystem::path(HEARTH_SOURCE_DIR) / "tests/golden/fp8";  // has none
  options.host().expert_memory = 0;
  const auto none = Runtime::load(options);
  CHECK_FALSE(none->engine().has_mtp());
  options.mtp = MtpUse::off;
  CHECK(none->memory().kv == Runtime::load(options)->memory().kv);
  CHECK(none->memory().dense == Runtime::load(options)->memory().dense);
}

TEST_CASE("the budget falls while memory is short and grows back while there is plenty") {
  const std::uint64_t full = 12 * gib;
  MemoryView view{.available = gib / 2, .machine = 32 * gib};
  const std::uint64_t less = budget_under(view, full, full);
  CHECK(less <= full - gib / 2);
  view.available = 2 * gib;
  CHECK(budget_under(view, less, full) == less);
  view.pressure = 0.3;
  CHECK(budget_under(view, less, full) < less);
  view = {.available = 7 * gib, .machine = 32 * gib};
  const std::uint64_t more = budget_under(view, less, full);
  CHECK(more > less);
  CHECK(budget_under(view, full, full) == full);
  CHECK(budget_under({}, less, full) == less);  // nothing is known
}

TEST_CASE("a routing history comes back as it was written, and not when it is damaged") {
  const ScratchDirectory directory;
  const auto file = directory.path() / "history";
  const std::vector<float> uses{1, 0, 2.5F, 7};
  CHECK(read_history(file, 11, 4).empty());
  write_history(file, 11, uses);
  CHECK(read_history(file, 11, 4) == uses);
  CHECK(read_history(file, 12, 4).empty());
  CHECK(read_history(file, 11, 5).empty());
  const auto mode = std::filesystem::status(file).permissions();
  CHECK((mode & (std::filesystem::perms::group_all | std::filesystem::perms::others_all)) ==
        std::filesystem::perms::none);

  std::string bytes;
  {
    std::ifstream in(file, std::ios::binary);
    bytes.assign(std::istreambuf_iterator<char>(in), {});
  }
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    std::string damaged = bytes;
    damaged[i] = static_cast<char>(damaged[i] ^ 4);
    std::ofstream(file, std::ios::binary) << damaged;
    CHECK(read_history(file, 11, 4).empty());
  }
  CHECK(contains(error_of([&] { write_history(directory.path() / "no/file", 1, uses); }),
                 "cannot write"));
}

TEST_CASE("routing histories of an earlier version are removed, and nothing else") {
  const ScratchDirectory directory;
  directory.write("routing-1", "hehrout1 of one checkpoint");
  directory.write("routing-2", "hehrout1 of another");
  directory.write("routing-3", "no history");
  directory.write("other", "hehrout1");
  write_history(directory.path() / "routing-4", 11, std::vector<float>{1, 2});
  CHECK(remove_old_histories(directory.path()) == 2);
  CHECK_FALSE(std::filesystem::exists(directory.path() / "routing-1"));
  CHECK(std::filesystem::exists(directory.path() / "routing-3"));
  CHECK(std::filesystem::exists(directory.path() / "other"));
  CHECK(read_history(directory.path() / "routing-4", 11, 2) == std::vector<float>{1, 2});
  CHECK(remove_old_histories(directory.path() / "missing") == 0);
}

}  // namespace
}  // namespace hearth::tests
