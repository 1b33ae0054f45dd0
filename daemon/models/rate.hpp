// A measured speed, recent work counting more than old.
#pragma once

#include <chrono>
#include <optional>

namespace hearth::daemon {

// Tokens a second.
class Rate {
 public:
  // Work older than `window` tokens has lost two thirds of its weight.
  explicit Rate(double window) : window_(window) {}

  void add(double tokens, std::chrono::duration<double> time);
  // Empty until something was measured.
  std::optional<double> per_second() const;

 private:
  friend struct EstimatesJson;
  double window_;
  double tokens_ = 0;
  double seconds_ = 0;
};

}  // namespace hearth::daemon
