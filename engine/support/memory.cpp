// Reads the memory accounts of the system and divides what is free.
#include "engine/support/memory.hpp"

#include <algorithm>
#include <fstream>
#include <initializer_list>
#include <optional>
#include <sstream>

#include "engine/support/types.hpp"

namespace hearth::engine {

namespace {

constexpr std::uint64_t gib = std::uint64_t{1} << 30;
constexpr std::uint64_t left_to_others = 4 * gib;
constexpr std::uint64_t overhead = std::uint64_t{300} << 20;  // code, threads, small buffers

// Value of "key 123" or "key: 123 kB" in a file of such lines.
std::optional<std::uint64_t> field(const std::filesystem::path& file, const std::string& key) {
  std::ifstream in(file);
  std::string line;
  while (std::getline(in, line)) {
    std::istringstream words(line);
    std::string name;
    std::uint64_t value = 0;
    std::string unit;
    if (!(words >> name >> value) || name != key) continue;
    words >> unit;
    return unit == "kB" ? value * 1024 : value;
  }
  return std::nullopt;
}

std::optional<std::uint64_t> number(const std::filesystem::path& file) {
  std::ifstream in(file);
  std::uint64_t value = 0;
  if (in >> value) return value;  // not for "max"
  return std::nullopt;
}

// What one control group still allows; page cache that can go does not count as used.
std::optional<std::uint64_t> room(const std::filesystem::path& group, const char* limit_name,
                                  const char* usage_name, const char* cache_name) {
  const auto limit = number(group / limit_name);
  const auto usage = number(group / usage_name);
  if (!limit || !usage) return std::nullopt;
  const std::uint64_t cache = field(group / "memory.stat", cache_name).value_or(0);
  const std::uint64_t used = *usage - std::min(*usage, cache);
  return *limit - std::min(*limit, used);
}

// The least that any of a process's groups, and theirs above, allows.
std::optional<std::uint64_t> groups_room(const std::filesystem::path& root) {
  std::optional<std::uint64_t> min;
  std::ifstream in(root / "proc/self/cgroup");
  std::string line;
  while (std::getline(in, line)) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const bool unified = controllers.empty();
    if (!unified && controllers.find("memory") == std::string::npos) continue;
    const std::filesystem::path base = root / (unified ? "sys/fs/cgroup" : "sys/fs/cgroup/memory");
    std::filesystem::path path = std::filesystem::path(line.substr(second + 1)).relative_path();
    for (;; path = path.parent_path()) {
      const std::filesystem::path group = base / path;
      const auto here = unified ? room(group, "memory.max", "memory.current", "inactive_file")
                                : room(group, "memory.limit_in_bytes", "memory.usage_in_bytes",
                                       "total_inactive_file");
      if (here) min = std::min(min.value_or(*here), *here);
      if (path.empty()) break;
    }
  }
  return min;
}

double psi_some(const std::filesystem::path& root) {
  std::ifstream in(root / "proc/pressure/memory");
  std::string kind;
  std::string average;
  if (!(in >> kind >> average) || kind != "some" || !average.starts_with("avg10=")) return 0;
  std::istringstream value(average.substr(6));
  double percent = 0;
  value >> percent;
  return percent / 100;
}

}  // namespace

MemoryView read_memory(const std::filesystem::path& root) {
  MemoryView view;
  view.machine = field(root / "proc/meminfo", "MemTotal:").value_or(0);
  view.available = field(root / "proc/meminfo", "MemAvailable:").value_or(0);
  if (const auto allowed = groups_room(root); allowed && *allowed < view.available) {
    view.available = *allowed;
    view.limited = true;
  }
  view.pressure = psi_some(root);
  return view;
}

std::string in_gib(std::uint64_t bytes) {
  const std::uint64_t tenths = (bytes * 10 + gib / 2) / gib;
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " GiB";
}

std::uint64_t default_prefixes(const MemoryView& view) {
  if (view.available == 0) return gib;
  return std::clamp(view.available / 8, gib / 4, 4 * gib);
}

std::uint64_t total(const MemoryPlan& plan) {
  return plan.dense + plan.shortlist + plan.kv + plan.states + plan.prefixes + plan.scratch +
         plan.experts;
}

std::uint64_t min_memory(const MemoryPlan& plan, const MemoryWishes& wishes) {
  return plan.dense + overhead + wishes.min_experts;
}

void plan_experts(MemoryPlan& plan, const MemoryView& view, const MemoryWishes& wishes,
                  const std::string& checkpoint) {
  plan.available = view.available;
  const std::uint64_t fixed =
      plan.dense + plan.shortlist + plan.kv + plan.states + plan.prefixes + plan.scratch + overhead;
  const std::string sum = in_gib(plan.dense) + " of weights, " + in_gib(plan.shortlist) +
                          " for the shortlist, " + in_gib(plan.kv + plan.states) +
                          " for the context, " + in_gib(plan.prefixes) + " for checkpoints, " +
                          in_gib(plan.scratch + overhead) + " of scratch";
  const bool known = view.available > 0;
  const std::uint64_t rest = view.available - std::min(view.available, fixed);
  if (known && min_memory(plan, wishes) > view.available) {
    throw Error(checkpoint + " needs " + sum + " and " + in_gib(wishes.min_experts) +
                " for a few experts; " + in_gib(view.available) +
                " are free. Choose a smaller checkpoint or a machine with more memory.");
  }
  if (wishes.experts > 0) {
    plan.experts = std::min(wishes.experts, wishes.all_experts);
    return;
  }
  if (!known) {
    plan.experts = wishes.all_experts;
    return;
  }
  const std::uint64_t spared = view.limited ? view.available / 8 : left_to_others;
  const std::uint64_t max = std::min(view.available / 5 * 3, rest - std::min(rest, spared));
  // Where so little is left, a token's experts at a time is slow but works.
  plan.experts =
      std::clamp(max, std::min(wishes.min_experts, wishes.all_experts), wishes.all_experts);
}

}  // namespace hearth::engine
