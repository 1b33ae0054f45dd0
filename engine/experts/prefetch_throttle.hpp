// Decides whether experts are read before they are certain to be needed.
#pragma once

#include <cstdint>

namespace hearth::engine {

// Counts how many of the experts that were prefetched were then asked for. A useful prefetch
// spares at most the wait for one read; a useless one keeps the disk busy for as long and takes the
// place of another expert. So prefetching pays while half of it is useful. Not thread-safe.
class PrefetchThrottle {
 public:
  // Whether to prefetch once more. Where it does not pay, now and then all the same, to notice when
  // it does again.
  bool pays() {
    if (2 * right_ >= read_ || read_ < min_samples) return true;
    return ++asked_ % probe_interval == 0;
  }
  void read() {
    if (++read_ < window) return;
    read_ /= 2;  // what is long ago counts less
    right_ /= 2;
  }
  void unread() { read_ -= read_ > 0 ? 1 : 0; }  // what was to be read was not
  void right() { ++right_; }

 private:
  static constexpr std::uint32_t min_samples = 64;     // experts: too early to tell
  static constexpr std::uint32_t window = 1024;        // experts
  static constexpr std::uint32_t probe_interval = 64;  // asks, one for each layer

  std::uint32_t read_ = 0;
  std::uint32_t right_ = 0;
  std::uint32_t asked_ = 0;
};

}  // namespace hearth::engine
