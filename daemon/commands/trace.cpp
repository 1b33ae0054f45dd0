// `hearth trace`: the hit rate that each cache policy would have had on a recorded routing.
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <cstdio>

#include "daemon/commands/commands.hpp"
#include "engine/measure/measurements.hpp"

namespace hearth::daemon {
namespace {

struct TraceFlags {
  std::string file;
  std::vector<int> percents{5, 10, 25, 50};
  double half_life = engine::default_half_life;
};

int run_trace(const TraceFlags& flags) {
  const engine::Trace trace = engine::read_trace(flags.file);
  const auto experts =
      static_cast<std::size_t>(trace.layers) * static_cast<std::size_t>(trace.experts_per_layer);
  std::printf("%zu steps of %d layers, %d experts each\n\n", trace.steps.size(), trace.layers,
              trace.experts_per_layer);
  std::printf("%8s %8s %8s %8s %8s\n", "in RAM", "slots", "lru", "lrfu", "optimum");
  for (const int percent : flags.percents) {
    const std::size_t slots =
        std::max<std::size_t>(1, experts * static_cast<std::size_t>(percent) / 100);
    const auto rate = [&](engine::PolicyKind policy) {
      return 100 * engine::replay(trace, policy, flags.half_life, slots).hit_rate();
    };
    std::printf("%6d %% %8zu %6.1f %% %6.1f %% %6.1f %%\n", percent, slots,
                rate(engine::PolicyKind::lru), rate(engine::PolicyKind::lrfu),
                100 * engine::replay_optimum(trace, slots).hit_rate());
  }
  return 0;
}

}  // namespace

void add_trace(CLI::App& app, Command& chosen) {
  auto* command = app.add_subcommand(
      "trace", "Replays a recorded routing and shows the hit rate of each cache policy");
  auto flags = std::make_shared<TraceFlags>();
  command
      ->add_option("file", flags->file,
                   "A file that --trace of `hearth generate`, `chat` or `bench` wrote")
      ->required();
  command->add_option("--percent", flags->percents, "Shares of all experts that fit in memory")
      ->delimiter(',')
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
  command
      ->add_option("--half-life", flags->half_life,
                   "Half-life of a use under lrfu, in average uses per expert")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->footer(
      "\"optimum\" knows the future: no policy can do better.\n"
      "\n"
      "Examples:\n"
      "  echo \"def is_even(number):\" | hearth generate --raw --trace routing\n"
      "  hearth trace routing\n"
      "  hearth trace --percent 20,40 routing");
  command->callback([&chosen, flags] { chosen = [flags] { return run_trace(*flags); }; });
}

}  // namespace hearth::daemon
