// Speeds and lengths as exponential averages.
#include "daemon/models/rate.hpp"

#include <algorithm>
#include <cmath>

namespace hearth::daemon {

void Rate::add(double tokens, std::chrono::duration<double> time) {
  const double keep = std::exp(-tokens / window_);
  tokens_ = tokens_ * keep + tokens;
  seconds_ = seconds_ * keep + time.count();
}

std::optional<double> Rate::per_second() const {
  if (tokens_ <= 0 || seconds_ <= 0) return std::nullopt;
  return tokens_ / seconds_;
}

std::optional<std::chrono::milliseconds> Rate::time_for(double tokens) const {
  const auto speed = per_second();
  if (!speed) return std::nullopt;
  return std::chrono::milliseconds(std::llround(tokens / *speed * 1000));
}

void TypicalLength::add(std::int64_t tokens) {
  constexpr double weight = 0.2;
  const auto length = static_cast<double>(tokens);
  mean_ = mean_ ? *mean_ * (1 - weight) + length * weight : length;
}

std::int64_t TypicalLength::expect(std::int64_t max) const {
  return mean_ ? std::min<std::int64_t>(max, std::llround(*mean_)) : max;
}

}  // namespace hearth::daemon
