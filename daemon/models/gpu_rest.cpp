// Looks every minute at most, and not at all while the GPU is given back.
#include "daemon/models/gpu_rest.hpp"

#include <algorithm>
#include <utility>

namespace hearth::daemon {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds battery_limit{60'000};
constexpr milliseconds between_looks{60'000};

}  // namespace

GpuRest::GpuRest(lsp::Host& host, LocalModel& model, milliseconds limit,
                 std::function<bool()> on_battery)
    : host_(host), model_(model), limit_(limit), on_battery_(std::move(on_battery)) {
  if (limit_.count() > 0)
    model_.when_gpu_taken([this] {
      used_at_ = host_.now();
      look();
    });
}

GpuRest::~GpuRest() {
  model_.when_gpu_taken({});
  host_.cancel_timer(timer_);
}

void GpuRest::look() {
  const ModelStatus status = model_.status();
  if (status.gpu != engine::DeviceUse::in_use) return;
  if (status.waiting > 0 || std::exchange(steps_, status.steps) != status.steps)
    used_at_ = host_.now();
  const milliseconds limit = on_battery_() ? std::min(limit_, battery_limit) : limit_;
  const auto left = std::chrono::ceil<milliseconds>(used_at_ + limit - host_.now());
  if (left.count() <= 0) return model_.release_gpu();
  host_.cancel_timer(timer_);
  timer_ = host_.after(std::min(left, between_looks), [this] { look(); });
}

}  // namespace hearth::daemon
