// Writes, reads and replays traces of routing.
#include "engine/experts/trace.hpp"

#include <map>
#include <set>
#include <sstream>
#include <string>
#include <system_error>

namespace hearth::engine {

namespace {

constexpr const char* heading = "hearth routing trace";
constexpr std::uint64_t never = ~std::uint64_t{0};

std::int32_t key_of(const Trace& trace, LayerId layer, ExpertId expert) {
  return layer.value * trace.experts_per_layer + expert.value;
}

[[noreturn]] void bad_line(const std::filesystem::path& file, std::size_t line) {
  throw Error(file.string() + ": line " + std::to_string(line) +
              " is not a step of a routing trace; record it again");
}

}  // namespace

RoutingTrace::RoutingTrace(const std::filesystem::path& file, int layers, int experts_per_layer) {
  out_.open(file, std::ios::trunc);
  if (!out_) throw Error(file.string() + ": cannot write the routing trace");
  std::error_code ignored;
  std::filesystem::permissions(
      file, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write, ignored);
  out_ << heading << ' ' << layers << ' ' << experts_per_layer << '\n';
}

void RoutingTrace::add(LayerId layer, std::span<const ExpertId> experts, Pass pass) {
  out_ << (pass == Pass::decode ? 'd' : 'p') << ' ' << layer.value;
  for (const ExpertId expert : experts) out_ << ' ' << expert.value;
  out_ << '\n';
}

Trace read_trace(const std::filesystem::path& file) {
  std::ifstream in(file);
  if (!in) throw Error(file.string() + ": cannot read the routing trace");
  std::string line;
  std::getline(in, line);
  Trace trace;
  std::istringstream first(line);
  std::string a;
  std::string b;
  std::string c;
  first >> a >> b >> c >> trace.layers >> trace.experts_per_layer;
  const bool sizes = trace.layers > 0 && trace.layers <= 10'000 && trace.experts_per_layer > 0 &&
                     trace.experts_per_layer <= 100'000;
  if (!first || a + " " + b + " " + c != heading || !sizes) bad_line(file, 1);
  for (std::size_t number = 2; std::getline(in, line); ++number) {
    std::istringstream fields(line);
    char kind = 0;
    TraceStep step;
    fields >> kind >> step.layer.value;
    if (!fields || (kind != 'd' && kind != 'p') || step.layer.value < 0 ||
        step.layer.value >= trace.layers) {
      bad_line(file, number);
    }
    step.pass = kind == 'd' ? Pass::decode : Pass::prefill;
    for (ExpertId expert; fields >> expert.value;) {
      if (expert.value < 0 || expert.value >= trace.experts_per_layer) bad_line(file, number);
      step.experts.push_back(expert);
    }
    if (!fields.eof()) bad_line(file, number);
    trace.steps.push_back(std::move(step));
  }
  return trace;
}

double ReplayResult::hit_rate() const {
  const std::uint64_t all = hits + misses;
  return all == 0 ? 0 : static_cast<double>(hits) / static_cast<double>(all);
}

ReplayResult replay(const Trace& trace, PolicyKind kind, double half_life, std::size_t slots) {
  const auto keys =
      static_cast<std::size_t>(trace.layers) * static_cast<std::size_t>(trace.experts_per_layer);
  const auto policy = make_policy(kind, keys, half_life);
  std::vector<bool> resident(keys);
  std::size_t count = 0;
  ReplayResult result;
  for (const TraceStep& step : trace.steps) {
    for (const ExpertId expert : step.experts) {
      const std::int32_t key = key_of(trace, step.layer, expert);
      const bool there = resident[static_cast<std::size_t>(key)];
      ++(there ? result.hits : result.misses);
      if (step.pass == Pass::prefill) continue;
      if (!there && count == slots) {
        const auto victim = policy->victim([](std::int32_t) { return true; });
        if (!victim) continue;
        policy->dropped(*victim);
        resident[static_cast<std::size_t>(*victim)] = false;
        --count;
      }
      if (!there) ++count;
      resident[static_cast<std::size_t>(key)] = true;
      policy->used(key);
    }
  }
  return result;
}

ReplayResult replay_optimum(const Trace& trace, std::size_t slots) {
  std::vector<std::int32_t> uses;
  std::vector<bool> passing;  // looked up by a prefill
  for (const TraceStep& step : trace.steps) {
    for (const ExpertId expert : step.experts) {
      uses.push_back(key_of(trace, step.layer, expert));
      passing.push_back(step.pass == Pass::prefill);
    }
  }
  // next[i]: when the key of use i is used again.
  std::vector<std::uint64_t> next(uses.size(), never);
  std::map<std::int32_t, std::uint64_t> later;
  for (std::size_t i = uses.size(); i-- > 0;) {
    const auto found = later.find(uses[i]);
    if (found != later.end()) next[i] = found->second;
    later[uses[i]] = i;
  }
  ReplayResult result;
  std::set<std::pair<std::uint64_t, std::int32_t>> resident;  // by next use
  std::map<std::int32_t, std::uint64_t> next_use;             // of the resident keys
  for (std::size_t i = 0; i < uses.size(); ++i) {
    const std::int32_t key = uses[i];
    const auto found = next_use.find(key);
    if (found != next_use.end()) {
      ++result.hits;
      resident.erase({found->second, key});
      resident.insert({next[i], key});
      found->second = next[i];
      continue;
    }
    ++result.misses;
    if (passing[i]) continue;
    if (resident.size() == slots) {
      const auto last = std::prev(resident.end());
      // Not keeping the new one at all may be the best; computing it needs a slot only as long as
      // that takes.
      if (last->first <= next[i]) continue;
      next_use.erase(last->second);
      resident.erase(last);
    }
    resident.insert({next[i], key});
    next_use[key] = next[i];
  }
  return result;
}

}  // namespace hearth::engine
