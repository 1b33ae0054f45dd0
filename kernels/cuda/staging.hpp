// Page-locked memory through which what the host's callers have goes to a device and back, in
// pieces, several of which are under way at once.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/cuda/runtime.hpp"

namespace hearth::kernels::cuda {

// One thread at a time. Must go before the runtime; what is queued through it may still run then,
// which the runtime's owner waits for.
class Staging {
 public:
  explicit Staging(Runtime& runtime);

  // Queued; `from` may change at once.
  void upload(std::byte* to, std::span<const std::byte> from);
  // Waits for all that is queued.
  void download(std::span<std::byte> to, const std::byte* from);

 private:
  struct Piece {
    Buffer memory;
    std::uint64_t used_until = 0;  // a mark of the runtime's
  };
  // The next piece, once what was queued through it has run.
  Piece& next();

  Runtime& runtime_;
  std::array<Piece, 4> pieces_;
  std::size_t turn_ = 0;
};

}  // namespace hearth::kernels::cuda
