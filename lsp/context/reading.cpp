// Measured speed as tokens of a keystroke.
#include "lsp/context/reading.hpp"

#include <algorithm>
#include <cmath>

namespace hearth::lsp {
namespace {

constexpr std::int64_t unmeasured_suffix_tokens = 128;
constexpr double most_tokens = 1 << 24;  // of any context

std::int64_t tokens_within(std::chrono::milliseconds time, double tokens_a_second) {
  const double tokens = std::chrono::duration<double>(time).count() * tokens_a_second;
  return static_cast<std::int64_t>(std::clamp(tokens, 0.0, most_tokens));
}

}  // namespace

std::int64_t suffix_tokens(const ModelProfile& profile, std::chrono::milliseconds max_read) {
  const std::int64_t trained = profile.fim_suffix_tokens;
  if (profile.fim_order == FimOrder::suffix_first) return trained;
  if (!profile.completion_speed) return std::min(trained, unmeasured_suffix_tokens);
  const std::int64_t within = tokens_within(max_read, *profile.completion_speed);
  return std::min(trained, std::max(within - keystroke_tokens, least_suffix_tokens));
}

std::int64_t proportionate_suffix(std::int64_t prefix_tokens) {
  return std::max(prefix_tokens / 24, 2 * least_suffix_tokens);
}

bool reads_too_slowly(FimOrder order, std::optional<double> tokens_a_second,
                      std::chrono::milliseconds max_read) {
  if (!tokens_a_second) return false;
  const std::int64_t least =
      keystroke_tokens + (order == FimOrder::suffix_first ? 0 : least_suffix_tokens);
  return tokens_within(max_read, *tokens_a_second) < least;
}

}  // namespace hearth::lsp
