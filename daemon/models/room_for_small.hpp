// When the small model beside a large one is unloaded for want of memory, and when it is loaded
// again. Knows neither of them.
#pragma once

#include <cstdint>
#include <optional>

#include "engine/engine.hpp"

namespace hearth::daemon {

// One thread at a time.
class RoomForSmall {
 public:
  enum class Wish : std::uint8_t { load, unload };

  // `bytes`: what the small model takes; it is loaded now.
  explicit RoomForSmall(std::uint64_t bytes) : bytes_(bytes) {}

  // What to do after a look at the memory; empty: nothing. Experts go first: the small model does
  // where half of them were not enough. It comes back when there is room for it, and they are back.
  std::optional<Wish> look(const engine::MemoryLook& look) {
    if (loaded_ && look.is_short && look.experts <= look.all_experts / 2) {
      loaded_ = false;
      return Wish::unload;
    }
    if (!loaded_ && !look.is_short && look.experts == look.all_experts &&
        look.view.available >= bytes_ + spared) {
      loaded_ = true;
      return Wish::load;
    }
    return std::nullopt;
  }

 private:
  // What stays free beside it, more than what is short of memory.
  static constexpr std::uint64_t spared = std::uint64_t{3} << 30;

  const std::uint64_t bytes_;
  bool loaded_ = true;
};

}  // namespace hearth::daemon
