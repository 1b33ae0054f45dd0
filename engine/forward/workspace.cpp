// The arena that a layer takes its scratch from.
#include "engine/forward/workspace.hpp"

#include <algorithm>

namespace hearth::engine {

namespace {
constexpr std::size_t alignment = 16;  // values: 64 bytes
constexpr std::size_t smallest = std::size_t{1} << 18;

std::size_t capacity(const kernels::Buffer& block) {
  return block.bytes() / sizeof(float);
}
}  // namespace

kernels::Slice Workspace::take(std::size_t count) {
  const std::size_t room = (count + alignment - 1) / alignment * alignment;
  if (blocks_.empty() || used_ + room > capacity(blocks_.back())) {
    blocks_.push_back(backend_->allocate(std::max(room, smallest) * sizeof(float), kind_));
    used_ = 0;
  }
  const kernels::Slice taken = kernels::slice(blocks_.back(), used_ * sizeof(float), count);
  used_ += room;
  return taken;
}

void Workspace::reset() {
  used_ = 0;
  if (blocks_.size() <= 1) return;
  backend_->wait(backend_->queued());  // what is queued uses them
  const std::size_t total = bytes();
  blocks_.clear();  // before the allocation: both at once may not fit
  blocks_.push_back(backend_->allocate(total, kind_));
}

std::size_t Workspace::bytes() const {
  std::size_t total = 0;
  for (const kernels::Buffer& block : blocks_) total += block.bytes();
  return total;
}

}  // namespace hearth::engine
