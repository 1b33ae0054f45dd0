// "At most once in this interval, and the last wish is granted": for what a person watches.
#pragma once

#include <chrono>
#include <functional>
#include <optional>

#include "lsp/support/host.hpp"

namespace hearth::lsp {

class Throttle {
 public:
  Throttle(Host& host, std::chrono::milliseconds interval, std::function<void()> action)
      : host_(host), interval_(interval), action_(std::move(action)) {}
  ~Throttle() { cancel(); }
  Throttle(const Throttle&) = delete;
  Throttle& operator=(const Throttle&) = delete;

  // Runs the action now or, where it ran too short a time ago, once the interval has passed.
  void request() {
    if (timer_) return;
    const auto since = host_.now() - last_;
    if (!ran_ || since >= interval_) {
      run();
      return;
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(interval_ - since);
    timer_ = host_.after(left, [this] { run(); });
  }
  void run() {
    cancel();
    ran_ = true;
    last_ = host_.now();
    action_();
  }
  void cancel() {
    if (timer_) host_.cancel_timer(*timer_);
    timer_.reset();
  }
  bool pending() const { return timer_.has_value(); }

 private:
  Host& host_;
  std::chrono::milliseconds interval_;
  std::function<void()> action_;
  bool ran_ = false;
  std::chrono::steady_clock::time_point last_;
  std::optional<Host::TimerId> timer_;
};

}  // namespace hearth::lsp
