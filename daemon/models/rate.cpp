// A speed as an exponential average.
#include "daemon/models/rate.hpp"

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

}  // namespace hearth::daemon
