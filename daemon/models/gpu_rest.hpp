// Gives the GPU's memory back when nobody has asked the model for anything for a while. The model
// takes it again by itself.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>

#include "daemon/models/local.hpp"
#include "lsp/support/host.hpp"

namespace hearth::daemon {

// On the Host's thread. Host and model outlive it.
class GpuRest {
 public:
  // `limit`: 0: never. `on_battery` is asked at each look; then it is a minute at most.
  GpuRest(lsp::Host& host, LocalModel& model, std::chrono::milliseconds limit,
          std::function<bool()> on_battery);
  ~GpuRest();
  GpuRest(const GpuRest&) = delete;
  GpuRest& operator=(const GpuRest&) = delete;

 private:
  void look();

  lsp::Host& host_;
  LocalModel& model_;
  const std::chrono::milliseconds limit_;
  const std::function<bool()> on_battery_;
  std::uint64_t steps_ = 0;                        // of the model, as far as they were seen
  std::chrono::steady_clock::time_point used_at_;  // likewise
  lsp::Host::TimerId timer_ = 0;
};

}  // namespace hearth::daemon
